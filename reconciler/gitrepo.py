"""Git, asked through its own program: a revision's files, and who wrote what. Changes nothing, runs nothing of the
repository's, fetches nothing.

Every call goes through `_git`: settings of the repository that name programs, servers or other places are overridden,
the caller's are not read, and only commands are used that look at objects, never at the work tree, whose attributes
can name filters (ADR 12).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from reconciler.errors import ConsentNeeded, Refused, Unreachable, UsageError
from reconciler.secrets import redacted

#: The mode of a link in a tree, of a folder, and of a commit of another repository (a submodule).
LINK, FOLDER, SUBMODULE = "120000", "040000", "160000"

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


class Commit(msgspec.Struct, frozen=True):
    """One commit: who wrote it and who made it (e-mail addresses as they stand in it), and the files that are theirs.

    `paths` are relative to the folder that was asked for, in any bytes (surrogates for those that are no UTF-8); a
    renamed file is there under both names. Of a merge they are the files whose content is not what the two sides
    together give: what the merge itself decided.
    """

    id: str
    author: str
    committer: str
    paths: frozenset[str]


class Entry(msgspec.Struct, frozen=True):
    """What a tree holds under one name: its mode, as Git writes it, and the id of its object."""

    mode: str
    object: str


# --- Commits ---------------------------------------------------------------------------------------------------


def resolve(folder: Path, revision: str) -> str:
    """The commit that a revision names. Raises `UsageError`, RCL0009; `ConsentNeeded`, RCL0016, where the clone is
    shallow and may lack it for that."""
    try:
        told = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except UsageError:
        if _is_shallow(folder):
            raise _too_shallow(folder, repr(revision)) from None
        raise UsageError(
            "RCL0009",
            f"{revision!r} is neither a folder or file nor a revision of a Git repository here",
            "Name a folder, a file, a branch, a tag or a commit; in CI fetch enough history.",
            subject=revision,
        ) from None
    return told.decode().strip()


def head(folder: Path) -> str:
    """The commit that is checked out; "" where there is no repository that can be read, or nothing is committed yet."""
    try:
        return _git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
    except (UsageError, Unreachable, Refused):
        return ""


def commits(folder: Path, older: str, newer: str) -> list[Commit]:
    """Every commit that `newer` has and `older` has not (all that `newer` has where `older` is ""), oldest first.

    What `older` has and `newer` dropped is asked for the other way round. Raises `ConsentNeeded`, RCL0016, where the
    clone is shallow and the range is not whole; `UsageError`, RCL0009, for a commit that is not there.
    """
    span = [resolve(folder, newer), *([f"^{resolve(folder, older)}"] if older else [])]
    listed = _git(folder, "rev-list", "--topo-order", "--reverse", "--parents", "--end-of-options", *span).decode()
    walked = {line.split()[0]: line.split()[1:] for line in listed.splitlines()}
    headers = {name: _headers(data) for name, data in _objects(folder, walked)}
    for name, parents in walked.items():
        if headers[name].parents != parents:
            raise _too_shallow(folder, f"the parents of {name[:12]}")
    changed = _changed(folder, [(name, parent) for name, parents in walked.items() for parent in parents or ("",)])
    found = []
    for name, parents in walked.items():
        if len(parents) > 1:
            paths = _merged(folder, parents, {parent: changed[name, parent] for parent in parents})
        else:
            paths = changed[name, parents[0] if parents else ""]
        found.append(Commit(name, headers[name].author, headers[name].committer, paths))
    return found


def authors(folder: Path, older: str, newer: str) -> list[tuple[str, tuple[str, ...]]]:
    """E-mail of the author and files (relative to `folder`) of each commit that `newer` has and `older` has not; of
    all that `newer` has where `older` is ""."""
    return [(commit.author, tuple(sorted(commit.paths))) for commit in commits(folder, older, newer)]


class _Headers(msgspec.Struct, frozen=True):
    parents: list[str]
    author: str
    committer: str


def _headers(data: bytes) -> _Headers:
    """From the commit itself: neither a mailmap nor a graft has a say."""
    parents: list[str] = []
    people = {b"author": "", b"committer": ""}
    for line in data.partition(b"\n\n")[0].split(b"\n"):
        word, _, rest = line.partition(b" ")
        if word == b"parent":
            parents.append(rest.decode("ascii", "replace"))
        elif word in people and not people[word]:
            people[word] = rest.rpartition(b"<")[2].partition(b">")[0].decode("utf-8", "surrogateescape").strip()
    return _Headers(parents, people[b"author"], people[b"committer"])


#: So many commits are compared by one call, which bounds what is held of its answer.
_AT_ONCE = 2_000


def _changed(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], frozenset[str]]:
    """Of each (commit, parent) the paths that differ; of a commit without a parent all that it has."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for first in range(0, len(pairs), _AT_ONCE):
        chunk = pairs[first : first + _AT_ONCE]
        found.update(zip(chunk, _compared(folder, chunk), strict=True))
    return found


