"""Unagreed: documents of groups as written and as last applied, what the plan asks for -> those that wait as a whole.

Much that weakens makes no step: a label that takes a group out of a guardrail, rules that mean fewer virtual machines
than before though none leaves today, a field to ignore. No step could hold it back, so the group goes on by its
document as it was last applied until somebody agreed to it; what strengthens in the same document waits with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model import LedgerEntry, Reason, Step
from reconciler.model.comparison import DocumentChange, DocumentField
from reconciler.model.documents import GroupDocument, Placed, PolicySet
from reconciler.model.encode import decode, inline
from reconciler.plan.approval.change_hashes import field_of, written_since
from reconciler.plan.checks.vanished_policies import TOO_MANY_GONE
from reconciler.plan.desired.state import DesiredGroup, DesiredState
from reconciler.plan.difference.unowned_groups import NOT_OWNED
from reconciler.plan.fields import FIELDS

#: What waits, and no step of a plan carries: any document, and the site's list of approvers.
WAITS = "RCL3103"
APPROVERS_WAIT = "RCL3045"


def waits(findings: Iterable[Diagnostic]) -> bool:
    """Whether something that no step carries waits for a person: for a yes, or for an act that the finding names."""
    return any(each.code in (WAITS, APPROVERS_WAIT) for each in findings) or not_in_force(findings)


def not_in_force(findings: Iterable[Diagnostic]) -> bool:
    """Whether policies are written that nothing is done for until a person acts, though nothing of them weakens."""
    return any(each.code in (NOT_OWNED, TOO_MANY_GONE) for each in findings)


def whose_yes(*, approvers: bool, since: str) -> str:
    """What to do about what waits, in a site with or without approvers. `since` is the commit whose policies were last
    applied, which an approver compares with; "" where there is none."""
    if approvers:
        words = f"reconciler approve {since[:12]} HEAD" if since else "reconciler approve"
        return f"Have it approved (`{words}`)."
    return (
        "The site names no approvers, so it has to be confirmed: run `reconciler apply` in a terminal. --yes does not "
        "cover this."
    )


class Unstepped(msgspec.Struct, frozen=True):
    """A field of a group's document that weakens without a step."""

    change: DocumentChange
    field: DocumentField

    @property
    def applied_as(self) -> str:
        """What the group was called when it was last applied."""
        return self.change.formerly or self.change.name


def unstepped(
    policies: PolicySet, desired: DesiredState, ledger: Sequence[LedgerEntry], steps: Iterable[Step]
) -> tuple[Unstepped, ...]:
    """What weakens in the documents since they were last applied, and is in none of the steps."""
    names = rewritten(policies, desired, ledger)
    if not names:
        return ()
    told = tuple(steps)
    hashes, paths = _carried(told)
    left = {step.change.group for step in told if step.change.reason is Reason.SITE_CHANGED}
    wanted = {group.group.name: group for group in desired.groups}
    entries = {entry.group: entry for entry in ledger}
    found = (
        Unstepped(change, field)
        for change in written_since(policies, ledger, names)
        if (change.formerly or change.name) not in left  # what else its document says is the other site's
        for field in change.fields
        if field.field and field.direction.needs_consent
        if field.change_hash not in hashes[change.name] | hashes[change.formerly]
        if field.field not in paths[change.name] | paths[change.formerly]
    )
    return tuple(each for each in found if not _done(each, wanted.get(each.change.name), entries[each.applied_as]))


def _done(each: Unstepped, wish: DesiredGroup | None, entry: LedgerEntry) -> bool:
    """Whether a step did that part of the document already, while another part of it waits."""
    if wish is None:
        return False
    if each.field.field == "spec.members":
        return entry.selectors == wish.selectors
    held = next((field for field in FIELDS if f"spec.{field.path}" == each.field.field), None)
    return held is not None and held.get(entry.applied) == held.get(wish.group)


def rewritten(policies: PolicySet, desired: DesiredState, ledger: Sequence[LedgerEntry]) -> set[str]:
    """The groups whose document is not the one that was last applied, by every name that they have or had."""
    applied = {entry.group: entry.document for entry in ledger if entry.document}
    wanted = {group.group.name: group for group in desired.groups}
    found = set()
    for name, group in wanted.items():
        own = [each for each in (name, *group.formerly) if each in applied]
        if any(applied[each] != group.document for each in own[:1]):
            found |= {name, *own}
    elsewhere = {placed.document.metadata.name for placed in policies.groups} - set(wanted)
    return found | (elsewhere & set(applied))


