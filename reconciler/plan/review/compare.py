"""Comparing: two states of the policies -> every document and field that differs, with its direction. No server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model import Direction, ExistingPoints
from reconciler.model.comparison import (
    CoverageShift,
    DocumentChange,
    DocumentField,
    DocumentVerb,
    change_hash,
)
from reconciler.model.documents import ExclusionDocument, GroupDocument, GuardrailDocument, Placed, PolicySet
from reconciler.model.encode import encode
from reconciler.model.names import fold
from reconciler.plan.desired.defaults import with_rpo, zones_of
from reconciler.plan.desired.state import DesiredState
from reconciler.plan.fields import of_release
from reconciler.plan.guardrail_matching import guards, read_by
from reconciler.plan.review.field_rules import CREATED, REMOVED, RULES, FieldRule
from reconciler.plan.review.guardrail_rules import still_asked
from reconciler.plan.review.site_rules import worst

_KINDS = {
    "Site": "sites",
    "ProtectionGroup": "groups",
    "Exclusion": "exclusions",
    "Preset": "presets",
    "Guardrail": "guardrails",
    "Approval": "approvals",
}


def compare(older: PolicySet, newer: PolicySet) -> tuple[DocumentChange, ...]:
    """Every difference, by kind and name."""
    found: list[DocumentChange] = []
    clocks = zones_of(older) == zones_of(newer)  # an `rpo` is what it comes to in the site's zone
    for kind, attribute in _KINDS.items():
        old = {placed.document.metadata.name: placed for placed in getattr(older, attribute)}
        new = {placed.document.metadata.name: placed for placed in getattr(newer, attribute)}
        former = _renamed(old, new) if kind == "ProtectionGroup" else {}
        for name, placed in new.items():
            before = old.get(name) or old.get(former.get(name, ""))
            if before is None:
                change: DocumentChange | None = _created(kind, placed, beside=bool(old))
            elif clocks and before.document == placed.document:
                continue
            elif kind == "ProtectionGroup":
                change = _changed(kind, _with_rpo(before, older), _with_rpo(placed, newer), older)
            else:
                change = _changed(kind, before, placed, older)
            found += [change] if change is not None else []
        gone = set(old) - set(new) - set(former.values())
        found += [_removed(kind, old[name]) for name in gone]
    found = [_asked_elsewhere(change, older, newer) for change in found]
    return tuple(sorted(found, key=lambda each: (list(_KINDS).index(each.kind), each.name)))


def _with_rpo(placed: Placed[Any], policies: PolicySet) -> Placed[Any]:
    return msgspec.structs.replace(placed, document=with_rpo(placed.document, zones_of(policies)))


def _renamed(old: Mapping[str, Placed[Any]], new: Mapping[str, Placed[Any]]) -> dict[str, str]:
    """New name -> the name that the group had."""
    found: dict[str, str] = {}
    for name, placed in sorted(new.items()):
        if name in old:
            continue
        for earlier in placed.document.spec.renamed_from:
            if earlier in old and earlier not in new and earlier not in found.values():
                found[name] = earlier
                break
    return found


def _created(kind: str, placed: Placed[Any], *, beside: bool) -> DocumentChange:
    """A site that comes beside others opens what it names, and names its own approvers: a person looks at it first."""
    name, whole = placed.document.metadata.name, encode(placed.document)
    direction = Direction.WEAKENS if kind == "Site" and beside else CREATED[kind]
    field = _field(kind, name, "", None, whole, direction, placed.positions.at())
    return DocumentChange(kind, name, DocumentVerb.CREATED, field.direction, (field,), placed.positions.at())


def _removed(kind: str, placed: Placed[Any]) -> DocumentChange:
    document = placed.document
    direction, note = REMOVED[kind], ""
    if isinstance(document, GroupDocument):
        note = f"existing points: {document.spec.existing_points}"
        if document.spec.existing_points is ExistingPoints.EXPIRE_NOW:
            direction = Direction.DESTROYS
    name = document.metadata.name
    field = _field(kind, name, "", encode(document), None, direction, placed.positions.at(), note)
    return DocumentChange(kind, name, DocumentVerb.REMOVED, direction, (field,), placed.positions.at())


def _changed(kind: str, before: Placed[Any], after: Placed[Any], older: PolicySet) -> DocumentChange | None:
    old, new = before.document, after.document
    name, formerly = new.metadata.name, old.metadata.name
    of = _told_by(old)
    fields = [field for rule in RULES[kind] if (field := _compared(kind, rule, before, after)) is not None]
    lost = [guard for guard in guards(older, old) if guard not in guards(older, new)]
    if lost:
        kept = [guard for guard in guards(older, old) if guard not in lost]
        note = "its kind, labels and name exclude it from these guardrails"
        place = after.positions.at("metadata")
        seen = {"of": of, "before": _as_seen(old), "after": _as_seen(new)}
        fields.append(_field(kind, name, "guardedBy", lost + kept, kept, Direction.WEAKENS, place, note, seen))
    mild = [field for field in fields if field.direction is Direction.NEUTRAL]
    if guards(older, old) and (read := read_by(older, old, new, [field.field for field in mild])):
        note = f"these guardrails read what it is called and labelled with, or what else changed: {', '.join(read)}"
        place = after.positions.at("metadata")
        was = _as_seen(old) | {field.field: field.before for field in mild}
        now = _as_seen(new) | {field.field: field.after for field in mild}
        fields.append(_field(kind, name, "readBy", was, now, Direction.WEAKENS, place, note, {"of": of, "by": read}))
    if name != formerly:
        place = after.positions.at("metadata", "name")
        fields.insert(0, _field(kind, name, "metadata.name", formerly, name, Direction.NEUTRAL, place))
    if not fields:
        return None
    verb = DocumentVerb.CHANGED if name == formerly else DocumentVerb.RENAMED
    direction = worst(field.direction for field in fields)
    return DocumentChange(
        kind, name, verb, direction, tuple(fields), after.positions.at(), "" if name == formerly else formerly
    )


def _asked_elsewhere(change: DocumentChange, older: PolicySet, newer: PolicySet) -> DocumentChange:
    """A guardrail that goes, or asks for less, weakens nothing where others ask for all that it asked for."""
    if change.kind != "Guardrail" or not change.direction.needs_consent:
        return change
    before = next((each for each in older.guardrails if each.document.metadata.name == change.name), None)
    now = [each.document for each in newer.guardrails if each.document.metadata.name != change.name]
    own = next((each.document.spec for each in newer.guardrails if each.document.metadata.name == change.name), None)
    others = [*(each.spec for each in now), *([own] if own is not None else [])]
    if before is None or not still_asked(before.document.spec, others):
        return change
    note = "guardrails that are there ask for the same"
    fields = tuple(
        _field(change.kind, change.name, f.field, f.before, f.after, Direction.NEUTRAL, f.location, note)
        if f.direction.needs_consent
        else f
        for f in change.fields
    )
    return msgspec.structs.replace(change, direction=worst(field.direction for field in fields), fields=fields)


def _compared(kind: str, rule: FieldRule, before: Placed[Any], after: Placed[Any]) -> DocumentField | None:
    old, new = rule.get(before.document), rule.get(after.document)
    if old == new:
        return None
    show = rule.show or encode
    path = rule.path.split(".")
    shown_old, shown_new = show(old), show(new)
    name, place = after.document.metadata.name, after.positions.at(*path)
    direction, note = rule.weigh(old, new), rule.note
    if rule.path == "spec.members" and direction.needs_consent:
        existing = after.document.spec.existing_points
        direction, note = (
            of_release(existing),
            f"virtual machines that leave get no new points; existing points: {existing}",
        )
    if kind == "ProtectionGroup" and rule.path in ("spec.server", "spec.site") and direction.needs_consent:
        existing = before.document.spec.existing_points  # it is stopped as it was applied there
        direction, note = of_release(existing), f"{rule.note}; existing points: {existing}"
    return _field(kind, name, rule.path, shown_old, shown_new, direction, place, note, _told_by(before.document))


def _as_seen(document: Any) -> dict[str, Any]:
    """What a guardrail sees of a document besides its fields: its name and labels."""
    return {"name": document.metadata.name, "labels": dict(sorted(document.metadata.labels.items()))}


def _told_by(document: Any) -> Any:
    """What a document is about, as it was: an approval of what is done to it is not one for another document that came
    to have its name."""
    if isinstance(document, GroupDocument):
        return {"server": encode(document.spec.server), "members": encode(document.spec.members)}
    if isinstance(document, ExclusionDocument):
        return {"virtualMachines": encode(document.spec.virtual_machines)}
    if isinstance(document, GuardrailDocument):
        return encode(document.spec)
    return None


def _field(
    kind: str,
    name: str,
    path: str,
    before: Any,
    after: Any,
    direction: Direction,
    place: Any,
    note: str = "",
    of: Any = None,
) -> DocumentField:
    digest = change_hash(kind, name, path, before, after, direction, of)
    return DocumentField(path, before, after, direction, digest, place, note)


def deletions(changes: tuple[DocumentChange, ...], older: PolicySet) -> tuple[Diagnostic, ...]:
    """Groups that are protected from deletion and are removed, or lose that together with their document."""
    shielded = {placed.document.metadata.name for placed in older.groups if placed.document.spec.deletion_protection}
    return tuple(
        Diagnostic(
            "RCL3030",
            Severity.ERROR,
            f"the group {change.name} is protected from deletion, and its document is removed",
            "Set `deletionProtection: false` in a change of its own first, then remove the document.",
            change.location,
            subject=change.name,
        )
        for change in changes
        if change.kind == "ProtectionGroup" and change.verb is DocumentVerb.REMOVED and change.name in shielded
    )


# --- Coverage --------------------------------------------------------------------------------------------------


def coverage_shifts(older: DesiredState, newer: DesiredState, machines: Mapping[str, str]) -> tuple[CoverageShift, ...]:
    """Machines whose place changes. `machines` gives the names of all there are, by data source as text."""
    before, after = _places(older), _places(newer)
    found = []
    for source, name in machines.items():
        old, new = before.get(source, "unprotected"), after.get(source, "unprotected")
        if old != new:
            cluster = source.partition("/")[0]
            found.append(CoverageShift(name, cluster, old, new, _shift(old, new)))
    return tuple(sorted(found, key=lambda each: (-each.direction.rank, each.cluster, fold(each.machine))))


def _places(desired: DesiredState) -> dict[str, str]:
    places = {str(each.source): f"excluded by {each.exclusion}" for each in desired.excused}
    for group in desired.groups:
        places |= {str(member.source): f"in {group.group.name}" for member in group.group.members}
    return places


def _shift(old: str, new: str) -> Direction:
    if old.startswith("in ") == new.startswith("in "):
        return Direction.NEUTRAL
    return Direction.STRENGTHENS if new.startswith("in ") else Direction.WEAKENS