def _compared(folder: Path, pairs: Sequence[tuple[str, str]]) -> list[frozenset[str]]:
    """In the order of the pairs: the name of each one's commit stands before its paths in what git answers."""
    given = "".join(f"{commit} {parent}".strip() + "\n" for commit, parent in pairs).encode()
    options = ("-r", "-z", "--root", "--always", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
    shown = ("--raw", "--no-abbrev", "--relative", "--", ".")
    fields = iter(_git(folder, "diff-tree", "--stdin", *options, *shown, given=given).split(b"\0"))
    found: list[set[str]] = []
    told: list[str] = []
    for field in fields:
        if field.startswith(b":"):
            found[-1].add(next(fields).decode("utf-8", "surrogateescape"))
        elif field:
            found.append(set())
            told.append(field.decode("ascii", "replace").strip())
    if told != [commit for commit, _ in pairs]:
        raise Unreachable("RCL0009", "git diff-tree answers otherwise than it was asked", "Install a newer Git.")
    return [frozenset(paths) for paths in found]


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
    try:
        bases = _git(folder, "merge-base", "--all", one, other).decode().split()
    except UsageError:
        return frozenset(without)
    return frozenset().union(*_changed(folder, [(one, base) for base in bases]).values())


def _is_shallow(folder: Path) -> bool:
    try:
        return _git(folder, "rev-parse", "--is-shallow-repository").strip() == b"true"
    except (UsageError, Unreachable, Refused):
        return False


def _too_shallow(folder: Path, what: str) -> ConsentNeeded:
    return ConsentNeeded(
        "RCL0016",
        f"the history is cut off: this clone does not have {what}, so who wrote the change cannot be told",
        "Fetch all of it: `git fetch --unshallow`; in CI `fetch-depth: 0` (GitHub), `GIT_DEPTH: 0` (GitLab),"
        " `fetchDepth: 0` (Azure).",
        subject=str(folder),
    )


# --- Trees and files -------------------------------------------------------------------------------------------


def entries(folder: Path, commit: str, below: str) -> dict[str, Entry]:
    """Path, relative to `folder`, -> every file, link, folder and submodule that the commit has at and below a path."""
    listing = _git(folder, "ls-tree", "-r", "-t", "-z", commit, "--", below).decode("utf-8", "surrogateescape")
    found: dict[str, Entry] = {}
    for entry in filter(None, listing.split("\0")):
        meta, _, name = entry.partition("\t")
        mode, _, blob = meta.split()
        if below == "." or name == below or name.startswith(f"{below}/"):
            found[name] = Entry(mode, blob)
    return found


def read_objects(folder: Path, wanted: Iterable[str], largest: int) -> dict[str, bytes | None]:
    """Content of files by the ids of their objects; None for one of more than `largest` bytes.

    Raises `ConsentNeeded`, RCL0016, for one that the clone does not have: it is never fetched.
    """
    names = list(dict.fromkeys(wanted))
    if not names:
        return {}
    sizes = _git(folder, "cat-file", "--batch-check=%(objectname) %(objectsize)", given=_lines(names)).decode()
    found: dict[str, bytes | None] = dict.fromkeys(names)
    small = []
    for name, line in zip(names, sizes.splitlines(), strict=True):
        size = line.split()[1]
        if not size.isdigit():
            raise _partial(folder, name)
        if int(size) <= largest:
            small.append(name)
    found.update(_objects(folder, small))
    return found


def read_files(folder: Path, commit: str) -> dict[str, bytes]:
    """Path, relative to `folder`, -> content of every file that the commit has below it. Links are left out."""
    files = {
        name: entry.object
        for name, entry in entries(folder, commit, ".").items()
        if entry.mode not in (LINK, FOLDER, SUBMODULE)
    }
    contents = dict(_objects(folder, dict.fromkeys(files.values())))
    return {name: contents[blob] for name, blob in files.items()}


def _objects(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    wanted = list(names)
    if not wanted:
        return
    answer = _git(folder, "cat-file", "--batch", given=_lines(wanted))
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


# --- What is checked out ---------------------------------------------------------------------------------------


def state(folder: Path, below: str) -> tuple[str, bool]:
    """The commit that is checked out, and whether anything `below` differs from it; "" outside of a repository."""
    commit = head(folder)
    return commit, bool(commit) and bool(changed_files(folder, below))


def changed_files(folder: Path, below: str) -> set[str]:
    """The files `below` that differ from the commit that is checked out, or that it does not have.

    Compared here, byte for byte but for the ends of lines: Git would ask the filters that attributes name.
    """
    held = {name: each for name, each in entries(folder, resolve(folder, "HEAD"), below).items() if each.mode != FOLDER}
    unwanted = ("--others", "--ignored", "--exclude-standard", "--directory", "-z", "--", below)
    ignored = _git(folder, "ls-files", *unwanted).decode("utf-8", "surrogateescape").split("\0")
    left_out = tuple(filter(None, ignored))
    here = {name: path for name, path in _on_disk(folder, below) if not _is_below(name, left_out)}
    both = [name for name in held.keys() & here.keys() if held[name].mode != SUBMODULE]
    contents = dict(_objects(folder, sorted({held[name].object for name in both})))
    differing = held.keys() ^ here.keys()
    differing |= {name for name in both if not _is_same(here[name], held[name], contents[held[name].object])}
    return differing


def _on_disk(folder: Path, below: str) -> Iterator[tuple[str, Path]]:
    for parent, folders, names in os.walk(folder / below):
        folders[:] = [name for name in folders if name != ".git"]
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in (*names, *links):
            path = Path(parent) / name
            yield path.relative_to(folder).as_posix(), path


def _is_below(name: str, folders: Sequence[str]) -> bool:
    return any(name == each or (each.endswith("/") and name.startswith(each)) for each in folders)


def _is_same(path: Path, entry: Entry, content: bytes) -> bool:
    try:
        if path.is_symlink() or entry.mode == LINK:
            return path.is_symlink() and entry.mode == LINK and os.fsencode(path.readlink()) == content
        if not path.is_file():
            return False
        data = path.read_bytes()
    except OSError:
        return False
    return data == content or data.replace(b"\r\n", b"\n") == content.replace(b"\r\n", b"\n")


def identity(folder: Path) -> str:
    """The e-mail that a commit would be made under here; "" where none is set."""
    try:
        return _git(folder, "config", "--get", "user.email", own_settings=True).decode().strip()
    except (UsageError, Unreachable, Refused):
        return ""


# --- The one way to call it --------------------------------------------------------------------------------------


def _git(folder: Path, *words: str, given: bytes = b"", own_settings: bool = False) -> bytes:
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
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _ENVIRONMENT
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
            env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
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
