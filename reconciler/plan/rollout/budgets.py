"""Budgets: a change -> what it takes of a day's budgets; that, and the day so far -> whether it may be done now."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import CatalogSnapshot, Change, Cost, DataSource, Impact, ReplicaState
from reconciler.model.documents import Budgets, ChangeWindow
from reconciler.model.encode import exact_size
from reconciler.plan.difference.dependencies import members_added, members_removed
from reconciler.schedule.change_windows import next_open, open_now

#: From how many machines on a share of them means something, where the site does not say.
MINIMUM_POPULATION = 5

#: What budgets are called in the policy, in the order of the fields of `Cost`.
NAMES = ("perDay.newMembers", "perDay.initialReplication", "perDay.expiredPoints", "shareAtOnce")

Amounts = tuple[int, int, int, int]


class Allowance(msgspec.Struct, frozen=True):
    """What a site allows: its budgets and change windows, its zone, the moment (UTC), what was spent today by the
    clocks of the zone, and how many machines its groups have now.

    `whole_days` names the servers that hold retention in whole days only.
    """

    budgets: Budgets | None
    windows: Sequence[ChangeWindow]
    zone: ZoneInfo
    now: datetime
    spent: Cost = Cost()
    population: int = 0
    whole_days: frozenset[str] = frozenset()


def with_replica(catalogs: Mapping[str, CatalogSnapshot]) -> frozenset[tuple[str, DataSource]]:
    """Which data sources have a first copy already, each with its server."""
    return frozenset(
        (server, replica.source)
        for server, catalog in catalogs.items()
        for replica in catalog.replicas
        if replica.state is not ReplicaState.PENDING
    )


def cost(
    change: Change,
    sizes: Mapping[DataSource, int],
    impact: Impact | None,
    copied: Container[tuple[str, DataSource]] = frozenset(),
) -> Cost:
    """What a change takes of the budgets.

    A new member is one that the group gains and that has no first copy on the server (`copied`, see `with_replica`);
    its bytes are in `sizes`, 0 where the size is not known. Weakened are the members that are let go of, and all
    that the group has as soon as one of its settings is weakened. An approval makes nothing cheaper.
    """
    new = [source for source in members_added(change) if (change.server, source) not in copied]
    for_all = any(each.direction.needs_consent and each.path != "members" for each in change.fields)
    had = len(change.before.members) if change.before is not None else 0
    return Cost(
        new_members=len(new),
        initial_bytes=sum(sizes.get(source, 0) for source in new),
        expired_points=impact.lets_expire if impact is not None else 0,
        weakened_members=had if for_all else len(members_removed(change)),
    )


def amounts(spent: Cost) -> Amounts:
    """The amounts in the order of `NAMES`."""
    return (spent.new_members, spent.initial_bytes, spent.expired_points, spent.weakened_members)


def limits(allowance: Allowance) -> tuple[int | None, ...]:
    """How much a day may take of each budget, in the order of `NAMES`; None for any amount.

    A share is rounded down to whole machines, but one may always be touched; it counts from the least population on.
    """
    budgets = allowance.budgets
    if budgets is None:
        return (None, None, None, None)
    day = budgets.per_day
    share = None
    least = budgets.minimum_population if budgets.minimum_population is not None else MINIMUM_POPULATION
    if budgets.share_at_once is not None and allowance.population >= least:
        percent = Decimal(budgets.share_at_once.removesuffix("%"))
        share = max(1, int(percent * allowance.population / 100))
    per_day = (day.new_members, day.initial_replication, day.expired_points) if day is not None else (None,) * 3
    return (*(max(0, int(each)) if each is not None else None for each in per_day), share)


def why_blocked(spends: Cost, allowance: Allowance) -> str:
    """Why a step that costs so much may not be done now; "" when it may.

    Of a step that is larger than a whole day's budget nothing is left to cut, so it is done when nothing of that
    budget was spent today.
    """
    if not open_now(allowance.windows, allowance.now.astimezone(allowance.zone)):
        opens = next_open(allowance.windows, allowance.now, allowance.zone)
        when = f"; it opens at {opens.astimezone(allowance.zone):%Y-%m-%d %H:%M}" if opens is not None else ""
        return f"no change window is open now{when}"
    spent = amounts(allowance.spent)
    for place, limit in exceeded_budgets(limits(allowance), spent, amounts(spends), lone=True):
        said = f"{amount_text(place, spent[place])} of {amount_text(place, limit)}"
        return (
            f"{NAMES[place]}: {said} are spent today, and the step takes {amount_text(place, amounts(spends)[place])}"
        )
    return ""


def exceeded_budgets(
    bounds: Sequence[int | None], spent: Sequence[int], spends: Sequence[int], *, lone: bool | Container[int] = False
) -> list[tuple[int, int]]:
    """The budgets, by their place in `NAMES`, that are spent beyond their bounds, each with the bound. Where the
    step is `lone` it cannot be cut, so it may go beyond a budget of which nothing was spent."""
    found = []
    for place, limit in enumerate(bounds):
        if limit is None or not spends[place] or spent[place] + spends[place] <= limit:
            continue
        alone = lone if isinstance(lone, bool) else place in lone
        if not (alone and not spent[place]):
            found.append((place, limit))
    return found


def amount_text(place: int, amount: int) -> str:
    """An amount of a budget, for people: bytes with a unit, all else as a number."""
    return exact_size(amount) if NAMES[place] == "perDay.initialReplication" else str(amount)


def budget_text(places: Iterable[int], bounds: Sequence[int | None]) -> str:
    """The budgets at these places and what a day may take of each, for people."""
    shown = [f"{NAMES[p]} {amount_text(p, limit)}" for p in sorted(places) if (limit := bounds[p]) is not None]
    return ", ".join(shown)
