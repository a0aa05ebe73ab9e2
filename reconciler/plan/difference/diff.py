"""The difference: desired groups, groups as seen, and the ledger -> changes, each with its reason and direction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import (
    Change,
    DataSource,
    Direction,
    FieldChange,
    LedgerEntry,
    Member,
    ObservedGroup,
    ProtectionGroup,
    Reason,
    Verb,
)
from reconciler.model.encode import inline
from reconciler.model.names import fold
from reconciler.plan.desired.defaults import is_default_rpo
from reconciler.plan.desired.state import DesiredGroup, DesiredState
from reconciler.plan.difference.name_conflicts import naming
from reconciler.plan.difference.owned_groups import moved_to
from reconciler.plan.difference.server_rounding import Rounded, rounded, with_server_values
from reconciler.plan.difference.unowned_groups import not_owned
from reconciler.plan.drift.previous_rules import still_meant
from reconciler.plan.fields import FIELDS, ComparedField, of_release, taking, worst
from reconciler.plan.globs import glob_matches
from reconciler.plan.inputs import PlanInputs

#: Which reason names a change that has several: what a person did comes before what the world did.
_LOUDEST = (Reason.POLICY_CHANGED, Reason.CHANGED_OUTSIDE, Reason.MACHINES_CHANGED)


_NEVER = datetime.min.replace(tzinfo=UTC)


class Difference(msgspec.Struct, frozen=True):
    """Changes by server and group, and what was found on the way. An error among the findings forbids to apply."""

    changes: tuple[Change, ...]
    findings: tuple[Diagnostic, ...]


def diff(desired: DesiredState, inputs: PlanInputs) -> Difference:
    """Compares; never touches a group that is not in the ledger."""
    return _Differ(desired, inputs).diff()


def not_ours(desired: DesiredState, inputs: PlanInputs) -> tuple[Diagnostic, ...]:
    """The groups of the policies of which their servers hold one that is not in the ledger: nothing of these policies
    is in force."""
    return _Differ(desired, inputs).not_ours()


class _Differ:
    def __init__(self, desired: DesiredState, inputs: PlanInputs) -> None:
        self.desired = desired
        self.inputs = inputs
        self.unreadable = inputs.unreadable
        self.ledger = {(entry.server, entry.group): entry for entry in _living(inputs)}
        self.owned = {(entry.server, entry.ref) for entry in inputs.ledger}
        self.observed = {(name, seen.ref): seen for name, catalog in inputs.catalogs.items() for seen in catalog.groups}
        self.strangers = self._strangers()
        self.wanted = {(group.server, group.group.name) for group in desired.groups}
        self.changes: list[Change] = []
        self.findings: list[Diagnostic] = []

    def diff(self) -> Difference:
        claimed: set[tuple[str, str]] = set()
        for group in self.desired.groups:
            entry = self._entry(group)
            if entry is not None:
                claimed.add((entry.server, entry.group))
            change = self._compare(group, entry)
            if change is not None:
                self.changes.append(change)
        for key in sorted(set(self.ledger) - claimed):
            self._vanished(self.ledger[key])
        order = sorted(self.changes, key=lambda change: (change.server, change.group, change.verb))
        changes, wrong = naming(order, self.inputs.catalogs)
        return Difference(changes, (*self.findings, *wrong))

    def not_ours(self) -> tuple[Diagnostic, ...]:
        for group in self.desired.groups:
            stranger = self._stranger(group)
            if stranger is not None:
                self._not_ours(group, stranger)
        return tuple(self.findings)

    def _entry(self, desired: DesiredGroup) -> LedgerEntry | None:
        """What we own under the group's name, else under an earlier name that nobody uses now."""
        for name in (desired.group.name, *desired.formerly):
            key = (desired.server, name)
            if key in self.ledger and (name == desired.group.name or key not in self.wanted):
                return self.ledger[key]
        return None

    def _observed(self, entry: LedgerEntry) -> ObservedGroup | None:
        return self.observed.get((entry.server, entry.ref))

    def _strangers(self) -> dict[tuple[str, str], list[ObservedGroup]]:
        """The groups that are not ours, by server and by each of their names."""
        found: dict[tuple[str, str], list[ObservedGroup]] = defaultdict(list)
        for (server, ref), seen in self.observed.items():
            if (server, ref) not in self.owned:
                for name in {fold(seen.group.name), fold(seen.group.display_name)}:
                    found[server, name].append(seen)
        return found

    # --- One group ---------------------------------------------------------------------------------------

    def _compare(self, desired: DesiredGroup, entry: LedgerEntry | None) -> Change | None:
        stranger = self._stranger(desired)
        if stranger is not None:
            if entry is not None or not any(glob_matches(name, desired.group.name) for name in self.inputs.adopt):
                self._not_ours(desired, stranger)
                return None
            entry = self._adopt(desired, stranger)
        observed = self._observed(entry) if entry else None
        if observed is None or entry is None:
            return self._create(desired, entry)
        assumed = self.unreadable.get(desired.server, frozenset())
        before = taking(observed.group, entry.applied, assumed)
        desired = _with_ignored(desired, before)
        kept = rounded(entry, before, desired.group)
        self._rounded(desired, kept)
        asked = (
            msgspec.structs.replace(desired, group=with_server_values(desired.group, before, kept)) if kept else desired
        )
        fields = _fields(before, entry.applied, asked, assumed)
        fields += _members(before.members, entry, asked, still_meant(entry, desired.selectors, self.inputs.clusters))
        renamed = before.name != desired.group.name
        if not fields and not renamed:
            return None
        if renamed:
            place = desired.place("renamedFrom")
            fields.insert(0, FieldChange("name", before.name, desired.group.name, Direction.NEUTRAL, location=place))
        return Change(
            server=desired.server,
            group=desired.group.name,
            verb=Verb.RENAME if renamed else Verb.UPDATE,
            reason=Reason.RENAMED if renamed else _loudest(fields),
            direction=worst([field.direction for field in fields]),
            fields=tuple(fields),
            before=before,
            after=desired.group,
            ref=observed.ref,
            location=desired.place(""),
        )

    def _stranger(self, desired: DesiredGroup) -> ObservedGroup | None:
        """A group of the same name on the server that is not ours: the first of them."""
        names = {fold(desired.group.name), fold(desired.group.display_name)}
        found = [seen for name in names for seen in self.strangers.get((desired.server, name), ())]
        return min(found, key=lambda seen: (seen.group.name, seen.ref), default=None)

    def _adopt(self, desired: DesiredGroup, seen: ObservedGroup) -> LedgerEntry:
        """Plans to take the group as it is; what differs from the policy is changed by the steps that follow."""
        place, name = desired.place(""), desired.group.name
        field = FieldChange("", None, name, Direction.NEUTRAL, Reason.ADOPTED, place, note="the server is not changed")
        self.changes.append(
            Change(
                server=desired.server,
                group=name,
                verb=Verb.ADOPT,
                reason=Reason.ADOPTED,
                direction=Direction.NEUTRAL,
                fields=(field,),
                before=seen.group,
                after=seen.group,
                ref=seen.ref,
                location=place,
            )
        )
        return LedgerEntry(desired.server, seen.ref, seen.group, _NEVER, "", selectors=Reason.ADOPTED)

    def _create(self, desired: DesiredGroup, entry: LedgerEntry | None) -> Change:
        reason = Reason.NEW_POLICY if entry is None else Reason.CHANGED_OUTSIDE
        return Change(
            server=desired.server,
            group=desired.group.name,
            verb=Verb.CREATE,
            reason=reason,
            direction=Direction.STRENGTHENS,
            fields=(FieldChange("", None, desired.group.name, Direction.STRENGTHENS, reason, desired.place("")),),
            after=desired.group,
            location=desired.place(""),
        )

    # --- A group that no policy has ----------------------------------------------------------------------

    def _vanished(self, entry: LedgerEntry) -> None:
        observed = self._observed(entry)
        if observed is None:
            return
        moved = moved_to(entry, self.desired.groups)
        site = self.desired.elsewhere.get(entry.group) if moved is None else None
        if moved is None and site is None and not self.inputs.prune:
            self._not_pruned(entry)
            return
        unsure = {member.source.cluster for member in entry.applied.members} & self.desired.incomplete
        if unsure:
            self._not_stopped(entry, ", ".join(sorted(unsure)))
            return
        if entry.applied.deletion_protection:
            self._deletion_protected(entry)
            return
        reason = Reason.SERVER_CHANGED if moved else Reason.SITE_CHANGED if site else Reason.POLICY_REMOVED
        place = moved.place("server") if moved else site
        assumed = self.unreadable.get(entry.server, frozenset())
        before = taking(observed.group, entry.applied, assumed)
        existing = before.existing_points
        direction = of_release(existing)
        note = f"no new points; existing points: {existing}"
        self.changes.append(
            Change(
                server=entry.server,
                group=entry.group,
                verb=Verb.STOP,
                reason=reason,
                direction=direction,
                fields=(FieldChange("", entry.group, None, direction, reason, place, note=note),),
                before=before,
                ref=entry.ref,
                location=place,
            )
        )

    # --- Findings ----------------------------------------------------------------------------------------

    def _not_ours(self, desired: DesiredGroup, seen: ObservedGroup) -> None:
        self.findings.append(not_owned(desired, seen, self.inputs.ledger, self.inputs.catalogs))

    def _rounded(self, desired: DesiredGroup, kept: tuple[Rounded, ...]) -> None:
        """The server did not take what was applied as it is; trying again would only repeat that."""
        for each in kept:
            of = f" for {self.desired.names.get(each.source, each.source)}" if each.source else ""
            self._say(
                "RCL3080",
                Severity.WARNING,
                f"{desired.server} holds {inline(each.held)} where {inline(each.applied)} was applied{of}: "
                f"{each.path} of {desired.group.name}",
                "Write what it holds, or this stays; no change is planned for it.",
                desired.place(each.path),
            )

    def _not_pruned(self, entry: LedgerEntry) -> None:
        self._say(
            "RCL3009",
            Severity.WARNING,
            f"no policy has the group {entry.group} on {entry.server} any more, so it stays as it is",
            "Write it again, name it in `renamedFrom`, or set `prune: true` in the site to have it stopped.",
        )

    def _deletion_protected(self, entry: LedgerEntry) -> None:
        self._say(
            "RCL3043",
            Severity.WARNING,
            f"the group {entry.group} on {entry.server} is protected from deletion, so it stays as it is",
            "To stop it, apply its policy with `deletionProtection: false` first, then remove it.",
        )

    def _not_stopped(self, entry: LedgerEntry, clusters: str) -> None:
        self._say(
            "RCL3011",
            Severity.WARNING,
            f"the group {entry.group} is not stopped while {clusters} shows under half of its known virtual machines",
            "Check the cluster first; the group is stopped once the cluster is seen again.",
        )

    def _say(self, code: str, severity: Severity, what: str, remedy: str, where: Location | None = None) -> None:
        self.findings.append(Diagnostic(code, severity, what, remedy, where))


