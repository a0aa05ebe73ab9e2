"""Consent: changes, the documents they come from, approvals -> each field with the hash that an approval names, and
who approved it.

A change that a person wrote has the hash that `diff` gives it: of the document that was last applied and the one that
is wanted now. What weakens without a change of a document (a machine that lost its label, a correction of what
somebody did on the server) has a hash of its own, of what was seen and what is to be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import Approved, Change, FieldChange, Impact, LedgerEntry, Plan, Reason
from reconciler.model.comparison import DocumentChange, DocumentField, change_hash
from reconciler.model.documents import GroupDocument, Placed, PolicySet
from reconciler.model.encode import decode
from reconciler.plan.review.compare import compare

#: What a person did, by writing.
_WRITTEN = (
    Reason.NEW_POLICY,
    Reason.POLICY_CHANGED,
    Reason.POLICY_REMOVED,
    Reason.SERVER_CHANGED,
    Reason.SITE_CHANGED,
    Reason.RENAMED,
)

#: Why a group is stopped that a policy still has -> the field of the document that says so.
_LEFT_BY = {Reason.SERVER_CHANGED: "spec.server", Reason.SITE_CHANGED: "spec.site"}

#: Path of a planned field -> field of the document that it comes from, where that is not "spec." and the path.
_FIELDS = {"": "", "name": "metadata.name", "members.volume": "spec.storage"}


class AsApplied:
    """Places of a document as it was last applied: it stands in no file now."""

    def at(self, *path: str | int) -> Location:
        return Location("as last applied")

    at_key = at

    def within(self, line: int, column: int, *path: str | int) -> Location:
        return self.at(*path)


def with_change_hashes(
    changes: Iterable[Change], policies: PolicySet, ledger: Iterable[LedgerEntry]
) -> tuple[Change, ...]:
    """The changes with a hash on every field."""
    everything = tuple(changes)
    if not everything:
        return ()
    written = _written(everything, policies, ledger)
    return tuple(
        msgspec.structs.replace(change, fields=tuple(_hashed(change, field, written) for field in change.fields))
        for change in everything
    )


def _written(
    changes: Sequence[Change], policies: PolicySet, ledger: Iterable[LedgerEntry]
) -> dict[tuple[str, str], DocumentField]:
    """(group, field of the document) -> how a person changed it since it was last applied."""
    names = {name for change in changes for name in _names(change)}
    entries = tuple(ledger)
    found = written_since(policies, entries, names)
    written = {(change.name, field.field): field for change in found for field in change.fields}
    return written | _moved(changes, policies, entries)


def _moved(
    changes: Sequence[Change], policies: PolicySet, ledger: Iterable[LedgerEntry]
) -> dict[tuple[str, str], DocumentField]:
    """(group as its old server has it, ``spec.server`` or ``spec.site``) -> how a person changed that, for each that is
    stopped there. Held against the entry of that server: by now the group may be on the new one, and be called
    otherwise."""
    stopped = {(each.server, each.group) for each in changes if each.reason in _LEFT_BY}
    left = [entry for entry in ledger if (entry.server, entry.group) in stopped]
    found = written_since(policies, left) if left else ()
    return {
        (change.formerly or change.name, field.field): field
        for change in found
        for field in change.fields
        if field.field in _LEFT_BY.values()
    }


def written_since(
    policies: PolicySet, ledger: Iterable[LedgerEntry], names: Collection[str] | None = None
) -> tuple[DocumentChange, ...]:
    """How the documents of groups (of these `names`, else all) differ from those that were last applied."""
    older = [
        Placed(decode(entry.document, GroupDocument), AsApplied())
        for entry in ledger
        if entry.document and (names is None or entry.group in names)
    ]
    newer = tuple(each for each in policies.groups if names is None or each.document.metadata.name in names)
    by_name = {placed.document.metadata.name: placed for placed in older}
    # of two guardrails of a name the settled one, which is the last, is that of the older state
    rules = tuple({each.document.metadata.name: each for each in policies.guardrails}.values())
    before = PolicySet(policies.sites, tuple(by_name.values()), (), guardrails=rules)
    after = PolicySet(policies.sites, newer, (), guardrails=rules)
    return compare(before, after)


def _names(change: Change) -> set[str]:
    return {change.group} | {group.name for group in (change.before, change.after) if group is not None}


def _hashed(change: Change, field: FieldChange, written: Mapping[tuple[str, str], DocumentField]) -> FieldChange:
    path = field_of(field) if field.path else _LEFT_BY.get(change.reason, "")
    document = written.get((change.group, path))
    wrote = document is not None and _is(field, document)
    digest = document.change_hash if document is not None and wrote else own_hash(change, field)
    return msgspec.structs.replace(field, change_hash=digest)


def field_of(field: FieldChange) -> str:
    """The field of the document that a planned field comes from."""
    return _FIELDS.get(field.path, f"spec.{field.path}")


def own_hash(change: Change, field: FieldChange) -> str:
    """The hash of what is done to a field of a group, whoever asked for it: of the group that the server has under this
    reference, whatever takes its name."""
    told, of = f"plan:{field.path}", {"server": change.server, "ref": change.ref}
    return change_hash("ProtectionGroup", change.group, told, field.before, field.after, field.direction, of)


def hashes_of(plan: Plan) -> frozenset[str]:
    """The hashes by which approvals may name what a plan does."""
    changes = [step.change for step in plan.steps]
    return frozenset(each for change in changes for f in change.fields for each in (f.change_hash, own_hash(change, f)))


def _is(field: FieldChange, document: DocumentField) -> bool:
    """Whether what is planned is what the person wrote: as grave as that, and from the value that was applied."""
    if field.reason not in _WRITTEN or document.direction.rank < field.direction.rank:
        return False
    whole = field.path in ("", "members", "members.volume")
    return whole or (field.before, field.after) == (document.before, document.after)


def approve(changes: Iterable[Change], approvals: Iterable[Approved]) -> tuple[Change, ...]:
    """The changes with the approval that covers each field; "" where none does. It names what a person wrote, or, from
    a saved plan, what is done."""
    covering: dict[str, list[Approved]] = defaultdict(list)
    for approval in approvals:
        for digest in approval.changes:
            covering[digest].append(approval)
    return tuple(
        msgspec.structs.replace(
            change,
            fields=tuple(
                msgspec.structs.replace(field, approved_by=_covered(covering, change, field)) for field in change.fields
            ),
        )
        for change in changes
    )


def _covered(covering: Mapping[str, Sequence[Approved]], change: Change, field: FieldChange) -> str:
    if not covering:
        return ""
    every = (*covering.get(field.change_hash, ()), *covering.get(own_hash(change, field), ()))
    return next((each.name for each in every if field.change_hash not in each.not_for), "")


def within_ceilings(
    changes: Iterable[tuple[Change, Impact | None]], approvals: Sequence[Approved]
) -> tuple[tuple[Approved, ...], tuple[Diagnostic, ...]]:
    """The approvals whose changes expire no more points than they allow, with what they did in earlier waves; and of
    the others, by how many."""
    lost: dict[str, int] = defaultdict(int)
    for change, impact in changes:
        for name in {field.approved_by for field in change.fields if field.approved_by}:
            lost[name] += impact.lets_expire if impact is not None else 0
    kept, found = [], []
    for approval in approvals:
        most = approval.expired_points
        if most is None or lost[approval.name] + approval.spent <= most:
            kept.append(approval)
            continue
        many = lost[approval.name]
        what = f"the approval {approval.name} allows {most} points to expire at once, the plan expires {many}"
        what += f" and {approval.spent} did already" if approval.spent else ""
        remedy = "Its changes wait. Have the loss approved as it is now: `reconciler approve --plan FILE`."
        found.append(Diagnostic("RCL3044", Severity.WARNING, what, remedy, subject=approval.name))
    return tuple(kept), tuple(found)


def groups_awaiting_approval(changes: Iterable[Change], wanted: Iterable[Diagnostic]) -> frozenset[str]:
    """The groups that a guardrail wants approved and that are not: a group counts as approved once every field that
    changes, and that needs consent if any does, is covered."""
    subjects = {finding.subject for finding in wanted}
    waiting = set()
    for change in changes:
        if f"ProtectionGroup {change.group}" not in subjects:
            continue
        harsh = [field for field in change.fields if field.direction.needs_consent] or list(change.fields)
        if not all(field.approved_by for field in harsh):
            waiting.add(change.group)
    return frozenset(waiting)
