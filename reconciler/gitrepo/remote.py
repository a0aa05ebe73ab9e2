"""Fetching: a repository, an address and a ref there -> the commit that the ref names, with its objects here.

The repository's own settings take no part in it, since anybody who may write there could name programs in them: Git is
called on a folder made for this one call, which has no settings, and puts the objects where the repository has its
own. What this account's and the computer's settings say of keys, proxies and credentials counts. No hook runs, no ref
of the repository moves, nothing is checked out, and no question is asked.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from reconciler import files, system_calls
from reconciler.errors import Unreachable
from reconciler.gitrepo.branches import Upstream
from reconciler.gitrepo.call import HANDED_ON, git, top_of
from reconciler.secrets import redacted

#: How long a fetch may take, in seconds: meanwhile no job begins.
PATIENCE_SECONDS = 60.0

#: How long a fetch is given to end by itself when it is asked to, in seconds.
_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.05

_SETTINGS = (
    ("core.alternateRefsCommand", ""),
    ("core.fsmonitor", "false"),
    ("core.hooksPath", os.devnull),
    ("fetch.fsckObjects", "true"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    ("http.lowSpeedLimit", "100"),
    ("http.lowSpeedTime", "20"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("protocol.file.allow", "always"),
    ("protocol.https.allow", "always"),
    ("protocol.ssh.allow", "always"),
    ("submodule.recurse", "false"),
)
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "file:https:ssh",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}

#: By what an account signs in and gets through: its own agent, proxy, certificates and helpers. What a terminal or a
#: window would ask with is left out.
_SIGNS_IN = (
    "ALL_PROXY",
    "APPDATA",
    "DBUS_SESSION_BUS_ADDRESS",
    "GIT_ASKPASS",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "HTTPS_PROXY",
    "KRB5CCNAME",
    "LOCALAPPDATA",
    "LOGNAME",
    "NO_PROXY",
    "PROGRAMDATA",
    "SSH_AUTH_SOCK",
    "USER",
    "USERNAME",
    "XDG_RUNTIME_DIR",
    "all_proxy",
    "https_proxy",
    "no_proxy",
)

_HERE = "refs/fetched/tip"


def fetch(folder: Path, source: Upstream, known: Iterable[str], stopped: Callable[[], bool]) -> str:
    """The commit that the ref of the source names there; all that it has is here then. `known` are commits that need
    not be sent. Ends early, as one that failed, once somebody asks to stop. Raises `Unreachable`, RCL6043."""
    top = top_of(folder) or folder
    objects = git(folder, "rev-parse", "--path-format=absolute", "--git-path", "objects").decode().strip()
    shallow = git(folder, "rev-parse", "--path-format=absolute", "--git-path", "shallow").decode().strip()
    form = git(folder, "rev-parse", "--show-object-format").decode().strip()
    with tempfile.TemporaryDirectory(prefix="reconciler-fetch-") as made:
        here = Path(made) / "git"
        _lay_out(here, form, known)
        environment = {name: os.environ[name] for name in (*HANDED_ON, *_SIGNS_IN) if name in os.environ}
        environment |= _ENVIRONMENT | {"GIT_DIR": str(here), "GIT_OBJECT_DIRECTORY": objects}
        if Path(shallow).exists():
            environment["GIT_SHALLOW_FILE"] = shallow
        settings = [word for name, value in _SETTINGS for word in ("-c", f"{name}={value}")]
        options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance")
        asked = ("--end-of-options", source.address, f"+{source.ref}:{_HERE}")
        said = Path(made) / "said"
        failed = _call(
            (system_calls.program("git"), *settings, "fetch", *options, *asked), environment, top, said, stopped
        )
        if failed:
            raise _failed(source, failed)
        try:
            commit = files.read_regular(here / _HERE, 200).decode("ascii").strip()
        except OSError:
            raise _failed(source, "it brought nothing") from None
    # It is a commit, and whole as far as Git sees: read through the one door, with none of the settings above.
    return git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}").decode().strip()


def _lay_out(here: Path, form: str, known: Iterable[str]) -> None:
    """A repository of nothing, as far as Git asks of one."""
    (here / "objects").mkdir(parents=True)
    (here / "refs" / "known").mkdir(parents=True)
    (here / "HEAD").write_bytes(b"ref: refs/heads/none\n")
    version = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
    if form != "sha1":
        version = f"[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = {form}\n"
    (here / "config").write_bytes(version.encode("ascii"))
    for number, commit in enumerate(known):
        (here / "refs" / "known" / str(number)).write_bytes(f"{commit}\n".encode("ascii"))


def _call(
    command: tuple[str, ...], environment: dict[str, str], at: Path, said: Path, stopped: Callable[[], bool]
) -> str:
    """Why the call failed; "" where it did not. In a session of its own: nothing of it can ask in our terminal."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with said.open("wb") as out:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                cwd=at,
                **system_calls.apart(),
            )
        except FileNotFoundError as error:
            raise Unreachable("RCL0010", "the program git is missing", "Install it.") from error
        try:
            while process.poll() is None:
                if stopped():
                    return "it was asked to stop"
                if time.monotonic() > deadline:
                    return f"it did not end within {PATIENCE_SECONDS:.0f} s"
                time.sleep(_POLL_SECONDS)
        finally:
            _end(process)
    if not process.returncode:
        return ""
    with files.open_regular(said) as told_by_git:
        lines = told_by_git.read(65_536).decode("utf-8", "replace").splitlines()
    told = next((line for line in lines if line.startswith(("fatal:", "error:"))), next(iter(lines), ""))
    return redacted(told.partition(": ")[2] or told) or f"git ended with {process.returncode}"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()  # git ends its own helpers then
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _failed(source: Upstream, why: str) -> Unreachable:
    return Unreachable(
        "RCL6043",
        f"{source.remote} could not be fetched: {why}",
        f"Check that `git fetch {source.remote}` works for this account without a question: a key or a "
        "credential helper "
        "in its own Git configuration (that of the repository is not used). What was fetched last counts until then.",
        subject=source.remote,
    )