def _living(inputs: PlanInputs) -> list[LedgerEntry]:
    """The ledger without entries of groups that are gone and whose reference the server gave to a later group."""
    named = {
        (server, seen.ref): seen.group.name for server, catalog in inputs.catalogs.items() for seen in catalog.groups
    }
    owners: dict[tuple[str, str], LedgerEntry] = {}
    for entry in sorted(inputs.ledger, key=lambda each: (each.applied_at, each.group)):
        key = (entry.server, entry.ref)
        if key not in owners or named.get(key) != owners[key].group:
            owners[key] = entry
    return list(owners.values())


def _with_ignored(desired: DesiredGroup, before: ProtectionGroup) -> DesiredGroup:
    """The group as desired, but for what may differ for now: that stays as it is."""
    group = desired.group
    for field in FIELDS:
        if field.path in desired.ignored:
            group = field.put(group, field.get(before))
    if "members.volume" in desired.ignored:
        volumes = {member.source: member.volume for member in before.members}
        kept = (msgspec.structs.replace(each, volume=volumes.get(each.source, each.volume)) for each in group.members)
        group = msgspec.structs.replace(group, members=tuple(kept))
    return msgspec.structs.replace(desired, group=group)


def _fields(
    before: ProtectionGroup, applied: ProtectionGroup, desired: DesiredGroup, assumed: frozenset[str]
) -> list[FieldChange]:
    changes = []
    for field in FIELDS:
        old, new = field.get(before), field.get(desired.group)
        if old == new:
            continue
        changes.append(
            FieldChange(
                path=field.path,
                before=field.show(old),
                after=field.show(new),
                direction=Direction.NEUTRAL if _same_default(field, before, desired) else field.weigh(old, new),
                reason=Reason.CHANGED_OUTSIDE if field.get(applied) == new else Reason.POLICY_CHANGED,
                location=desired.place(field.path),
                assumed=field.path in assumed,
                note=field.note,
            )
        )
    return changes


