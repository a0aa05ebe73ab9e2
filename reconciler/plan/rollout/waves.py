"""Spreading: ordered changes, budgets and change windows -> waves, one a day at most, and no change is dropped.

A change that is over a budget is cut: what a day has room for is done on it, the rest on the days that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model import Change, Cost, DataSource, Impact, ProtectionGroup, Wave
from reconciler.plan.difference.dependencies import members_added, members_removed, names_freed, names_taken
from reconciler.plan.difference.split import (
    released,
    releasing_settings,
    remainder,
    settings_before_weakening,
    split,
    taken_in,
)
from reconciler.plan.rollout.budgets import (
    NAMES,
    Allowance,
    amount_text,
    amounts,
    budget_text,
    exceeded_budgets,
    limits,
)
from reconciler.plan.rollout.retention_steps import RetentionSteps
from reconciler.schedule.calendar import instant
from reconciler.schedule.change_windows import HORIZON, next_open

Weigh = Callable[[Change], tuple[Cost, Impact | None]]

_DAY = timedelta(days=1)
_UNITS = (_DAY, timedelta(hours=1), timedelta(minutes=1))
_NEW, _EXPIRED, _WEAKENED = 0, 2, 3

#: How many machines that do not fit are passed over in the search for others that do.
_MISSES = 8


class Spread(msgspec.Struct, frozen=True):
    """The waves; every change or part of one with the number of its wave, in the order in which they are done; and
    what was found on the way. `unfinished` are the places in `parts` after which the rest of a change is still to
    come: the group is not yet as its policy says."""

    waves: tuple[Wave, ...] = ()
    parts: tuple[tuple[int, Change], ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    unfinished: frozenset[int] = frozenset()


def spread(ordered: Sequence[Change], allowance: Allowance, weigh: Weigh) -> Spread:
    """Puts every change into a wave, and cuts those that are over a budget.

    `ordered` is in an order in which the changes can be done (`order`). The first wave is what may be done now, or
    in the next change window; each later one is on a later day of the site's zone. A part that gains a machine or a
    name is never before the one that lets go of it, and parts of one group keep their order; nothing else waits.
    Whatever changes a server respects the windows, even where it costs nothing.
    """
    if not ordered:
        return Spread()
    bounded = any(limit is not None for limit in limits(allowance))
    spreader = _Spreader(allowance, weigh)
    if not bounded:
        return spreader.at_once(ordered)
    for place, change in enumerate(ordered):
        spreader.put(place, change)
    return spreader.result()


class _Day:
    """One day with room for changes: when its first window opens, what is spent on it, and what came to it late."""

    def __init__(self, opens_at: datetime, day: date, spent: Sequence[int], because: str) -> None:
        self.opens_at = opens_at
        self.day = day
        self.spent = list(spent)
        self.because = {because} if because else set()


class _Spreader:
    def __init__(self, allowance: Allowance, weigh: Weigh) -> None:
        self.allowance = allowance
        self.weigh = weigh
        self.limits = limits(allowance)
        self.never = False
        self.days = [self._first()]
        self.full = [0, 0, 0, 0]
        self.parts: list[tuple[int, int, Change]] = []
        self.findings: list[Diagnostic] = []
        self.freed: dict[tuple[str, object], int] = {}
        self.groups: dict[tuple[str, str, str], int] = {}

    def at_once(self, ordered: Sequence[Change]) -> Spread:
        """Everything in one wave."""
        (day,) = self.days
        wave = Wave(1, day.opens_at, "; ".join(sorted(day.because)))
        parts = tuple((1, change) for change in ordered)
        return Spread((wave,), parts, tuple(self._never_open()), _unfinished(parts))

    def result(self) -> Spread:
        """The days that have something as waves, and the parts by wave."""
        used = sorted({at for at, _, _ in self.parts})
        number = {at: place for place, at in enumerate(used, start=1)}
        waves = tuple(Wave(number[at], self.days[at].opens_at, "; ".join(sorted(self.days[at].because))) for at in used)
        parts = tuple((number[at], part) for at, _, part in sorted(self.parts, key=lambda each: each[:2]))
        return Spread(waves, parts, (*self._never_open(), *self.findings), _unfinished(parts))

    # --- Days ------------------------------------------------------------------------------------------------

    def _first(self) -> _Day:
        now, zone = self.allowance.now, self.allowance.zone
        opens, because = self._opens(now), ""
        if opens > now:
            because = "no change window is open before"
        day, today = opens.astimezone(zone).date(), now.astimezone(zone).date()
        return _Day(opens, day, amounts(self.allowance.spent) if day == today else (0, 0, 0, 0), because)

    def _day(self, at: int) -> _Day:
        while at >= len(self.days):
            zone = self.allowance.zone
            before = self.days[-1].day
            opens = self._opens(instant(before + _DAY, time(0), zone))
            self.days.append(_Day(opens, opens.astimezone(zone).date(), (0, 0, 0, 0), ""))
        return self.days[at]

    def _opens(self, after: datetime) -> datetime:
        """The next moment at which changes may be made; where there is none, the days go on as if they were open."""
        if self.never:
            return after
        opens = next_open(self.allowance.windows, after, self.allowance.zone)
        if opens is None:
            self.never = True
            return after + HORIZON
        return opens

    def _never_open(self) -> list[Diagnostic]:
        if not self.never:
            return []
        what = f"no change window opens within {HORIZON.days} days after the last one, so some steps are never done"
        return [Diagnostic("RCL3061", Severity.WARNING, what, "Check `changeWindows` in the site.", subject="site")]

    # --- One change ------------------------------------------------------------------------------------------

    def put(self, place: int, change: Change) -> None:
        """Puts the change, or each part of it, on the first day that has room for it."""
        at, because = self._earliest(change), ""
        rest: Change | None = change
        spends = self._cost(change)
        while rest is not None:
            day = self._day(at)
            part: Change | None = rest
            if exceeded_budgets(self.limits, day.spent, spends) or self._available(rest) > at:
                part = self._cut(rest, spends, at)
            if part is not None:
                self._place(place, part, at, because)
                rest = remainder(rest, part)
                spends = self._cost(rest) if rest is not None else spends
            late = budget_text((budget for budget, _ in exceeded_budgets(self.limits, day.spent, spends)), self.limits)
            because = f"over what a day may take: {late}" if late else "waits for what another step lets go of"
            at = self._skip(at + 1, rest, spends) if rest is not None else at

    def _earliest(self, change: Change) -> int:
        names = (self.freed.get((change.server, name), 0) for name in names_taken(change))
        return max(self.groups.get(_group(change), 0), *names, 0)

    def _available(self, change: Change) -> int:
        return max((self._held_until(change, source) for source in members_added(change)), default=0)

    def _held_until(self, change: Change, source: DataSource) -> int:
        return self.freed.get((change.server, source), 0)

    def _skip(self, at: int, rest: Change, spends: Sequence[int]) -> int:
        """The first day from `at` on that could have room for a part of what is left, or on which a machine comes
        that another group lets go of."""
        kinds = [self.full[kind] for kind in (_NEW, _WEAKENED) if spends[kind]]
        comes = (self._held_until(rest, source) for source in members_added(rest))
        return max(at, min([*kinds, *(day for day in comes if day >= at)])) if kinds else at

    def _place(self, place: int, part: Change, at: int, because: str) -> None:
        day = self.days[at]
        spends = self._cost(part)
        for budget, limit in exceeded_budgets(self.limits, (0, 0, 0, 0), spends):
            self.findings.append(_too_large(part, budget, spends[budget], limit))
        day.spent = [one + other for one, other in zip(day.spent, spends, strict=True)]
        if because:
            day.because.add(because)
        self.parts.append((at, place, part))
        for thing in (*members_removed(part), *names_freed(part)):
            self.freed[part.server, thing] = at
        self.groups[_group(part)] = at
        for budget, bound in enumerate(self.limits):
            while bound is not None and self.full[budget] < len(self.days):
                spent = self.days[self.full[budget]].spent[budget]
                if not spent or spent < bound:
                    break
                self.full[budget] += 1

    # --- Cutting ---------------------------------------------------------------------------------------------

    def _cut(self, change: Change, spends: Sequence[int], at: int) -> Change | None:
        """The largest part of the change that the day has room for; None where it has none for any."""
        day = self._day(at)
        losing = sorted(members_removed(change))
        if change.after is None:
            if len(losing) <= 1:
                return None if exceeded_budgets(self.limits, day.spent, spends, lone=True) else change
            out, _ = self._fill(day.spent, losing, lambda chunk: released(change, chunk))
            out = out[: len(losing) - 1]
            return split(change, settings_before_weakening(change), lose=out) if out else None
        settings, out, spent = self._weaken(change, losing, day.spent)
        free = sorted(source for source in members_added(change) if self._held_until(change, source) <= at)
        free.sort(key=lambda source: (change.server, source) not in self.freed)  # nobody protects those meanwhile
        new, _ = self._fill(spent, free, lambda chunk: taken_in(change, chunk))
        if change.before is None and not new and change.after.members:
            return None
        part = split(change, settings, lose=out, gain=new)
        return None if part.after == change.before else part

    def _weaken(
        self, change: Change, losing: list[DataSource], spent: Sequence[int]
    ) -> tuple[ProtectionGroup, list[DataSource], Sequence[int]]:
        """How far the day has room to weaken the group, stage by stage: what becomes of points, the members that are
        let go of under that, then every other setting."""
        assert change.after is not None
        settings = settings_before_weakening(change)
        releasing = releasing_settings(change)
        if releasing != settings:
            takes = self._cost(split(change, releasing))
            if exceeded_budgets(self.limits, spent, takes, lone=True):
                return settings, [], spent
            settings = releasing
            before = spent
            spent = _sum(spent, takes)
        else:
            before = spent
        out, then = self._fill(spent, losing, lambda chunk: released(change, chunk))
        goal = msgspec.structs.replace(change.after, members=settings.members)
        if len(out) < len(losing) or settings == goal:
            return settings, out, then
        last = self._settle(change, settings, out, before)
        if last is None:
            return settings, out, then
        return last, out, _sum(before, self._cost(split(change, last, lose=out)))

    def _settle(
        self, change: Change, settings: ProtectionGroup, out: list[DataSource], spent: Sequence[int]
    ) -> ProtectionGroup | None:
        """The weakest settings on the way to those of the change for which there is room; None for none."""
        goal = change.after
        assert goal is not None

        def takes(to: ProtectionGroup) -> Sequence[int]:
            return self._cost(split(change, to, lose=out))

        whole, without = takes(goal), takes(settings)[_EXPIRED]
        if not exceeded_budgets(self.limits, spent, whole):
            return goal
        if whole[_EXPIRED] == without:
            return None if exceeded_budgets(self.limits, spent, whole, lone=True) else goal
        for unit in _UNITS[:1] if change.server in self.allowance.whole_days else _UNITS:
            ladder = RetentionSteps(settings, goal, unit)

            def has_room(step: int, ladder: RetentionSteps = ladder) -> bool:
                return not exceeded_budgets(self.limits, spent, takes(ladder.at(step)), lone={_WEAKENED})

            step = _last(len(ladder), has_room)
            if step and takes(ladder.at(step))[_EXPIRED] > without:
                return ladder.at(step)
        if without:
            return None
        first = 1 + _last(len(ladder), lambda step: not takes(ladder.at(step))[_EXPIRED])
        fewest = takes(ladder.at(first))
        if exceeded_budgets(self.limits, spent, fewest, lone=True):
            return None
        return ladder.at(_last(len(ladder), lambda step: takes(ladder.at(step))[_EXPIRED] <= fewest[_EXPIRED]))

    def _fill(
        self, spent: Sequence[int], sources: list[DataSource], part: Callable[[list[DataSource]], Change]
    ) -> tuple[list[DataSource], Sequence[int]]:
        """The machines that there is room for, in their order, and what is spent then. What `part` makes of some of
        them costs the same whatever else is done."""
        taken: list[DataSource] = []
        place = missed = 0
        while place < len(sources) and missed < _MISSES:
            count = self._reach(spent, sources[place:], part)
            if not count:
                missed, place = missed + 1, place + 1
                continue
            chunk = sources[place : place + count]
            taken += chunk
            spent = _sum(spent, self._cost(part(chunk)))
            place += count
        return taken, spent

    def _reach(
        self, spent: Sequence[int], sources: list[DataSource], part: Callable[[list[DataSource]], Change]
    ) -> int:
        """How many of the first machines there is room for together; one alone may be larger than the day."""
        if exceeded_budgets(self.limits, spent, self._cost(part(sources[:1])), lone=True):
            return 0
        count = 1
        while 2 * count <= len(sources) and not exceeded_budgets(
            self.limits, spent, self._cost(part(sources[: 2 * count]))
        ):
            count *= 2
        more = min(count, len(sources) - count)
        return count + _last(
            more, lambda n: not exceeded_budgets(self.limits, spent, self._cost(part(sources[: count + n])))
        )

    def _cost(self, part: Change) -> Sequence[int]:
        return amounts(self.weigh(part)[0])


def _sum(one: Sequence[int], other: Sequence[int]) -> Sequence[int]:
    return [a + b for a, b in zip(one, other, strict=True)]


def _last(length: int, holds: Callable[[int], bool]) -> int:
    """The largest number up to `length` for which it holds, where it holds for all smaller ones; 0 for none."""
    low, high = 0, length
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _group(change: Change) -> tuple[str, str, str]:
    return (change.server, change.ref, "" if change.ref else change.group)


def _unfinished(parts: Sequence[tuple[int, Change]]) -> frozenset[int]:
    """The places of all parts but the last of each group."""
    last = {_group(part): place for place, (_, part) in enumerate(parts)}
    return frozenset(range(len(parts))) - frozenset(last.values())


def _too_large(part: Change, budget: int, spends: int, limit: int) -> Diagnostic:
    takes = f"{amount_text(budget, spends)} of {amount_text(budget, limit)}"
    return Diagnostic(
        "RCL3060",
        Severity.WARNING,
        f"one step of {part.group} alone exceeds the budget {NAMES[budget]}: {takes} of a day",
        "It cannot be split further, so nothing else of that budget is done on its day. Raise the budget, if that is "
        "too slow.",
        part.location,
        subject="" if part.location is not None else part.group,
    )
