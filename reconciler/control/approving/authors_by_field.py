"""Blame: two commits -> for each field of a document whose value differs somewhere between them, who made it differ.

What a document says is what counts, as a comparison sees it: presets, defaults and renames come in where they do. Each
commit is read as it is and held against its parents. What cannot be told so is everybody's.
"""

from __future__ import annotations

import posixpath
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from reconciler import gitrepo
from reconciler.control.approving.authorship import EMPTY
from reconciler.control.policy_folder import FOLDER
from reconciler.control.policy_states import Shared, State, changed, judges_of, read_commit
from reconciler.errors import PolicyError, ReconcilerError
from reconciler.model.comparison import DocumentChange, DocumentVerb
from reconciler.model.documents import ApprovalSpec
from reconciler.model.names import fold
from reconciler.parse import read_one, read_texts
from reconciler.parse.load import LARGEST_FILE
from reconciler.plan.review.signers import KIND as SIGNERS

#: A document: its kind and its name.
Document = tuple[str, str]

#: What is told of each field of each document.
_ByField = dict[Document, dict[str, frozenset[str]]]

#: Ranges of more commits are not looked through: then everybody who wrote in them wrote everything.
MOST_COMMITS = 200

#: Nor are ranges whose commits have more documents than this, all together: reading them takes half a minute.
MOST_DOCUMENTS = 400_000

#: So many states are held at once.
_STATES = 8


class Blame(msgspec.Struct, frozen=True):
    """Who changed each field of each document ("" for all of it: it came, went or was renamed), and which documents
    are `unclear`: those are everybody's. `alike` are names that one document had, one after the other, each with the
    one that stands for them. `last` is the nearest commit up to the newer one that reads ("" for none), `since` who
    wrote what came after it and was read by nobody: that may be any document. "" among people is somebody who gave no
    address. `touched` are who touched each file.

    The allowed signers are one document, whatever file they are in at a commit, and whoever touched the file that they
    are in wrote them too: a site may have named another one then. `commits` are the ids of the commits that made each
    field differ, as `people` has who wrote them; "" is the work tree.
    """

    people: Mapping[Document, Mapping[str, frozenset[str]]]
    unclear: frozenset[Document]
    alike: Mapping[Document, Document]
    last: str
    since: frozenset[str]
    touched: Mapping[str, frozenset[str]] = {}
    commits: Mapping[Document, Mapping[str, frozenset[str]]] = {}

    def wrote(self, change: DocumentChange, field: str) -> frozenset[str] | None:
        """Who made the field of a change what it is ("" or a field that nobody changed by itself: who made the document
        so); None: that cannot be told, so everybody."""
        names = self._names(change)
        if names & self.unclear:
            return None
        found = self.since.union(*_of(self.people, names, change, field))
        if change.kind == SIGNERS:
            found |= self.touched.get(posixpath.normpath(change.name), frozenset())
        return found if found and "" not in found else None

    def made_by(self, change: DocumentChange, field: str) -> frozenset[str]:
        """The ids of the commits that made the field of a change what it is, as far as that can be told; none where it
        cannot. Nothing is decided by it: it is for people to look at."""
        names = self._names(change)
        if names & self.unclear:
            return frozenset()
        return frozenset().union(*_of(self.commits, names, change, field))

    def _names(self, change: DocumentChange) -> set[Document]:
        """Every name that the document of a change has or had."""
        mine = {self.alike.get(each, each) for each in _documents(change)}
        return mine | {each for each, same in self.alike.items() if same in mine}


def _of(
    told: Mapping[Document, Mapping[str, frozenset[str]]], names: set[Document], change: DocumentChange, field: str
) -> list[frozenset[str]]:
    """What is told of a field, and of the whole documents ("" and all of them where nobody changed it by itself)."""
    mine = [told[each] for each in names if each in told]
    if not field or change.kind == SIGNERS or not any(field in fields for fields in mine):
        return [each for fields in mine for each in fields.values()]
    return [each for fields in mine for name, each in fields.items() if name in ("", field)]


def blame(root: Path, older: str, newer: str) -> Blame | None:
    """Who changed what, of all that `newer` has and `older` ("" for nothing) has not; None where it cannot be told."""
    try:
        return _blame(str(root), older, newer)
    except ReconcilerError:
        return None


def onward(found: Blame, root: Path, work: State, people: frozenset[str]) -> Blame | None:
    """The same with what differs from the newer commit in the work tree, whose work that is; None where it cannot be
    told."""
    try:
        last = read_commit(root, found.last) if found.last else _nothing()
        differing = changed(last, work)
    except ReconcilerError:
        return None
    told = _Told(_copied(found.people), set(found.unclear), dict(found.alike), _copied(found.commits))
    told.add(differing, people | found.since, "")
    return told.blame(found.last, frozenset(), found.touched)


def _copied(told: Mapping[Document, Mapping[str, frozenset[str]]]) -> _ByField:
    return {each: dict(fields) for each, fields in told.items()}


@lru_cache(maxsize=16)
def _blame(root: str, older: str, newer: str) -> Blame | None:
    folder = Path(root)
    found = gitrepo.commits(folder, older, newer)
    read = sum(bool(each.paths) or len(each.parents) > 1 for each in found)
    if read > MOST_COMMITS or not gitrepo.is_ancestor(folder, older, newer):
        return None
    try:
        return _Walk(folder, older, found).walk()
    except _TooManyError:
        return None


class _TooManyError(Exception):
    """More documents than are looked through."""


class _Told:
    """What is found on the way."""

    def __init__(
        self, people: _ByField, unclear: set[Document], alike: dict[Document, Document], commits: _ByField
    ) -> None:
        self._people = people
        self._commits = commits
        self._unclear = unclear
        self._alike = alike

    def add(self, changes: Iterable[DocumentChange], people: frozenset[str], commit: str) -> None:
        for change in changes:
            documents = _documents(change)
            if len(documents) > 1:
                self._join(*documents)
            whole = [] if change.verb is DocumentVerb.CHANGED else [""]
            for each in documents:
                told, made = self._people.setdefault(each, {}), self._commits.setdefault(each, {})
                for field in [*whole, *(field.field for field in change.fields)]:
                    told[field] = told.get(field, frozenset()) | people
                    made[field] = made.get(field, frozenset()) | {commit}
                if not people:
                    self._unclear.add(each)

    def give_up(self, changes: Iterable[DocumentChange]) -> None:
        for change in changes:
            self._unclear |= set(_documents(change))

    def _join(self, one: Document, other: Document) -> None:
        stands = self._alike.get(other, other)
        for each in [name for name, same in self._alike.items() if same == self._alike.get(one, one)] + [one]:
            self._alike[each] = stands
        self._alike[other] = stands

    def blame(self, last: str, since: frozenset[str], touched: Mapping[str, frozenset[str]]) -> Blame:
        return Blame(self._people, frozenset(self._unclear), self._alike, last, since, touched, self._commits)


class _Walk:
    """One walk over a range, oldest commit first.

    A commit whose policies do not read is passed over: who wrote it is held to have written all that the next one that
    reads does otherwise than the last one before it. What such a commit leaves to be answered for is owed: a merge on
    whose sides something is owed is read, whatever it decided itself.
    """

    def __init__(self, root: Path, older: str, commits: list[gitrepo.Commit]) -> None:
        self._root = root
        self._older = older
        self._commits = commits
        self._told = _Told({}, set(), {}, {})
        self._reads: dict[str, str] = {}  # commit -> the nearest one up to it whose policies read
        self._owed: dict[str, frozenset[str]] = {}  # commit -> who wrote since then
        self._states: OrderedDict[str, State] = OrderedDict()
        self._shared = Shared()
        self._documents = 0
        self._linked: dict[str, bool] = {}  # commit -> whether a link among its policies may lead elsewhere

    def walk(self) -> Blame:
        for commit in self._commits:
            self._commit(commit)
        newest = self._commits[-1].id if self._commits else self._older
        touched: dict[str, frozenset[str]] = {}
        for commit in self._commits:
            touched |= {path: touched.get(path, frozenset()) | _people(commit) for path in commit.paths}
        return self._told.blame(self._place(newest), self._owed.get(newest, frozenset()), touched)

    def _commit(self, commit: gitrepo.Commit) -> None:
        parents = commit.parents or ("",)
        places = {self._place(parent) for parent in parents}
        owed = frozenset().union(*(self._owed.get(parent, frozenset()) for parent in parents))
        if not commit.paths and len(places) == 1 and (len(parents) == 1 or not owed):  # the policies are those of both
            self._reads[commit.id], self._owed[commit.id] = places.pop(), owed
            return
        if len(parents) == 1 and not owed and self._is_elsewhere(commit, parents[0]):
            self._reads[commit.id] = self._place(parents[0])
            return
        people = _people(commit)
        try:
            state = self._state(commit.id)
        except PolicyError:
            self._reads[commit.id], self._owed[commit.id] = self._place(parents[0]), owed | people
            for other in parents[1:]:
                self._told.give_up(changed(self._state(self._place(other)), self._state(self._place(parents[0]))))
            return
        self._reads[commit.id] = commit.id
        if len(parents) == 1:
            self._told.add(changed(self._state(self._place(parents[0])), state), people | owed, commit.id)
        else:
            self._merge(commit, state, people, owed)

    def _merge(self, commit: gitrepo.Commit, state: State, people: frozenset[str], owed: frozenset[str]) -> None:
        """What a merge has otherwise than every side is unclear. What it has as one side is the work of that side,
        unless the other side had changed it too: then the merge chose."""
        sides = {parent: changed(self._state(self._place(parent)), state) for parent in commit.parents}
        names = {parent: {each for change in found for each in _documents(change)} for parent, found in sides.items()}
        everywhere = set.intersection(*names.values())
        for parent, found in sides.items():
            if not found:
                continue
            if owed:
                self._told.add(found, owed, commit.id)
            rest = [change for change in found if not everywhere & set(_documents(change))]
            self._told.give_up(change for change in found if everywhere & set(_documents(change)))
            if not rest:
                continue
            took = [other for other in commit.parents if other != parent]
            for other in took:
                base = gitrepo.merge_bases(self._root, parent, other)
                if len(base) != 1:
                    self._told.give_up(rest)
                    continue
                here = changed(self._state(self._place(base[0])), self._state(self._place(parent)))
                mine = {each for change in here for each in _documents(change)}
                self._told.add((change for change in rest if mine & set(_documents(change))), people, commit.id)

    def _is_elsewhere(self, commit: gitrepo.Commit, parent: str) -> bool:
        """Whether the policies are those of the parent, since nothing of theirs was touched: neither a file of the
        folder, nor one that a link there may lead to, nor the allowed signers."""
        if not parent or any(path == FOLDER or path.startswith(f"{FOLDER}/") for path in commit.paths):
            return False
        if parent not in self._linked:
            entries = gitrepo.entries(self._root, parent, FOLDER).values()
            self._linked[parent] = any(each.mode in (gitrepo.LINK, gitrepo.SUBMODULE) for each in entries)
        self._linked[commit.id] = self._linked[parent]
        signers = {each.allowed_signers or "" for each in judges_of(self._state(self._place(parent))).values()}
        return not self._linked[parent] and not {posixpath.normpath(path) for path in signers} & commit.paths

    def _place(self, commit: str) -> str:
        return self._reads.get(commit, commit)

    def _state(self, commit: str) -> State:
        if commit in self._states:
            self._states.move_to_end(commit)
            return self._states[commit]
        state = read_commit(self._root, commit, self._shared) if commit else _nothing()
        self._documents += sum(len(getattr(state.policies, kind)) for kind in ("groups", "exclusions", "guardrails"))
        if self._documents > MOST_DOCUMENTS:
            raise _TooManyError
        self._states[commit] = state
        if len(self._states) > _STATES:
            self._states.popitem(last=False)
        return state


def _people(commit: gitrepo.Commit) -> frozenset[str]:
    """Who made a commit; "" among them where it does not say who wrote it, or who made it."""
    return frozenset({commit.author, commit.committer, *(each for each in commit.co_authors if each)})


def _nothing() -> State:
    return State("", (), EMPTY, _no_file)


