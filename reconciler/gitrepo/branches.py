"""Branches: a name -> its ref and commit here, and where it is fetched from; a ref that follows another one forward.

What the repository says of its remotes is read as words alone: it is the address of a fetch, never a setting of one.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from reconciler.errors import Refused, UsageError
from reconciler.gitrepo.call import git
from reconciler.gitrepo.history import is_ancestor
from reconciler.secrets import redacted

_HEADS = "refs/heads/"

#: What a remote may be called here: its name becomes a part of a ref.
_REMOTE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

#: Addresses that are fetched from: encrypted, or on this computer. `host:path` is SSH's own way to write one; no other
#: kind has a colon before its first slash, but for a drive.
_ADDRESS = re.compile(r"(?:https|ssh|file)://.+|[A-Za-z]:[\\/].*|(?!-)[^:/]+:(?!:|//).*|[^:-][^:]*(?:/.*)?", re.DOTALL)


class Upstream(msgspec.Struct, frozen=True):
    """Where a branch is fetched from: the remote's name and address, the ref there, and the ref that tracks it here."""

    remote: str
    address: str
    ref: str
    tracking: str


def branch_ref(folder: Path, name: str | None = None) -> str:
    """The full ref of a branch of this repository: the one that is named, else the one that is checked out. Raises
    `UsageError`, RCL6040, where there is none."""
    try:
        words = ("check-ref-format", _HEADS + name) if name is not None else ("symbolic-ref", "--quiet", "HEAD")
        told = git(folder, *words).decode("utf-8", "surrogateescape").strip()
    except UsageError:
        told = ""
    else:
        told = _HEADS + name if name is not None else told
    if told.startswith(_HEADS):
        return told
    what = f"{name!r} is no name of a branch" if name is not None else "no branch is checked out here"
    raise UsageError("RCL6040", what, "Name the branch to act on with --branch NAME.", subject=str(folder))


def branch_name(ref: str) -> str:
    """What people call the ref."""
    return ref.removeprefix(_HEADS).removeprefix("refs/remotes/")


def tip(folder: Path, ref: str) -> str:
    """The commit that a full ref names; "" where there is no such ref. Raises as `git` does."""
    listed = git(folder, "for-each-ref", "--format=%(objectname) %(objecttype) %(refname)", ref)
    for line in listed.decode("utf-8", "surrogateescape").splitlines():
        commit, kind, name = line.split(" ", 2)
        if name == ref and kind == "commit":
            return commit
    return ""


def upstream(folder: Path, ref: str) -> Upstream:
    """Where a branch is fetched from, by the repository's own settings: the remote and the branch that it follows, else
    the branch of that name at `origin`. Raises `UsageError`, RCL6042, without such a remote, and `Refused`, RCL6044,
    for an address of another kind than https, SSH or a path."""
    name = branch_name(ref)
    remote = _setting(folder, f"branch.{name}.remote") or "origin"
    theirs = _setting(folder, f"branch.{name}.merge") or ref
    address = _setting(folder, f"remote.{remote}.url") if _REMOTE.fullmatch(remote) else ""
    if not address or not theirs.startswith(_HEADS):
        what = f"the branch {name} has no remote to fetch from"
        remedy = f"`git branch --set-upstream-to=origin/{name} {name}`, after `git remote add origin ADDRESS`."
        raise UsageError("RCL6042", what, remedy, subject=name)
    if not _ADDRESS.fullmatch(address) or "\n" in address:
        raise Refused(
            "RCL6044",
            f"{redacted(address)!r}, from which {remote} is fetched, is neither https, SSH nor a path of this computer",
            f"Have the remote by https or SSH: `git remote set-url {remote} ADDRESS`. By other ways anybody on the "
            "way, or a program that the address names, could bring policies.",
            subject=remote,
        )
    return Upstream(remote, address, theirs, f"refs/remotes/{remote}/{branch_name(theirs)}")


def _setting(folder: Path, name: str) -> str:
    """One setting of the repository's own, as words; "" where it has none."""
    try:
        told = git(folder, "config", "--local", "--null", "--get", name)
    except UsageError:
        return ""
    return told.decode("utf-8", "surrogateescape").split("\0")[0]


def check_forward(folder: Path, branch: str, older: str, newer: str) -> None:
    """Raises `Refused`, RCL6041, where the newer commit of a branch has not all that the older one has."""
    if not is_ancestor(folder, older, newer):
        raise Refused(
            "RCL6041",
            f"the history of {branch} was rewritten: {newer[:12]}, which it is now, does not come after {older[:12]}, "
            "which was taken last",
            f"Put it back, or merge the older one (`git merge {older[:12]}`). If it was rewritten on purpose, review "
            f"what differs (`reconciler diff {older[:12]} {newer[:12]}`), then start `reconciler run` once with "
            f"--accept-rewritten {newer[:12]}. Until then {older[:12]} counts.",
            subject=branch,
        )


def forward(folder: Path, ref: str, newer: str, older: str) -> None:
    """Has a ref name the newer commit, if it still names the older one ("" for none). No work tree changes by it."""
    git(folder, "update-ref", "--no-deref", ref, newer, older or "0" * len(newer))
