"""History: two commits -> every commit between them, who wrote it, and which files are its own work."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from reconciler.errors import Unreachable, UsageError
from reconciler.gitrepo.call import git
from reconciler.gitrepo.objects import LINK, Entry, is_shallow, objects, read_objects, resolve, too_shallow
from reconciler.model.names import fold


class Commit(msgspec.Struct, frozen=True):
    """One commit: who wrote it, who made it and whom it names as co-authors (e-mail addresses as they stand in it),
    and the files that are theirs.

    `paths` are relative to the folder that was asked for, in any bytes (surrogates for those that are no UTF-8); a
    renamed file is there under both names. Of a merge they are the files whose content is not what the two sides
    together give: what the merge itself decided. `parents` are their ids. `at` is when its author wrote it, as it says
    (UTC; None where it does not say so in a way that can be read).
    """

    id: str
    author: str
    committer: str
    paths: frozenset[str]
    co_authors: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    at: datetime | None = None


def commits(folder: Path, older: str, newer: str) -> list[Commit]:
    """Every commit that `newer` has and `older` has not (all that `newer` has where `older` is ""), oldest first.

    What `older` has and `newer` dropped is asked for the other way round. Raises `ConsentNeeded`, RCL0016, where the
    clone is shallow and the range is not whole; `UsageError`, RCL0009, for a commit that is not there.
    """
    return list(_commits(folder, resolve(folder, older) if older else "", resolve(folder, newer)))


@lru_cache(maxsize=32)
def _commits(folder: Path, older: str, newer: str) -> tuple[Commit, ...]:
    """The same between ids of commits: what is between two of them never changes."""
    span = [newer, *([f"^{older}"] if older else [])]
    listed = git(folder, "rev-list", "--topo-order", "--reverse", "--parents", "--end-of-options", *span, "--").decode()
    walked = {line.split()[0]: line.split()[1:] for line in listed.splitlines()}
    headers = {name: _headers(data) for name, data in objects(folder, walked)}
    for name, parents in walked.items():
        if headers[name].parents != parents:
            raise too_shallow(folder, f"the parents of {name[:12]}")
    changed = _changed(folder, [(name, parent) for name, parents in walked.items() for parent in parents or ("",)])
    found = []
    for name, parents in walked.items():
        if len(parents) > 1:
            paths = _merged(folder, parents, {parent: changed[name, parent] for parent in parents})
        else:
            paths = changed[name, parents[0] if parents else ""]
        told = headers[name]
        found.append(Commit(name, told.author, told.committer, paths, told.co_authors, tuple(parents), told.at))
    return tuple(found)


def authors(folder: Path, older: str, newer: str) -> list[tuple[str, tuple[str, ...]]]:
    """E-mail of the author and files (relative to `folder`) of each commit that `newer` has and `older` has not; of
    all that `newer` has where `older` is ""."""
    return [(commit.author, tuple(sorted(commit.paths))) for commit in commits(folder, older, newer)]


def brought(folder: Path, commit: str, *paths: str) -> frozenset[str]:
    """E-mail of the author of every commit up to this one that made one of the paths what it was then; a commit that
    moves a file brings it. A merge that has each of them as one of its parents has it brings nothing: who merges is not
    who brought it. Raises `ConsentNeeded`, RCL0016, where the clone is shallow and the first of them is not there."""
    walk = ("rev-list", "--full-history", "--end-of-options", resolve(folder, commit), "--", *paths)
    found = git(folder, *walk).decode().split()
    if not found:
        return frozenset()
    seen = git(folder, "rev-list", "--no-walk", "--parents", "--stdin", given=_named(found)).decode()
    parents = {line.split()[0]: line.split()[1:] for line in seen.splitlines()}
    headers = {name: _headers(data) for name, data in objects(folder, found)}
    cut = next((name for name in found if headers[name].parents != parents.get(name, [])), None)
    if cut is not None:
        raise too_shallow(folder, f"the parents of {cut[:12]}")
    merges = {name: headers[name].parents for name in found if len(headers[name].parents) > 1}
    pairs = [(name, parent) for name, ahead in merges.items() for parent in ahead]
    changed = _changed(folder, pairs, *paths)
    taken = {name for name, ahead in merges.items() if not frozenset.intersection(*(changed[name, p] for p in ahead))}
    return frozenset(headers[name].author for name in found if name not in taken)


#: The objects of the files of a commit's parent that have a word, and of those that it wrote itself that have it.
Carried = tuple[frozenset[str], frozenset[str]]


class Gone(msgspec.Struct, frozen=True):
    """What some commit took away: words that were in a file and are in none of those that it wrote, and the paths of
    links that it removed or led elsewhere. `carried`: where a file with a word was written anew, or elsewhere.
    `linked`: whether any link was ever there."""

    words: frozenset[str]
    links: frozenset[str]
    carried: Mapping[str, frozenset[Carried]] = {}
    linked: bool = False


def gone(folder: Path, commits: Sequence[str], below: Sequence[str], words: re.Pattern[bytes]) -> Gone:
    """What any commit up to these took away at and below paths, of what the pattern finds there. Raises
    `ConsentNeeded`, RCL0016, where the clone is shallow or partial: then that cannot be told."""
    if is_shallow(folder):
        raise too_shallow(folder, "its first commits")
    walk = ("rev-list", "--full-history", "--end-of-options", *commits, "--", *below)
    found = git(folder, *walk).decode().split()
    headers = {name: _headers(data) for name, data in objects(folder, found)}
    pairs = [(name, parent) for name in found for parent in headers[name].parents]
    lost: set[str] = set()
    links: set[str] = set()
    carried: dict[str, set[Carried]] = defaultdict(set)
    linked = False
    for first in range(0, len(pairs), _AT_ONCE):
        compared = _compared(folder, pairs[first : first + _AT_ONCE], *below)
        links |= {path for changes in compared for path, change in changes.items() if change.old.mode == LINK}
        linked = linked or any(LINK in (each.old.mode, each.new.mode) for one in compared for each in one.values())
        both = [
            (_files(each.old for each in one.values()), _files(each.new for each in one.values())) for one in compared
        ]
        sides = [(old, new) for old, new in both if old]
        blobs = {blob for old, new in sides for blob in old | new}
        texts = read_objects(folder, blobs, _LARGEST)
        said = {blob: frozenset(words.findall(text or b"")) for blob, text in texts.items()}
        for old, new in sides:
            before, after = (_by_word(side, said) for side in (old, new))
            lost |= before.keys() - after.keys()
            for word in before.keys() & after.keys():
                carried[word].add((before[word], after[word]))
    return Gone(frozenset(lost), frozenset(links), {word: frozenset(each) for word, each in carried.items()}, linked)


#: A file of more is no policy, so nothing is looked for in it.
_LARGEST = 8 * 1024 * 1024


def _by_word(blobs: Iterable[str], said: Mapping[str, Iterable[bytes]]) -> dict[str, frozenset[str]]:
    """Word -> those of the objects that say it."""
    found: dict[str, frozenset[str]] = defaultdict(frozenset)
    for blob in blobs:
        for word in said[blob]:
            found[word.decode("utf-8", "replace")] |= {blob}
    return dict(found)


def _files(entries: Iterable[Entry]) -> frozenset[str]:
    """The objects of regular files among them."""
    return frozenset(each.object for each in entries if each.mode.startswith("100"))


def is_ancestor(folder: Path, older: str, newer: str) -> bool:
    """Whether the newer commit has all that the older one ("" for none) has."""
    return not older or older in merge_bases(folder, older, newer)


def merge_bases(folder: Path, one: str, other: str) -> list[str]:
    """Where two commits parted: the latest that both have; none where they have nothing in common."""
    try:
        return git(folder, "merge-base", "--all", one, other).decode().split()
    except UsageError:
        return []


def _named(commits: Sequence[str]) -> bytes:
    return "".join(f"{each}\n" for each in commits).encode()


#: What a line of a message begins with that names somebody who wrote the commit too.
_BESIDE = fold("Co-authored-by:")


class _Headers(msgspec.Struct, frozen=True):
    parents: list[str]
    author: str
    committer: str
    co_authors: tuple[str, ...]
    at: datetime | None = None


def _headers(data: bytes) -> _Headers:
    """From the commit itself: neither a mailmap nor a graft has a say."""
    parents: list[str] = []
    people: dict[bytes, str] = {}
    at: datetime | None = None
    header, _, message = data.partition(b"\n\n")
    for line in header.split(b"\n"):
        word, _, rest = line.partition(b" ")
        if word == b"parent":
            parents.append(rest.decode("ascii", "replace"))
        elif word in (b"author", b"committer"):
            people[word] = "" if word in people else _address(rest)  # of two lines programs take different ones
            at = _time(rest) if word == b"author" else at
    said = [line.strip() for line in message.split(b"\n")]
    beside = tuple(_address(line) for line in said if fold(line[: len(_BESIDE)].decode("ascii", "replace")) == _BESIDE)
    return _Headers(parents, people.get(b"author", ""), people.get(b"committer", ""), beside, at)


def _address(person: bytes) -> str:
    """What stands between the brackets; "" where there are several, of which programs take different ones."""
    if person.count(b"<") != 1 or person.count(b">") != 1:
        return ""
    return person.partition(b"<")[2].partition(b">")[0].decode("utf-8", "surrogateescape").strip()


def _time(person: bytes) -> datetime | None:
    """The time behind the address: seconds since 1970, then the author's zone, which says nothing about the moment."""
    try:
        seconds, _ = person.rpartition(b">")[2].split()
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return None


