"""A git.exe for the Python under Wine: Windows' words -> this system's Git, its answer -> back.

Wine runs no Git of ours as a child whose answer can be read. So git.exe is a Python script behind pip's own launcher;
it hands its words, its variables and what it is given through a socket to a thread here, which runs the real Git with
the paths as they are called on this side.
"""

from __future__ import annotations

import io
import json
import re
import socketserver
import subprocess
import threading
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.prove.windows_lab import Lab

_SCRIPT = """import json, os, socket, sys
from base64 import b64decode, b64encode
given = b64encode(sys.stdin.buffer.read()).decode()
names = {name: value for name, value in os.environ.items() if name.startswith("GIT_")}
with socket.create_connection(("127.0.0.1", PORT)) as there, there.makefile("rwb") as both:
    both.write(json.dumps([sys.argv[1:], names, given]).encode() + b"\\n")
    both.flush()
    code, out, err = json.loads(both.readline())
sys.stdout.buffer.write(b64decode(out))
sys.stderr.buffer.write(b64decode(err))
sys.stdout.flush()
sys.exit(code)
"""


class _Call(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        words, names, given = json.loads(self.rfile.readline())
        environment = {name: _here(value) for name, value in names.items()} | {"PATH": "/usr/bin:/bin", "HOME": "/"}
        command = ["git", *map(_here, words)]
        ended = subprocess.run(command, env=environment, input=b64decode(given), capture_output=True, check=False)
        answer = (ended.returncode, b64encode(ended.stdout).decode(), b64encode(ended.stderr).decode())
        self.wfile.write(json.dumps(answer).encode() + b"\n")


def _here(word: str) -> str:
    """A word with paths as this system calls them."""
    word = re.sub(r"[Zz]:[\\/][^=\0]*", lambda found: found[0][2:].replace("\\", "/"), word)
    return re.sub(r"(^|=)nul$", r"\1/dev/null", word)


@contextmanager
def git_beside(lab: Lab) -> Iterator[None]:
    """While it is held that Python finds a git.exe by PATH."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Call)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    folder = lab.folder / "git"
    folder.mkdir(exist_ok=True)
    (folder / "git.exe").write_bytes(_launcher(lab, server.server_address[1]))
    lab.environment["WINEPATH"] = lab.windows_path(folder)
    try:
        yield
    finally:
        del lab.environment["WINEPATH"]
        server.shutdown()
        server.server_close()
        thread.join()


def _launcher(lab: Lab, port: int) -> bytes:
    found = find_spec("pip")
    assert found is not None
    assert found.origin is not None
    starter = Path(found.origin).parent / "_vendor" / "distlib" / "t64.exe"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("__main__.py", _SCRIPT.replace("PORT", str(port)))
    return starter.read_bytes() + f"#!{lab.windows_path(lab.python)}\r\n".encode() + packed.getvalue()
