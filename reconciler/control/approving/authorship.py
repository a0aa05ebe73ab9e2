"""Authorship: two states of the policies and the commits between them -> who wrote the change.

Every commit counts, whatever became of what it wrote, and in it whoever wrote it, whoever made it, and whoever it names
as co-author. Only files that bring nothing but approvals, on both sides, are left out, so that an approver can commit
an approval; a file that was a group's before is not one of them.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from reconciler import gitrepo
from reconciler.control.policy_folder import FOLDER
from reconciler.model.documents import PolicySet

EMPTY = PolicySet((), (), ())
_OTHERS = ("sites", "groups", "exclusions", "presets", "guardrails")


class Side(msgspec.Struct, frozen=True):
    """One state: its commit ("" for none: nothing was there, or it is the work tree) and its policies; None where they
    cannot be read, and nothing of it may be left out. `files` are those that it is made of, with the links to them."""

    commit: str
    policies: PolicySet | None
    files: frozenset[str] = frozenset()


def wrote(root: Path, older: Side, newer: Side) -> frozenset[str]:
    """The e-mail addresses of all who wrote what `newer` has and `older` has not; "" among them where a commit does not
    say whose it is. Raises as `gitrepo.commits` does."""
    left_out = _approvals_alone(older.policies, newer.policies)
    read = older.files | newer.files | {FOLDER}
    found: set[str] = set()
    for commit in gitrepo.commits(root, older.commit, newer.commit or "HEAD"):
        mine = {path for path in commit.paths - left_out if path in read or path.startswith(f"{FOLDER}/")}
        if mine:
            found |= {commit.author, commit.committer, *(each for each in commit.co_authors if each)}
    return frozenset(found)


def _approvals_alone(older: PolicySet | None, newer: PolicySet | None) -> frozenset[str]:
    """The files that hold approvals, and on neither side anything else."""
    if older is None or newer is None:
        return frozenset()
    others = {
        placed.positions.at().file for side in (older, newer) for kind in _OTHERS for placed in getattr(side, kind)
    }
    return frozenset(placed.positions.at().file for side in (older, newer) for placed in side.approvals) - others
