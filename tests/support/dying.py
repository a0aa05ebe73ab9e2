"""A command in a process that ends itself with SIGKILL as it calls a function of the product."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

VICTIM = """
import importlib, os, signal, sys
from reconciler.cli import errors
module, name = sys.argv[1:3]
owner = importlib.import_module(module)
for part in name.split(".")[:-1]:
    owner = getattr(owner, part)
real, calls = getattr(owner, name.split(".")[-1]), 0
def die(*words, **named):
    global calls
    calls += 1
    if calls > int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*words, **named)
setattr(owner, name.split(".")[-1], die)
sys.exit(errors.run(sys.argv[4:]))
"""


def killed(root: Path, module: str, name: str, after: int, *words: str) -> None:
    """Runs the command on the site at `root`; it dies as it calls `name` of `module` for the time after `after`."""
    command = [sys.executable, "-c", VICTIM, module, name, str(after), *words, "-C", str(root)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr
