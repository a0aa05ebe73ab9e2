"""A comparison of two states of the policies -> the same, with the commits that made each change. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from reconciler import gitrepo
from reconciler.control.approving.authors_by_field import Blame, blame, onward
from reconciler.control.policy_folder import checked_out
from reconciler.control.policy_states import State
from reconciler.model.comparison import ChangeOrigin, Comparison, DocumentChange, DocumentField

#: So many commits are named of one change.
_MOST = 5


def with_origins(root: Path, older: State, newer: State, found: Comparison) -> Comparison:
    """Who changed what and when, by the commits between the two states; what is not committed is whoever's is at work.
    Between states without commits nothing is known. Raises as `gitrepo.commits` does."""
    if not older.commit:
        return found
    last = newer.commit or gitrepo.head(root)
    between = {each.id: each for each in gitrepo.commits(root, older.commit, last)}
    own = gitrepo.identity(root)
    told = blame(root, older.commit, last)
    changing = frozenset() if newer.commit else checked_out(root)[1]
    if told is not None and not newer.commit:
        told = onward(told, root, newer, frozenset({own}) - {""})
    origins = {}
    for change in found.changes:
        for field in change.fields:
            made = _made(told, change, field, between, own) or _touched(change, field, between, changing, own)
            if made:
                origins[field.change_hash] = made
    return msgspec.structs.replace(found, origins=origins)


def _made(
    told: Blame | None, change: DocumentChange, field: DocumentField, between: Mapping[str, gitrepo.Commit], own: str
) -> tuple[ChangeOrigin, ...]:
    """The commits that made the change, newest first; none where that could not be told."""
    ids = told.made_by(change, field.field) if told is not None else frozenset()
    newest = [_origin(between[each]) for each in reversed(list(between)) if each in ids]
    return tuple(([ChangeOrigin("", own)] if "" in ids else []) + newest)[:_MOST]


def _touched(
    change: DocumentChange,
    field: DocumentField,
    between: Mapping[str, gitrepo.Commit],
    changing: frozenset[str],
    own: str,
) -> tuple[ChangeOrigin, ...]:
    """The commits that touched the file of the change."""
    place = field.location or change.location
    if place is None:
        return ()
    found = [ChangeOrigin("", own, exact=False)] if place.file in changing else []
    commits = [between[each] for each in reversed(list(between))]
    found += [_origin(each, exact=False) for each in commits if place.file in each.paths]
    return tuple(found[:_MOST])


def _origin(commit: gitrepo.Commit, *, exact: bool = True) -> ChangeOrigin:
    return ChangeOrigin(commit.id, commit.author, commit.at, exact)
