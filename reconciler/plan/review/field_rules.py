"""The rule book: every field of every kind of document, and what a change of it does to protection.

A rule counts for its field and all that is below it. A field without a rule fails the tests. What no rule can weigh
(the text of a guardrail) counts as weakening, so that a person looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import Direction
from reconciler.model.documents import (
    GroupDocument,
    IgnoreRule,
    Later,
    MachineSelector,
    MemberRule,
    Verification,
    Window,
)
from reconciler.model.groups import Week
from reconciler.model.units import parse_share
from reconciler.plan.desired.defaults import group_of
from reconciler.plan.desired.state import AUTO
from reconciler.plan.fields import FIELDS
from reconciler.plan.globs import glob_within
from reconciler.plan.review import guardrail_rules, site_rules
from reconciler.plan.review.site_rules import NEUTRAL, STRENGTHENS, WEAKENS, order, worst
from reconciler.schedule.change_windows import minutes_of

Weigh = Callable[[Any, Any], Direction]


class FieldRule(msgspec.Struct, frozen=True):
    """A field: its path in the document, how to read what counts of it, how to weigh a change, how to show it."""

    path: str
    get: Callable[[Any], Any]
    weigh: Weigh
    note: str = ""
    show: Callable[[Any], Any] | None = None


# --- Weighing ------------------------------------------------------------------------------------------------


def _neutral(before: Any, after: Any) -> Direction:
    return NEUTRAL


def _weakens(before: Any, after: Any) -> Direction:
    return WEAKENS


def _true_is_weaker(before: Any, after: Any) -> Direction:
    return WEAKENS if after else STRENGTHENS


def _later_is_weaker(before: Any, after: Any) -> Direction:
    return WEAKENS if after > before else STRENGTHENS


def _server(before: str, after: str) -> Direction:
    """To another server: the old one keeps what it has and makes no more points. With `auto` a group stays where it
    is; a name may be that of another server than it was placed on."""
    return NEUTRAL if after == AUTO else WEAKENS


def _ignore(before: tuple[IgnoreRule, ...], after: tuple[IgnoreRule, ...]) -> Direction:
    def longest(rules: tuple[IgnoreRule, ...]) -> dict[str, Any]:
        ends: dict[str, Any] = {}
        for rule in rules:
            end = "9999" if rule.until is None else rule.until.isoformat()
            ends[rule.field] = max(end, ends.get(rule.field, ""))
        return ends

    old, new = longest(before), longest(after)
    if any(end > old.get(field, "") for field, end in new.items()):
        return WEAKENS
    return STRENGTHENS if old != new else NEUTRAL


def _verification(before: Verification | None, after: Verification | None) -> Direction:
    if before is None or after is None:
        return STRENGTHENS if before is None else WEAKENS
    steps = [
        order(before.max_age, after.max_age, more=WEAKENS),
        order(parse_share(before.sample), parse_share(after.sample), more=STRENGTHENS),
    ]
    return worst(steps)


def _window(before: Window | None, after: Window | None) -> Direction:
    """Without a window every hour is open. Weaker where an hour is closed in which jobs could run."""
    if before is None or after is None:
        return STRENGTHENS if after is None else WEAKENS
    old, new = minutes_of(before), minutes_of(after)
    return NEUTRAL if old == new else STRENGTHENS if old < new else WEAKENS


def _replica_creation(before: str | Later, after: str | Later) -> Direction:
    """The later the first copy, the weaker; by hand is never by itself."""
    return order(_creation(before), _creation(after), more=WEAKENS)


def _creation(when: str | Later) -> tuple[int, str]:
    return (1, when.later) if isinstance(when, Later) else (2 * (when == "manual"), "")


def _tier(before: Any, after: Any) -> Direction:
    """One tier of online copies: by how long they are kept, and by how many are made."""
    if before is None or after is None:
        return STRENGTHENS if before is None else WEAKENS
    return worst(
        [
            order(before.keep, after.keep, more=STRENGTHENS),
            order(_copies(before), _copies(after), more=STRENGTHENS),
            order(_apart(before), _apart(after), more=WEAKENS),
        ]
    )


def _apart(tier: Any) -> int:
    """Days between two copies of a tier that are farthest apart, roughly."""
    months = getattr(tier, "months", ())
    if months:
        return 31 * _gap((month.number for month in months), 12)
    if getattr(tier, "days_of_month", ()):
        return _gap(tier.days_of_month, 31)
    days = getattr(tier, "days", ())
    weeks = getattr(tier, "weeks", ())
    if weeks:
        return min(31, 7 * _gap((list(Week).index(week) for week in weeks), 5))
    return (getattr(tier, "every", 1) - 1) * 7 + _gap((day.number for day in days), 7) if days else 1


def _gap(places: Iterable[int], circle: int) -> int:
    """The widest step between two places of a circle."""
    found = sorted(set(places))
    return max((later - earlier for earlier, later in pairwise((*found, found[0] + circle))), default=circle)


def _copies(tier: Any) -> float:
    """Copies of a tier in a year, roughly."""
    times = len(tier.times) or 1
    name = type(tier).__name__
    if name == "OnlineDaily":
        return times * 365.0
    days = len(getattr(tier, "days_of_month", ())) or len(getattr(tier, "weeks", ())) * len(tier.days)
    if name == "OnlineWeekly":
        return times * len(tier.days) * 52 / float(tier.every)
    return times * days * (12.0 if name == "OnlineMonthly" else len(tier.months))


# --- Members -------------------------------------------------------------------------------------------------


def _members(before: tuple[MemberRule, ...], after: tuple[MemberRule, ...]) -> Direction:
    """Weaker where an old rule is not within a new one, stronger where a new one is not within an old one."""
    lost = [rule for rule in before if not any(_within(rule, other) for other in after)]
    gained = [rule for rule in after if not any(_within(rule, other) for other in before)]
    return WEAKENS if lost else STRENGTHENS if gained else NEUTRAL


def _within(inner: MemberRule, outer: MemberRule) -> bool:
    """Whether all that `inner` protects `outer` protects as well. May say no where it is so, never yes where not."""
    if (inner.level, inner.protect) != (outer.level, outer.protect):
        return False
    if inner.hosts is not None and outer.hosts is not None:
        same = inner.hosts.cluster == outer.hosts.cluster
        spared = _globs_within(outer.hosts.except_, inner.hosts.except_)
        return same and _names_within(inner.hosts.names, outer.hosts.names) and spared
    if inner.virtual_machines is None or outer.virtual_machines is None:
        return False
    return selector_within(inner.virtual_machines, outer.virtual_machines)


def selector_within(inner: MachineSelector, outer: MachineSelector) -> bool:
    """Whether every machine that `inner` means `outer` means as well; see `_within`."""
    return (
        inner.cluster == outer.cluster
        and _names_within(inner.names, outer.names)
        and outer.labels.items() <= inner.labels.items()
        and _names_within(inner.nodes, outer.nodes)
        and _names_within(inner.volumes, outer.volumes)
        and _names_within(inner.operating_systems, outer.operating_systems)
        and outer.replica_role in (None, inner.replica_role)
        and _globs_within(outer.except_, inner.except_)
    )


def _names_within(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    """No pattern means every name."""
    return not outer or (bool(inner) and _globs_within(inner, outer))


def _globs_within(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    return all(any(glob_within(one, other) for other in outer) for one in inner)


def _excluded(before: MachineSelector, after: MachineSelector) -> Direction:
    if selector_within(after, before):
        return NEUTRAL if selector_within(before, after) else STRENGTHENS
    return WEAKENS


# --- The book, read ------------------------------------------------------------------------------------------


def _by_name(parts: Iterable[Any]) -> dict[str, Any]:
    return {part.name: part for part in parts}


_ANY = ZoneInfo("UTC")


@lru_cache(maxsize=256)
def _names(kind: Any) -> dict[str, str]:
    """Field of a policy -> of its type; told once for each type, since msgspec reads the annotations each time."""
    return {field.encode_name: field.name for field in msgspec.structs.fields(kind)}


def _at(path: str) -> Callable[[Any], Any]:
    """Reads a value by its policy path: None where something on the way is not written."""
    steps = path.split(".")

    def get(document: Any) -> Any:
        value = document
        for step in steps:
            kind: Any = type(value)
            value = getattr(value, _names(kind)[step])
            if value is None:
                return None
        return value

    return get


def _rule(path: str, weigh: Weigh, note: str = "") -> FieldRule:
    return FieldRule(path, _at(path), weigh, note)


def _effective(document: GroupDocument) -> Any:
    return group_of(document, (), _ANY)  # its RPO is written out: see `compare`


def _group_fields() -> tuple[FieldRule, ...]:
    """The fields that servers hold too, weighed as a plan weighs them, with their defaults filled in."""

    def reading(field: Any) -> Callable[[GroupDocument], Any]:
        return lambda document: field.get(_effective(document))

    return tuple(
        FieldRule(f"spec.{field.path}", reading(field), field.weigh, field.note, field.show) for field in FIELDS
    )


_LOOKED_AT = "no rule can weigh this; a person does"
_OPENED = "what differs is not opened before it is approved"

RULES: dict[str, tuple[FieldRule, ...]] = {
    "ProtectionGroup": (
        _rule("metadata.labels", _neutral),
        _rule("extends", _neutral),
        _rule("spec.site", _weakens, "the old site makes no more points of this group"),
        _rule("spec.server", _server, "stops on the old server, starts again on the other"),
        _rule("spec.members", _members),
        _rule("spec.renamedFrom", _neutral),
        _rule("spec.storage", _neutral),
        *_group_fields(),
        *(_rule(f"spec.online.{tier}", _tier) for tier in ("daily", "weekly", "monthly", "yearly")),
        _rule("spec.backupWindow", _window),
        _rule("spec.replicaCreation", _replica_creation, "until then a new member has no point"),
        _rule("spec.verification", _verification),
        _rule("spec.ignore", _ignore, "what is ignored may differ unseen"),
    ),
    "Exclusion": (
        _rule("metadata.labels", _neutral),
        _rule("spec.site", _weakens),
        _rule("spec.virtualMachines", _excluded),
        _rule("spec.reason", _neutral),
        _rule("spec.owner", _neutral),
        _rule("spec.until", _later_is_weaker),
    ),
    "Site": (
        _rule("metadata.labels", _neutral),
        _rule("spec.timeZone", _weakens, "every schedule, change window and last day moves with it"),
        _rule("spec.rehearsal", _true_is_weaker),
        _rule("spec.prune", _true_is_weaker),
        _rule("spec.state", _weakens, "another memory: what is owned must be adopted again"),
        FieldRule("spec.clusters", lambda document: _by_name(document.spec.clusters), site_rules.clusters, _OPENED),
        FieldRule("spec.servers", lambda document: _by_name(document.spec.servers), site_rules.servers, _OPENED),
        _rule("spec.placement", _neutral, "groups that have a server stay there"),
        _rule("spec.approvals", site_rules.approvals, "approvals are judged by it from the next change on"),
        _rule("spec.budgets", site_rules.budgets),
        _rule("spec.mail", site_rules.mail, _OPENED),
        _rule("spec.changeWindows", site_rules.change_windows),
    ),
    "Guardrail": (
        _rule("metadata.labels", _neutral),
        _rule("spec.match", guardrail_rules.match, _LOOKED_AT),
        _rule("spec.params", _weakens, _LOOKED_AT),
        _rule("spec.validations", guardrail_rules.validations, _LOOKED_AT),
        FieldRule(
            "spec.enforce",
            lambda document: guardrail_rules.ENFORCE.index(document.spec.enforce),
            lambda before, after: order(before, after, more=STRENGTHENS),
            show=guardrail_rules.ENFORCE.__getitem__,
        ),
    ),
    "Preset": (
        _rule("metadata.labels", _neutral),
        _rule("for", _neutral),
        _rule("spec", _neutral, "it shows in the groups that extend it"),
    ),
    "Approval": (
        _rule("metadata.labels", _neutral),
        _rule("spec", _neutral, "it counts where its changes are compared"),
    ),
}

#: What a document that is new, or gone, does.
CREATED = {
    "ProtectionGroup": STRENGTHENS,
    "Exclusion": WEAKENS,
    "Site": NEUTRAL,
    "Guardrail": STRENGTHENS,
    "Preset": NEUTRAL,
    "Approval": NEUTRAL,
}
REMOVED = {
    "ProtectionGroup": WEAKENS,
    "Exclusion": STRENGTHENS,
    "Site": WEAKENS,
    "Guardrail": WEAKENS,
    "Preset": NEUTRAL,
    "Approval": NEUTRAL,
}
