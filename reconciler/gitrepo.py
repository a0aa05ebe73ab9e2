"""Git, asked through its own program: a revision's files, and who wrote what. Changes nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import Unreachable, UsageError
from reconciler.secrets import redacted


def resolve(folder: Path, revision: str) -> str:
    """The commit that a revision names. Raises `UsageError`, RCL0009."""
    try:
        return (
            _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
            .decode()
            .strip()
        )
    except UsageError:
        raise UsageError(
            "RCL0009",
            f"{revision!r} is neither a folder or file nor a revision of a Git repository here",
            "Name a folder, a file, a branch, a tag or a commit; in CI fetch enough history.",
            subject=revision,
        ) from None


def read_files(folder: Path, commit: str) -> dict[str, bytes]:
    """Path, relative to `folder`, -> content of every file that the commit has below it. Links are left out."""
    listing = _git(folder, "ls-tree", "-r", "-z", commit, "--", ".").decode("utf-8", "surrogateescape")
    wanted: list[tuple[str, str]] = []
    for entry in filter(None, listing.split("\0")):
        meta, _, name = entry.partition("\t")
        mode, kind, blob = meta.split()
        if kind == "blob" and mode != "120000":
            wanted.append((name, blob))
    if not wanted:
        return {}
    asked = "".join(f"{blob}\n" for _, blob in wanted).encode()
    answer = _git(folder, "cat-file", "--batch", given=asked)
    found: dict[str, bytes] = {}
    at = 0
    for name, _ in wanted:
        end = answer.index(b"\n", at)
        size = int(answer[at:end].split()[2])
        found[name] = answer[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return found


def authors(folder: Path, older: str, newer: str) -> list[tuple[str, tuple[str, ...]]]:
    """E-mail of the author and files (relative to `folder`) of each commit that `newer` has and `older` has not; of
    all that `newer` has where `older` is ""."""
    span = f"{older}..{newer}" if older else newer
    told = _git(folder, "log", "--format=%x01%ae", "--cc", "--name-only", "--relative", "-z", span, "--", ".")
    found = []
    for commit in told.decode("utf-8", "surrogateescape").split("\x01")[1:]:
        email, _, rest = commit.partition("\n") if "\n" in commit.split("\0")[0] else commit.partition("\0")
        names = tuple(name.strip("\n") for name in rest.split("\0") if name.strip("\n"))
        found.append((email.strip("\0\n "), names))
    return found


def state(folder: Path, below: str) -> tuple[str, bool]:
    """The commit that is checked out, and whether anything `below` differs from it; "" outside of a repository."""
    try:
        commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD").decode().strip()
        changed = _git(folder, "status", "--porcelain", "-z", "--", below)
    except (UsageError, Unreachable):
        return "", False
    return commit, bool(changed)


def changed_files(folder: Path, below: str) -> set[str]:
    """The files `below` that differ from the commit that is checked out, or that it does not have."""
    told = _git(folder, "diff", "--name-only", "--relative", "-z", "HEAD", "--", below)
    new = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", below)
    return {name for name in (told + new).decode("utf-8", "surrogateescape").split("\0") if name}


def identity(folder: Path) -> str:
    """The e-mail that a commit would be made under here; "" where none is set."""
    try:
        return _git(folder, "config", "--get", "user.email").decode().strip()
    except (UsageError, Unreachable):
        return ""


def _git(folder: Path, *words: str, given: bytes = b"") -> bytes:
    command: Sequence[str] = ("git", "-C", str(folder), "--literal-pathspecs", *words)
    try:
        ended = subprocess.run(command, input=given, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise Unreachable("RCL0010", "the program git is not there", "Install it, or compare folders.") from error
    if ended.returncode:
        why = redacted(ended.stderr.decode("utf-8", "replace").strip().split("\n")[0])
        raise UsageError("RCL0009", f"git {words[0]}: {why}", "See what the repository holds.", subject=str(folder))
    return ended.stdout