#: So many commits are compared by one call, which bounds what is held of its answer.
_AT_ONCE = 2_000


class _Change(msgspec.Struct, frozen=True):
    """What a path was and is; one that is not there has the mode 000000."""

    old: Entry
    new: Entry


def _changed(folder: Path, pairs: Sequence[tuple[str, str]], *below: str) -> dict[tuple[str, str], frozenset[str]]:
    """Of each (commit, parent) the paths that differ, at and `below` some or all; of a commit without a parent all that
    it has."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for first in range(0, len(pairs), _AT_ONCE):
        chunk = pairs[first : first + _AT_ONCE]
        found.update(zip(chunk, map(frozenset, _compared(folder, chunk, *below)), strict=True))
    return found


def _compared(folder: Path, pairs: Sequence[tuple[str, str]], *below: str) -> list[dict[str, _Change]]:
    """In the order of the pairs: the name of each one's commit stands before its paths in what git answers."""
    given = "".join(f"{commit} {parent}".strip() + "\n" for commit, parent in pairs).encode()
    options = ("-r", "-z", "--root", "--always", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
    shown = ("--raw", "--no-abbrev", "--relative", "--", *(below or (".",)))
    fields = iter(git(folder, "diff-tree", "--stdin", *options, *shown, given=given).split(b"\0"))
    found: list[dict[str, _Change]] = []
    told: list[str] = []
    for field in fields:
        if field.startswith(b":"):
            was, now, old, new, _ = field[1:].decode("ascii").split()
            found[-1][next(fields).decode("utf-8", "surrogateescape")] = _Change(Entry(was, old), Entry(now, new))
        elif field:
            found.append({})
            told.append(field.decode("ascii", "replace").strip())
    if told != [commit for commit, _ in pairs]:
        raise Unreachable("RCL0009", "git diff-tree gives an unexpected answer", "Install a newer Git.")
    return found


def _merged(folder: Path, parents: Sequence[str], changed: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The paths that a merge decided: other than all its parents, or taken from one although another had changed
    them. `changed`: what differs from each parent."""
    decided = set(frozenset.intersection(*changed.values()))
    for parent in parents:
        for other in parents:
            taken = changed[parent] - changed[other] - decided
            if taken:
                decided |= taken & _since_parting(folder, parent, other, taken)
    return frozenset(decided)


def _since_parting(folder: Path, one: str, other: str, without: frozenset[str] | set[str]) -> frozenset[str]:
    """What `one` has changed since it parted from `other`; `without` a common past all that is asked about."""
    bases = merge_bases(folder, one, other)
    if not bases:
        return frozenset(without)
    return frozenset().union(*_changed(folder, [(one, base) for base in bases]).values())