def _no_file(path: str) -> bytes | None:
    return None


def _documents(change: DocumentChange) -> tuple[Document, ...]:
    """The names that the document of a change has and had."""
    if change.kind == SIGNERS:
        return ((change.kind, ""),)
    names = (change.name, change.formerly) if change.formerly else (change.name,)
    return tuple((change.kind, name) for name in names)


def lazily(found: Callable[[], Blame | None]) -> Callable[[], Blame | None]:
    """Looks once, and only where it decides something."""
    return lru_cache(maxsize=1)(found)


# --- Approvals -------------------------------------------------------------------------------------------------


def unbrought(root: Path, commit: str, spec: ApprovalSpec, paths: frozenset[str], changed: frozenset[str]) -> str:
    """Why an approval without a signature does not count by who brought its file, and the links to it; "" where each
    commit that did is its approver's, or Git knows nothing of it. `commit` "": the work tree, of which the `changed`
    files are the work of whoever is at work. Raises as `gitrepo.head` and `gitrepo.brought` do."""
    at = commit or gitrepo.head(root)
    people = gitrepo.brought(root, at, *sorted(paths)) if at else frozenset()
    if not commit and (not people or paths & changed):
        people |= {gitrepo.identity(root)} - {""}
    elif not people and commit:
        return "no commit contains it, so its author is unknown"
    others = sorted(each for each in people if fold(each) != fold(spec.approved_by))
    if not others:
        return ""
    by, who = spec.approved_by, others[0] or "somebody without an e-mail address"
    return f"{who} brought it, not {by}: without a signature it is in effect only if {by} is the author of its commits"


#: What the id of an approval looks like in the file that holds it.
_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def taken_back(root: Path, older: str, newer: str, spec: ApprovalSpec, paths: frozenset[str]) -> str:
    """Why an approval does not count because some commit up to these took it out again, or a link to it: who says yes
    may say no after all, and the commit of the yes can be picked again. "" where none did, or there is no commit.
    `newer` is the commit that has it ("": the work tree has it), `older` another one whose past counts too ("" for
    none). Raises as `gitrepo.gone` does."""
    known = tuple(sorted({older, newer or gitrepo.head(root)} - {""}))
    if not known:
        return ""
    found = _gone(str(root), known, tuple(sorted({FOLDER, *paths})))
    if found.linked:  # what a link leads to, or led to once, may be anywhere below the root
        found = _gone(str(root), known, (".",))
    texts = found.carried.get(spec.id, frozenset())
    carried = [tuple(_says(str(root), side, spec.id) for side in sides) for sides in texts]
    if spec.id in found.words or paths & found.links or any(before and not after for before, after in carried):
        return "it was withdrawn: a commit removed it, or a link to it, and a removed approval is no longer in effect"
    if any(each != spec for before, after in carried for each in (*before, *after)):
        return (
            "it was changed after it was written: another commit has it differently, so which one is meant is unknown"
        )
    if newer and not all(_stands_plainly(root, newer, path, spec.id) for path in paths):
        return "its id does not stand in its file as 32 plain digits, so whether it was withdrawn is unknown"
    return ""


@lru_cache(maxsize=16)
def _gone(root: str, commits: tuple[str, ...], below: tuple[str, ...]) -> gitrepo.Gone:
    return gitrepo.gone(Path(root), commits, below, _ID)


@lru_cache(maxsize=4096)
def _says(root: str, objects: frozenset[str], ident: str) -> tuple[ApprovalSpec, ...]:
    """The approvals of an id in files of some commit, by their objects; none where they do not read."""
    texts = gitrepo.read_objects(Path(root), sorted(objects), LARGEST_FILE)
    read = read_texts({name: text for name, text in texts.items() if text is not None}, ident).policies
    specs = (each.document.spec for each in read.approvals) if read is not None else ()
    return tuple(each for each in specs if each.id == ident)


def _stands_plainly(root: Path, commit: str, path: str, ident: str) -> bool:
    """Whether the file, where the commit has it, has the id in it as it is looked for."""
    text = read_one(gitrepo.CommitTree(root, commit), path, largest=LARGEST_FILE)
    return text is None or ident.encode() in text
