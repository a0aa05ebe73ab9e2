"""The one way to call git: words -> what it answers, with none of the settings that could run or fetch anything."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler import system_calls
from reconciler.errors import Refused, Unreachable, UsageError
from reconciler.gitrepo.plain import check_plain
from reconciler.secrets import redacted

_SETTINGS = (
    ("advice.graftFileDeprecated", "false"),
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

    Raises `Unreachable`, RCL0010, without git, and RCL3108 where it does not answer in time; `Refused`, RCL3109, for a
    repository with a pipe or the like in the place of a file, and RCL0017 for one of another owner; `UsageError`,
    RCL0009, for all else that it refuses.
    """
    top = top_of(folder)
    if top is not None:
        check_plain(top)
        _check_owner(top)
    ended = _call(folder, words, given, own_settings, top)
    if ended.returncode:
        why = redacted(ended.stderr.decode("utf-8", "replace").strip().split("\n")[0])
        raise UsageError("RCL0009", f"git {words[0]}: {why}", "See what the repository holds.", subject=str(folder))
    return ended.stdout


def _call(
    folder: Path,
    words: Sequence[str],
    given: bytes = b"",
    own_settings: bool = False,
    top: Path | None = None,
    trusted: Sequence[str] = (),
) -> subprocess.CompletedProcess[bytes]:
    environment = _handed_on() | _ENVIRONMENT
    if own_settings:
        for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM"):
            del environment[name]
    if top is not None:
        # Git is told where the repository is: a folder on the way there that a commit made look like one is not it.
        environment |= {"GIT_WORK_TREE": str(top), "GIT_DIR": str(top / ".git")}
    settings = [f"{name}={value}" for name, value in _SETTINGS] + [f"safe.directory={each}" for each in trusted]
    overriding = [word for setting in settings for word in ("-c", setting)]
    options = ("--no-pager", "--no-replace-objects", "--literal-pathspecs", *overriding)
    command = (system_calls.program("git"), *options, "-C", str(folder), *words)
    return _answered(command, environment, folder, given)


#: Repositories that Git said to be ours, or safe. It does not ask where it is told where they are.
_ours: set[Path] = set()


def _check_owner(top: Path) -> None:
    """Raises `Refused`, RCL0017, for a repository of another owner that no settings of ours call safe."""
    if top in _ours:
        return
    words = ("rev-parse", "--git-dir")
    if _is_dubious(_call(top, words)) and _is_dubious(_call(top, words, trusted=_trusted())):
        raise _of_another_owner(top)
    _ours.add(top)


def _is_dubious(ended: subprocess.CompletedProcess[bytes]) -> bool:
    return bool(ended.returncode) and b"dubious ownership" in ended.stderr


#: How long one call may take, in seconds. Git only reads what lies on a disk here.
PATIENCE_SECONDS = 60.0

#: For so long a repository that did not answer once is not asked again, in seconds: else every question takes as long.
_REST_SECONDS = 600.0
_silent: dict[str, float] = {}


def _answered(
    command: Sequence[str], environment: Mapping[str, str], about: Path, given: bytes = b"", at: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """What a call comes to, if it does in time: what is made to wait for ever waits for nobody here."""
    if time.monotonic() < _silent.get(str(about), 0.0):
        raise _no_answer(about)
    try:
        return subprocess.run(
            command,
            input=given,
            capture_output=True,
            check=False,
            env=environment,
            cwd=at,
            timeout=PATIENCE_SECONDS,
        )
    except FileNotFoundError as error:
        raise Unreachable("RCL0010", "the program git is missing", "Install it, or compare folders.") from error
    except subprocess.TimeoutExpired:
        _silent[str(about)] = time.monotonic() + _REST_SECONDS
        raise _no_answer(about) from None


def _no_answer(folder: Path) -> Unreachable:
    return Unreachable(
        "RCL3108",
        f"git does not answer about {str(folder)!r} within {PATIENCE_SECONDS:.0f} s",
        "Check that its disk answers, and that no named pipe lies in its .git folder. Until then who wrote "
        "the policies is unknown, so no approval is in effect.",
        subject=str(folder),
    )


def _handed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in HANDED_ON if name in os.environ}


def top_of(folder: Path) -> Path | None:
    """The work tree, found by its `.git`: the repository's own settings could name another, and so other files. None
    outside of every repository."""
    here = folder.resolve()
    return next((each for each in (here, *here.parents) if (each / ".git").exists()), None)


def _trusted() -> tuple[str, ...]:
    """The folders that this account's and the computer's own settings call safe: the only ones of them that count."""
    found: list[str] = []
    for scope in ("--system", "--global"):
        words = (system_calls.program("git"), "config", scope, "--includes", "--null", "--get-all", "safe.directory")
        outside = Path(os.sep).resolve()
        told = _answered(words, _handed_on(), outside, at=outside)
        found += told.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
    return tuple(found)


def _of_another_owner(top: Path) -> Refused:
    return Refused(
        "RCL0017",
        f"the Git repository {str(top)!r} belongs to another account, so Git does not read it",
        f"If you trust it: `git config --global --add safe.directory {top}`; or run as its owner.",
        subject=str(top),
    )
