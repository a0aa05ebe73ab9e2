"""The one way to call git: words -> what it answers, with none of the settings that could run or fetch anything."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import Refused, Unreachable, UsageError
from reconciler.secrets import redacted

_SETTINGS = (
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.hooksPath", os.devnull),
    ("core.attributesFile", os.devnull),
    ("core.excludesFile", os.devnull),
    ("core.alternateRefsCommand", ""),
    ("core.commitGraph", "false"),
    ("core.sshCommand", "false"),
    ("core.gitProxy", ""),
    ("core.askPass", ""),
    ("core.editor", "false"),
    ("core.pager", "cat"),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("diff.ignoreSubmodules", "none"),
    ("gpg.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.x509.program", "false"),
    ("log.showSignature", "false"),
    ("protocol.allow", "never"),
    ("safe.bareRepository", "explicit"),
    ("submodule.recurse", "false"),
)

_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


#: What git needs of our environment: where programs, temporary files and the caller's own settings are. No secret of a
#: CI and no setting of git's own is handed on.
HANDED_ON = ("PATH", "HOME", "XDG_CONFIG_HOME", "USERPROFILE", "SYSTEMROOT", "TMPDIR", "TEMP")


def git(folder: Path, *words: str, given: bytes = b"", own_settings: bool = False) -> bytes:
    """What git answers. With `own_settings` the caller's settings are read too: for looking one up, nothing else.

    Raises `Unreachable`, RCL0010, without git; `Refused`, RCL0017, for a repository of another owner; `UsageError`,
    RCL0009, for all else that it refuses.
    """
    ended = _call(folder, words, given, own_settings, ())
    if ended.returncode and b"dubious ownership" in ended.stderr:
        ended = _call(folder, words, given, own_settings, _trusted())
    if ended.returncode:
        why = redacted(ended.stderr.decode("utf-8", "replace").strip().split("\n")[0])
        if "dubious ownership" in why:
            raise _of_another_owner(folder)
        raise UsageError("RCL0009", f"git {words[0]}: {why}", "See what the repository holds.", subject=str(folder))
    return ended.stdout


def _call(
    folder: Path, words: Sequence[str], given: bytes, own_settings: bool, trusted: Sequence[str]
) -> subprocess.CompletedProcess[bytes]:
    environment = _handed_on() | _ENVIRONMENT
    if own_settings:
        for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM"):
            del environment[name]
    top = _top(folder)
    if top is not None:
        environment["GIT_WORK_TREE"] = str(top)
    settings = [f"{name}={value}" for name, value in _SETTINGS] + [f"safe.directory={each}" for each in trusted]
    overriding = [word for setting in settings for word in ("-c", setting)]
    options = ("--no-pager", "--no-replace-objects", "--literal-pathspecs", *overriding)
    command = ("git", *options, "-C", str(folder), *words)
    try:
        return subprocess.run(command, input=given, capture_output=True, check=False, env=environment)
    except FileNotFoundError as error:
        raise Unreachable("RCL0010", "the program git is not there", "Install it, or compare folders.") from error


def _handed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in HANDED_ON if name in os.environ}


def _top(folder: Path) -> Path | None:
    """The work tree, found by its `.git`: the repository's own settings could name another, and so other files."""
    here = folder.resolve()
    return next((each for each in (here, *here.parents) if (each / ".git").exists()), None)


def _trusted() -> tuple[str, ...]:
    """The folders that this account's and the computer's own settings call safe: the only ones of them that count."""
    found: list[str] = []
    for scope in ("--system", "--global"):
        told = subprocess.run(
            ("git", "config", scope, "--includes", "--null", "--get-all", "safe.directory"),
            capture_output=True,
            check=False,
            cwd=Path(os.sep).resolve(),
            env=_handed_on(),
        )
        found += told.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
    return tuple(found)


def _of_another_owner(folder: Path) -> Refused:
    top = _top(folder) or folder
    return Refused(
        "RCL0017",
        f"the Git repository {str(top)!r} belongs to another account, so Git does not read it",
        f"If you trust it: `git config --global --add safe.directory {top}`; or run as its owner.",
        subject=str(top),
    )
