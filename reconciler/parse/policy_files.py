"""Finding: a tree (a folder, or a commit) -> the policy files in it, and what stands there and is not read.

The only way: every reader, of folders and of Git revisions, sees the same files by this module (ADR 12).

A policy file is a regular file whose name ends in .yaml or .yml, in any letter case, at any depth below the policy
folder. Links are followed inside the root, and a file is read once however many lead to it, under the name that it has
there: the one that Git, editors and authors know. What begins with a dot is only read where a link leads to it.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator

import msgspec

from reconciler.errors import Diagnostic, Location, PolicyError, Severity
from reconciler.model.names import fold
from reconciler.protocols import Kind, Tree, TreeEntry

SUFFIXES = (".yaml", ".yml")
MOST_FOLDERS_DEEP = 32
MOST_NAMES = 200_000
MOST_LINKS = 40
_LOOKED_AT = 4_096
_ABSOLUTE = re.compile(r"/|\\|[A-Za-z]:")
_OTHER_REPOSITORY = (
    "belongs to another Git repository, so its files are not in this one's commits",
    "Add the files themselves, or keep it outside of the policy folder.",
)
_OURS = re.compile(rb"^[\s{\"']*apiVersion[\"']?\s*:\s*[\"']?reconciler/", re.MULTILINE)


class PolicyFile(msgspec.Struct, frozen=True, order=True):
    """A file that is read: its name from the root, and the links that lead to it: who turns one of them elsewhere
    changes the policies as well."""

    name: str
    links: tuple[str, ...] = ()


class PolicyFiles(msgspec.Struct, frozen=True):
    """What was found, by name. Where `diagnostics` hold an error, something is there that cannot be read."""

    files: tuple[PolicyFile, ...]
    diagnostics: tuple[Diagnostic, ...]


def is_policy_name(name: str) -> bool:
    """Whether a file of this name holds policies."""
    return name.lower().endswith(SUFFIXES)


def find_policy_files(tree: Tree, folder: str) -> PolicyFiles:
    """The policy files below a folder. Raises `PolicyError` where there is no such folder, or it cannot be read: that
    is never taken for one without policies."""
    return _Walk(tree).below(folder)


def read_policy_files(tree: Tree, found: PolicyFiles, largest: int) -> tuple[dict[str, bytes], tuple[Diagnostic, ...]]:
    """Name -> the first `largest` bytes of each, and those that cannot be read."""
    texts: dict[str, bytes] = {}
    wrong = []
    for name, data in tree.read([each.name for each in found.files], largest).items():
        if isinstance(data, OSError):
            wrong.append(_unreadable(name, data))
        else:
            texts[name] = data
    return texts, tuple(wrong)


def read_one(tree: Tree, path: str, largest: int) -> bytes | None:
    """A file that policies name (allowed signers), links inside the root followed; None where there is none."""
    try:
        where, _ = _follow(tree, path)
        entry = tree.entry(where) if where else None
    except (_LeadsNowhere, OSError):
        return None
    data = tree.read([where], largest)[where] if entry is not None and entry.kind is Kind.FILE else None
    return None if isinstance(data, OSError) else data


# --- Links -----------------------------------------------------------------------------------------------------


class _LeadsNowhere(Exception):
    """A link that cannot be followed; says why."""


def _follow(tree: Tree, path: str) -> tuple[str, tuple[str, ...]]:
    """Where a path leads: its name without links, and the links that were followed. Raises `_LeadsNowhere`."""
    links: list[str] = []
    ahead = deque(path.split("/"))
    here: list[str] = []
    while ahead:
        step = ahead.popleft()
        if step == ".." and not here:
            raise _LeadsNowhere("leads out of the root")
        if step == "..":
            here.pop()
        if step in ("", ".", ".."):
            continue
        name = "/".join([*here, step])
        entry = tree.entry(name)
        if entry is None:
            raise _LeadsNowhere("leads to nothing" if links else "is missing")
        if entry.kind is not Kind.LINK:
            here.append(step)
            continue
        links.append(name)
        if len(links) > MOST_LINKS:
            raise _LeadsNowhere(f"leads in a circle, or over more than {MOST_LINKS} links")
        if _ABSOLUTE.match(entry.target):
            raise _LeadsNowhere("leads out of the root")
        ahead.extendleft(reversed(entry.target.split("/")))
    return "/".join(here), tuple(links)


# --- Walking ---------------------------------------------------------------------------------------------------


class _Walk:
    """One walk through a tree: each folder once, the way without links first."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._files: dict[str, set[str]] = {}
        self._folders: dict[str, set[str]] = {}
        self._others: list[str] = []
        self._hidden: list[str] = []
        self._found: list[Diagnostic] = []
        self._ahead: deque[tuple[str, int]] = deque()
        self._names = 0

    def below(self, folder: str) -> PolicyFiles:
        where, links = self._start(folder)
        self._folders[where] = set(links)
        self._ahead.append((where, 0))
        while self._ahead:
            self._folder(*self._ahead.popleft())
        self._tell_unread()
        self._tell_alike()
        files = tuple(PolicyFile(name, self._links_to(name)) for name in sorted(self._files))
        return PolicyFiles(files, tuple(self._found))

    def _start(self, folder: str) -> tuple[str, tuple[str, ...]]:
        try:
            where, links = _follow(self._tree, folder)
            entry = self._tree.entry(where) if where else TreeEntry("", Kind.FOLDER)
            if entry is None or entry.kind is not Kind.FOLDER:
                what = "is not a folder"
                raise PolicyError([_about(folder, "RCL1001", what, "Policies are files in a folder.", Location(""))])
            self._tree.entries(where)
        except _LeadsNowhere as error:
            remedy = "Go to the root, or name it with -C DIR."
            raise PolicyError([_about(folder, "RCL1001", str(error), remedy, Location(""))]) from error
        except OSError as error:
            raise PolicyError([_unreadable(folder, error)]) from error
        return where, links

    def _folder(self, folder: str, depth: int) -> None:
        try:
            entries = sorted(self._tree.entries(folder), key=lambda entry: entry.name)
        except OSError as error:
            self._found.append(_unreadable(folder, error))
            return
        self._names += len(entries)
        if depth > MOST_FOLDERS_DEEP or self._names > MOST_NAMES:
            limit = f"{MOST_FOLDERS_DEEP} folders deep" if depth > MOST_FOLDERS_DEEP else f"{MOST_NAMES:,} names"
            self._say(folder, "RCL1093", f"is beyond what is read: {limit}", "Divide the policies among sites.")
            self._ahead.clear()
            return
        if depth and any(entry.name == ".git" for entry in entries) and not self._folders[folder]:
            self._say(folder, "RCL1094", *_OTHER_REPOSITORY)
            return
        for entry in entries:
            self._entry(f"{folder}/{entry.name}" if folder else entry.name, entry, depth)

    def _entry(self, path: str, entry: TreeEntry, depth: int) -> None:
        hidden = entry.name.startswith(".")
        if entry.kind is Kind.LINK:
            if not hidden:
                self._link(path, depth)
        elif entry.kind is Kind.FOLDER:
            if hidden:
                self._hidden.append(path)
            else:
                self._reach(path, set(), depth)
        elif entry.kind is Kind.FILE and not hidden and is_policy_name(entry.name):
            self._files.setdefault(path, set())
        elif entry.kind is Kind.FILE:
            self._others.append(path)
        elif entry.kind is Kind.REPOSITORY:
            self._say(path, "RCL1094", *_OTHER_REPOSITORY)
        elif is_policy_name(entry.name):
            self._say(path, "RCL1002", "is not a regular file", "Remove it, or give it another ending.")

    def _reach(self, folder: str, links: set[str], depth: int) -> None:
        if folder not in self._folders:
            self._folders[folder] = links
            self._ahead.append((folder, depth + 1))
        elif links:
            self._folders[folder] |= links

    def _link(self, path: str, depth: int) -> None:
        """A link that is followed to the end: nothing that it could lead to is left out without a word."""
        try:
            where, links = _follow(self._tree, path)
            entry = self._tree.entry(where) if where else TreeEntry("", Kind.FOLDER)
        except _LeadsNowhere as error:
            remedy = "Let it lead to a file or folder below the root, or remove it."
            self._say(path, "RCL1091", f"is a link that {error}", remedy)
            return
        except OSError as error:
            self._found.append(_unreadable(path, error))
            return
        kind = entry.kind if entry is not None else Kind.OTHER
        if kind is Kind.FOLDER and f"{path}/".startswith(f"{where}/" if where else ""):
            self._say(path, "RCL1091", "is a link that leads to a folder that it is in", "Remove it.")
        elif kind is Kind.FOLDER:
            self._reach(where, set(links), depth)
        elif kind is Kind.REPOSITORY:
            self._say(path, "RCL1094", *_OTHER_REPOSITORY)
        elif kind is Kind.FILE and is_policy_name(path):
            self._files.setdefault(where, set()).update(links)
        elif kind is Kind.FILE:
            self._others.append(where)
        elif is_policy_name(path):
            self._say(path, "RCL1002", "is not a regular file", "Remove it, or give it another ending.")

    def _links_to(self, file: str) -> tuple[str, ...]:
        """The links to the file itself, and to each folder that it is in."""
        links = set(self._files[file])
        for at, letter in enumerate(file):
            if letter == "/":
                links |= self._folders.get(file[:at], set())
        return tuple(sorted(links | self._folders.get("", set())))

    # --- What is not read --------------------------------------------------------------------------------------

    def _tell_unread(self) -> None:
        unread = [path for path in self._others if path not in self._files]
        unread += [path for path in self._hidden_files() if path not in self._files]
        named = {path for path in unread if is_policy_name(path)}
        read = self._tree.read([path for path in unread if path not in named], _LOOKED_AT)
        named |= {path for path, data in read.items() if isinstance(data, bytes) and _OURS.search(data)}
        for path in sorted(named):
            hidden = any(name.startswith(".") for name in path.split("/"))
            why = "its name begins with a dot, or a folder's does" if hidden else "its name does not end in .yaml"
            remedy = "Rename it if it holds policies; else move it out of the policy folder."
            self._say(path, "RCL1092", f"is not read: {why}", remedy, Severity.ADVICE)

    def _hidden_files(self) -> Iterator[str]:
        """Files with the name of policies in folders that are hidden and that no link reaches."""
        ahead = [path for path in self._hidden if path.rpartition("/")[2] != ".git" and path not in self._folders]
        while ahead and self._names <= MOST_NAMES:
            folder = ahead.pop()
            try:
                entries = self._tree.entries(folder)
            except OSError:
                continue  # what cannot be looked into is not read, as was to be told
            self._names += len(entries)
            for entry in entries:
                path = f"{folder}/{entry.name}"
                if entry.kind is Kind.FOLDER and path.count("/") <= MOST_FOLDERS_DEEP:
                    ahead.append(path)
                elif entry.kind is Kind.FILE and is_policy_name(entry.name):
                    yield path

    def _tell_alike(self) -> None:
        """Names that are one on a disk that does not tell letter case apart: there, one file hides the other."""
        alike: dict[str, list[str]] = defaultdict(list)
        for name in self._files:
            alike[fold(name)].append(name)
        for names in alike.values():
            if len(names) > 1:
                what = f"differs from {sorted(names)[1]} in letter case alone: some disks hold only one of them"
                self._say(min(names), "RCL1095", what, "Rename one of them.", Severity.WARNING)

    def _say(self, path: str, code: str, what: str, remedy: str, severity: Severity = Severity.ERROR) -> None:
        self._found.append(_about(path, code, what, remedy, Location(path), severity))


def _about(
    path: str, code: str, what: str, remedy: str, where: Location, severity: Severity = Severity.ERROR
) -> Diagnostic:
    return Diagnostic(code, severity, f"{path!r} {what}", remedy, where if where.file else None, subject=path)


def _unreadable(path: str, error: OSError) -> Diagnostic:
    what = f"cannot be read: {error.strerror or error}"
    return _about(path, "RCL1002", what, "Grant this account permission to read it.", Location(path))