def _same_default(field: ComparedField, before: ProtectionGroup, desired: DesiredGroup) -> bool:
    """Whether only the default RPO of the same schedule is counted anew, by the clocks of the site's zone."""
    old, new = before.short_term, desired.group.short_term
    written = desired.document.get("spec", {"shortTerm": {"rpo": ""}})["shortTerm"].get("rpo")
    schedule = msgspec.structs.replace(old, rpo=new.rpo, retention=new.retention, minimum_points=new.minimum_points)
    return field.path == "shortTerm.rpo" and written is None and schedule == new and is_default_rpo(old)


def _members(
    before: tuple[Member, ...], entry: LedgerEntry, desired: DesiredGroup, meant: Callable[[DataSource], bool]
) -> list[FieldChange]:
    if before == desired.group.members:
        return []
    old = {member.source: member for member in before}
    new = {member.source: member for member in desired.group.members}
    applied = entry.applied.sources
    rules_changed = bool(entry.selectors) and entry.selectors != desired.selectors
    place = desired.place("members")

    def why(source: DataSource, there: bool) -> Reason:
        if (source in applied) == there:
            return Reason.CHANGED_OUTSIDE
        written = rules_changed if there else meant(source)
        return Reason.POLICY_CHANGED if written else Reason.MACHINES_CHANGED

    changes = [
        FieldChange("members", None, str(source), Direction.STRENGTHENS, why(source, True), place)
        for source in sorted(set(new) - set(old))
    ]
    changes += [
        FieldChange(
            "members",
            str(source),
            None,
            of_release(desired.group.existing_points),
            why(source, False),
            place,
            note=f"no new points; existing points: {desired.group.existing_points}",
        )
        for source in sorted(set(old) - set(new))
    ]
    changes += [
        FieldChange(
            "members.volume",
            old[source].volume,
            new[source].volume,
            Direction.NEUTRAL,
            location=desired.place("members.volume"),
            note=f"of {source}; a replica that exists stays on its volume",
        )
        for source in sorted(set(old) & set(new))
        if old[source].volume != new[source].volume
    ]
    return changes


def _loudest(fields: list[FieldChange]) -> Reason:
    return min((field.reason for field in fields), key=_LOUDEST.index)
