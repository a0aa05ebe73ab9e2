"""States of the policies: a folder, a file or a revision -> its documents and files; two of them -> what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from reconciler import files, gitrepo
from reconciler.control.approving.authorship import EMPTY, Side
from reconciler.control.policy_folder import FOLDER, names_of
from reconciler.errors import PolicyError, Severity, UsageError
from reconciler.model.comparison import DocumentChange
from reconciler.model.documents import Approvals, PolicySet
from reconciler.parse import Before, FolderTree, PolicyFile, Reading, read_one, read_texts, read_tree
from reconciler.plan import compare as plan_compare
from reconciler.plan.review.signers import signer_changes
from reconciler.protocols import Tree

_LARGEST = 8 * 1024 * 1024


class State(msgspec.Struct, frozen=True):
    """One state of the policies: what it is called, its files with the links that lead to them, the commit if it is
    one. `read` gives another file of the same state, by its path from the root."""

    called: str
    sources: tuple[PolicyFile, ...]
    policies: PolicySet
    read: Callable[[str], bytes | None]
    commit: str = ""


def read_state(root: Path, what: str, *, may_be_empty: bool = False) -> State:
    """A folder, a file, or a revision. Raises `PolicyError` with every mistake of it; with `may_be_empty` a state
    without any policy document counts as an empty one, so that a first commit can be compared."""
    path = (root / what) if not Path(what).is_absolute() else Path(what)
    if path.exists() and not _is_path(what) and gitrepo.is_revision(root, what):
        raise UsageError(
            "RCL0018",
            f"{what!r} is a Git revision and a folder or file here",
            f"Write ./{what} for what lies here. A revision that is also a path is not compared: a change could bring "
            "a folder of that name.",
            subject=what,
        )
    if path.is_file():
        return _state(what, read_texts({path.name: _bytes(path)}, what), _no_others)
    tree: Tree
    folder, commit = FOLDER, ""
    if path.is_dir():
        within = path.name == FOLDER or not (path / FOLDER).is_dir()
        tree, folder = (FolderTree(path.parent), path.name) if within else (FolderTree(path), FOLDER)
    else:
        commit = gitrepo.resolve(root, what)
        tree = gitrepo.CommitTree(root, commit)
    return _read(tree, folder, what, commit, may_be_empty=may_be_empty)


class Shared:
    """What commits that are read one after the other have in common: content of objects, and what files say."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes | None] = {}
        self.before: Before = {}


def read_commit(root: Path, commit: str, shared: Shared | None = None) -> State:
    """The policies of a commit, by its id; none where it has none. Raises `PolicyError` with every mistake."""
    shared = shared or Shared()
    tree = gitrepo.CommitTree(root, commit, shared.contents)
    return _read(tree, FOLDER, commit, commit, may_be_empty=True, before=shared.before)


def _read(
    tree: Tree, folder: str, what: str, commit: str, *, may_be_empty: bool, before: Before | None = None
) -> State:
    others = partial(read_one, tree, largest=_LARGEST)
    try:
        return _state(what, read_tree(tree, folder, what, before), others, commit)
    except PolicyError as error:
        if not may_be_empty or error.diagnostics[0].code not in ("RCL1001", "RCL1003"):
            raise
        return State(what, (), EMPTY, others, commit)


def _is_path(what: str) -> bool:
    """Whether it is written as no revision can be."""
    return what in (".", "..") or what.startswith(("./", "../", "/", ".\\", "..\\")) or Path(what).is_absolute()


def _state(called: str, reading: Reading, others: Callable[[str], bytes | None], commit: str = "") -> State:
    if reading.policies is None:
        raise PolicyError([each for each in reading.diagnostics if each.severity is Severity.ERROR], reading.texts)
    return State(called, reading.sources, reading.policies, others, commit)


def _no_others(path: str) -> bytes | None:
    return None


def changed(older: State, newer: State) -> tuple[DocumentChange, ...]:
    """Every document that differs, the files of allowed signers too."""
    return (*plan_compare(older.policies, newer.policies), *_signers(older, newer))


def _signers(older: State, newer: State) -> Iterator[DocumentChange]:
    """The files of allowed signers are documents of the guard: how each differs from the one that the older state
    judges by. Of a file that it does not judge by every line is new: whoever first names one would else choose the
    keys. Of one that is judged by no more every line goes. A site that was not there, beside others, is held against
    the same file."""
    sites, judges = {placed.document.metadata.name for placed in older.policies.sites}, judges_of(older)
    seen = set()
    for placed in newer.policies.sites if sites else ():
        rules, later = judges.get(placed.document.metadata.name), placed.document.spec.approvals
        now = (later.allowed_signers or "") if later is not None else ""
        was = (rules.allowed_signers or "") if rules is not None else ""
        if placed.document.metadata.name not in sites:
            was = now
        if not (was or now) or (was, now) in seen:
            continue
        seen.add((was, now))
        before, after = text_of(older.read(was)) if was else None, text_of(newer.read(now)) if now else None
        change = signer_changes(now or was, before, after)
        if change is not None:
            yield change


def text_of(data: bytes | None) -> str | None:
    """What a file says, if it is there; what is no UTF-8 in it is marked as such."""
    return data.decode("utf-8", "replace") if data is not None else None


def side_of(state: State) -> Side:
    """The state as authorship sees it: with all the files that it is made of."""
    files = names_of(state.sources)
    signers = {rules.allowed_signers for rules in judges_of(state).values() if rules.allowed_signers is not None}
    return Side(state.commit, state.policies, frozenset(files | signers))


def judges_of(older: State) -> dict[str, Approvals]:
    """The approval rules of each site of a state that has some."""
    every = (placed.document for placed in older.policies.sites)
    return {each.metadata.name: each.spec.approvals for each in every if each.spec.approvals is not None}


# --- Files -----------------------------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    try:
        with files.open_regular(path) as file:
            return file.read(_LARGEST)
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror or error}"
        raise UsageError("RCL0009", what, "Name a folder, a file or a revision.", subject=str(path)) from error
