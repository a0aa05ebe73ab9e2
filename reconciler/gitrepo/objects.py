"""Objects: what a commit holds, by path and by content, and whether the clone holds all of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from reconciler.errors import ConsentNeeded, Refused, Unreachable, UsageError
from reconciler.gitrepo.call import git, top_of

#: The mode of a link in a tree, of a folder, and of a commit of another repository (a submodule).
LINK, FOLDER, SUBMODULE = "120000", "040000", "160000"


class Entry(msgspec.Struct, frozen=True):
    """What a tree holds under one name: its mode, as Git writes it, and the id of its object."""

    mode: str
    object: str


def is_repository(folder: Path) -> bool:
    """Whether the folder lies in the work tree of a repository, even of one that cannot be read."""
    return top_of(folder) is not None


def is_revision(folder: Path, name: str) -> bool:
    """Whether Git knows a commit by this name here. Raises as `git` does where a repository is there and Git cannot be
    asked about it."""
    if not is_repository(folder):
        return False
    try:
        git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except UsageError:
        git(folder, "rev-parse", "--git-dir")
        return False
    return True


#: Where Git looks for a name, in this order [gitrevisions(7)].
_SPACES = ("refs", "refs/tags", "refs/heads", "refs/remotes")
_SHORT_ID = re.compile(r"[0-9a-fA-F]{4,39}")


def _check_one_meaning(folder: Path, revision: str) -> None:
    """Raises `UsageError`, RCL0018, where Git knows the name in several places, of which it would take the first: a tag
    can be called like a branch of the server, and a branch like the beginning of an id."""
    name = re.split(r"[~^:]|@\{", revision, maxsplit=1)[0]
    wanted = {f"{space}/{name}" for space in _SPACES}
    told = git(folder, "for-each-ref", "--format=%(refname)", *sorted(wanted)).decode("utf-8", "surrogateescape")
    found = sorted(wanted & set(told.splitlines()))
    if len(found) > 1 or (found and _SHORT_ID.fullmatch(name)):
        raise UsageError(
            "RCL0018",
            f"{revision!r} has several meanings for Git: {', '.join(found)}"
            + ("" if len(found) > 1 else ", and an id"),
            f"Write which one, such as {found[-1]}, or the whole id of the commit.",
            subject=revision,
        )


def resolve(folder: Path, revision: str) -> str:
    """The commit that a revision names. Raises `UsageError`, RCL0009, or RCL0018 where it has several meanings;
    `ConsentNeeded`, RCL0016, where the clone is shallow and may lack it for that."""
    if revision != "HEAD":
        _check_one_meaning(folder, revision)
    try:
        told = git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except UsageError:
        if is_shallow(folder):
            raise too_shallow(folder, repr(revision)) from None
        raise UsageError(
            "RCL0009",
            f"{revision!r} is neither a folder or file nor a revision of a Git repository here",
            "Name a folder, a file, a branch, a tag or a commit; in CI fetch enough history.",
            subject=revision,
        ) from None
    return told.decode().strip()


def head(folder: Path) -> str:
    """The commit that is checked out; "" outside of every repository, or where nothing is committed yet.

    Raises where a repository is there and does not tell: `Refused`, RCL3115, and as `git` does. That is never taken for
    no repository, for then nobody would ask who wrote what.
    """
    if not is_repository(folder):
        return ""
    try:
        return git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
    except UsageError as error:
        if _is_unborn(folder):
            return ""
        raise Refused(
            "RCL3115",
            f"a Git repository is there, and what is checked out in {str(folder)!r} cannot be read: "
            f"{error.diagnostic.message}",
            "See `git status` and `git fsck` there, or clone it again. Until then no approval is in effect.",
            subject=str(folder),
        ) from None


def _is_unborn(folder: Path) -> bool:
    """Whether a branch is checked out that has no commit yet."""
    try:
        branch = git(folder, "symbolic-ref", "--quiet", "HEAD").decode("utf-8", "surrogateescape").strip()
        place = git(folder, "rev-parse", "--git-path", branch).decode("utf-8", "surrogateescape").strip()
        return not git(folder, "for-each-ref", "--count=1", branch) and not (folder / place).exists()
    except UsageError:
        return False


def entries(folder: Path, commit: str, *below: str) -> dict[str, Entry]:
    """Path, relative to `folder`, -> every file, link, folder and submodule that the commit has at and below paths."""
    found: dict[str, Entry] = {}
    for first in range(0, len(below), _AT_ONCE):
        paths = below[first : first + _AT_ONCE]
        listing = git(folder, "ls-tree", "-r", "-t", "-z", commit, "--", *paths).decode("utf-8", "surrogateescape")
        for entry in filter(None, listing.split("\0")):
            meta, _, name = entry.partition("\t")
            mode, _, blob = meta.split()
            if any(path == "." or name == path or name.startswith(f"{path}/") for path in paths):
                found[name] = Entry(mode, blob)
    return found


def listed(folder: Path, commit: str, below: Iterable[str]) -> dict[str, dict[str, Entry]]:
    """Each of the folders, by its path from the top of the repository ("" for that itself; all of them equally deep)
    -> what the commit has in it, by name."""
    paths = list(below)
    found: dict[str, dict[str, Entry]] = {path: {} for path in paths}
    for first in range(0, len(paths), _AT_ONCE):
        asked = [f"{path}/" for path in paths[first : first + _AT_ONCE] if path]
        listing = git(folder, "ls-tree", "-z", "--full-tree", commit, "--", *asked).decode("utf-8", "surrogateescape")
        for entry in filter(None, listing.split("\0")):
            meta, _, path = entry.partition("\t")
            mode, _, blob = meta.split()
            above, _, name = path.rpartition("/")
            if above in found:
                found[above][name] = Entry(mode, blob)
    return found


#: So many paths are asked for by one call: a command line has an end.
_AT_ONCE = 100


def read_objects(folder: Path, wanted: Iterable[str], largest: int) -> dict[str, bytes | None]:
    """Content of files by the ids of their objects; None for one of more than `largest` bytes.

    Raises `ConsentNeeded`, RCL0016, for one that the clone does not have: it is never fetched.
    """
    names = list(dict.fromkeys(wanted))
    if not names:
        return {}
    sizes = git(folder, "cat-file", "--batch-check=%(objectname) %(objectsize)", given=_lines(names)).decode()
    found: dict[str, bytes | None] = dict.fromkeys(names)
    small = []
    for name, line in zip(names, sizes.splitlines(), strict=True):
        size = line.split()[1]
        if not size.isdigit():
            raise _partial(folder, name)
        if int(size) <= largest:
            small.append(name)
    found.update(objects(folder, small))
    return found


def read_files(folder: Path, commit: str) -> dict[str, bytes]:
    """Path, relative to `folder`, -> content of every file that the commit has below it. Links are left out."""
    files = {
        name: entry.object
        for name, entry in entries(folder, commit, ".").items()
        if entry.mode not in (LINK, FOLDER, SUBMODULE)
    }
    contents = dict(objects(folder, dict.fromkeys(files.values())))
    return {name: contents[blob] for name, blob in files.items()}


def objects(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    wanted = list(names)
    if not wanted:
        return
    answer = git(folder, "cat-file", "--batch", given=_lines(wanted))
    at = 0
    for name in wanted:
        end = answer.index(b"\n", at)
        words = answer[at:end].split()
        if len(words) != 3:
            raise _partial(folder, name)
        size = int(words[2])
        yield name, answer[end + 1 : end + 1 + size]
        at = end + 1 + size + 1


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _partial(folder: Path, name: str) -> ConsentNeeded:
    return ConsentNeeded(
        "RCL0016",
        f"this clone does not have the object {name[:12]}; it is partial or damaged, and nothing is fetched here",
        "Fetch all of it: clone without `--filter`, or `git fetch --refetch` with the filter taken out.",
        subject=str(folder),
    )


def is_shallow(folder: Path) -> bool:
    try:
        return git(folder, "rev-parse", "--is-shallow-repository").strip() == b"true"
    except (UsageError, Unreachable, Refused):
        return False


def too_shallow(folder: Path, what: str) -> ConsentNeeded:
    return ConsentNeeded(
        "RCL0016",
        f"the history is incomplete: this clone does not have {what}, so who wrote the change is unknown",
        "Fetch all of it: `git fetch --unshallow`; in CI `fetch-depth: 0` (GitHub), `GIT_DEPTH: 0` (GitLab),"
        " `fetchDepth: 0` (Azure).",
        subject=str(folder),
    )