def _carried(steps: Iterable[Step]) -> tuple[Mapping[str, set[str]], Mapping[str, set[str]]]:
    """Group -> the hashes of what its steps weaken, and the fields of the document that they weaken. Members that leave
    are not all that rules may lose, so those are told by their hash alone."""
    hashes: dict[str, set[str]] = defaultdict(set)
    paths: dict[str, set[str]] = defaultdict(set)
    for step in steps:
        change = step.change
        for field in change.fields:
            if field.direction.needs_consent:
                hashes[change.group].add(field.change_hash)
                if field.path and field.path != "members":
                    paths[change.group].add(field_of(field))
        if change.reason is Reason.SERVER_CHANGED:
            paths[change.group].add("spec.server")
    return hashes, paths


def as_applied(policies: PolicySet, ledger: Iterable[LedgerEntry], held: Collection[Unstepped]) -> PolicySet:
    """The policies with the documents of these groups as they were last applied."""
    earlier = {each.change.name: each.applied_as for each in held}
    documents = {entry.group: entry.document for entry in ledger if entry.document}

    def kept(placed: Placed[GroupDocument]) -> Placed[GroupDocument]:
        name = earlier.get(placed.document.metadata.name)
        return placed if name is None else Placed(decode(documents[name], GroupDocument), placed.positions)

    return msgspec.structs.replace(policies, groups=tuple(kept(each) for each in policies.groups))


def all_as_applied(
    policies: PolicySet, site: str, ledger: Iterable[LedgerEntry]
) -> tuple[PolicySet, tuple[Placed[GroupDocument], ...]]:
    """The policies with no group of the site otherwise than it was last applied, and the documents that wait so."""
    documents = {entry.group: entry.document for entry in ledger}
    groups, waiting = [], []
    for placed in policies.groups:
        name = next((each for each in _names(placed.document) if each in documents), None)
        if placed.document.spec.site != site and name is None:
            groups.append(placed)
            continue
        told = documents.get(name) if name is not None else None
        kept = placed if name is not None and not told else None
        kept = Placed(decode(told, GroupDocument), placed.positions) if told else kept
        groups += [kept] if kept is not None else []
        waiting += [placed] if kept is None or kept.document != placed.document else []
    return msgspec.structs.replace(policies, groups=tuple(groups)), tuple(waiting)


def gone(policies: PolicySet, ledger: Sequence[LedgerEntry], steps: Iterable[Step]) -> tuple[Unstepped, ...]:
    """The groups that were applied and that no document names now, though no step stops them: they go on as they are
    (prune: false, protected from deletion, a server that is not there). Who removed their documents would be forgotten,
    and could agree to it himself once a step can be made."""
    written = {name for placed in policies.groups for name in _names(placed.document)}
    stepped = {step.change.group for step in steps}
    names = {entry.group for entry in ledger if entry.document} - written - stepped
    found = written_since(policies, ledger, names) if names else ()
    return tuple(Unstepped(change, field) for change in found for field in change.fields)


def _names(document: GroupDocument) -> tuple[str, ...]:
    return (document.metadata.name, *document.spec.renamed_from)


def with_them(waiting: Iterable[Placed[GroupDocument]], held: Collection[Unstepped]) -> tuple[Diagnostic, ...]:
    """What waits besides, since a virtual machine would else be in two groups."""
    own = {each.change.name for each in held}
    return tuple(
        Diagnostic(
            WAITS,
            Severity.WARNING,
            f"ProtectionGroup {name} waits too: with {', '.join(sorted(own))} as last applied a virtual machine would "
            "be claimed twice",
            "It is planned once the other change is approved.",
            each.positions.at(),
            f"ProtectionGroup {name}",
        )
        for each in waiting
        if (name := each.document.metadata.name) not in own
    )


def findings(held: Iterable[Unstepped], *, approvers: bool, since: str) -> tuple[Diagnostic, ...]:
    """What waits: the field, what counts meanwhile, and the hash that an approval names."""
    remedy = whose_yes(approvers=approvers, since=since)
    return tuple(
        Diagnostic(
            WAITS,
            Severity.WARNING,
            f"ProtectionGroup {each.change.name}: {_what(each.field)} ({each.field.change_hash})",
            remedy,
            each.field.location,
            f"ProtectionGroup {each.change.name} {each.field.field}",
        )
        for each in held
    )


def _what(field: DocumentField) -> str:
    if not field.field:
        return "its document was removed without approval; the group stays as it is"
    return (
        f"{field.field} was changed and weakens, and nobody agreed to it; until then its whole document counts as it "
        f"was last applied, here: {_told(field)}"
    )


def _told(field: DocumentField) -> str:
    return inline(field.before) if field.before is not None else "nothing"
