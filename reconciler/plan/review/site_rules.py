"""The part of the rule book that is about a Site: two values of one of its fields -> what the change does.

What would be opened, trusted or told something that was not before counts as weakening, so that a person looks at it
first: an added server or cluster, another path, endpoint, credential or engine, a mail server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from reconciler.model import Direction
from reconciler.model.documents import Approvals, Budgets, ChangeWindow, Cluster, Mail, Server
from reconciler.model.units import Size, parse_share
from reconciler.plan.rollout.budgets import MINIMUM_POPULATION
from reconciler.schedule.change_windows import apart

NEUTRAL, STRENGTHENS, WEAKENS = Direction.NEUTRAL, Direction.STRENGTHENS, Direction.WEAKENS

#: How long a server's bin keeps things where the site does not say.
BIN = timedelta(days=7)


def worst(directions: Iterable[Direction]) -> Direction:
    """The gravest; neutral where there is none."""
    return max(directions, key=lambda direction: direction.rank, default=NEUTRAL)


def order(before: Any, after: Any, *, more: Direction) -> Direction:
    """`more` where the later value is the greater, its opposite where it is the smaller."""
    less = WEAKENS if more is STRENGTHENS else STRENGTHENS
    return NEUTRAL if before == after else more if after > before else less


def clusters(before: Mapping[str, Cluster], after: Mapping[str, Cluster]) -> Direction:
    """Churn is for sizing alone; all else is what is opened and whom it is trusted with."""
    if set(before) != set(after):
        return WEAKENS
    seen = [(old.inventory, old.domain) != (after[name].inventory, after[name].domain) for name, old in before.items()]
    return WEAKENS if any(seen) else NEUTRAL


def servers(before: Mapping[str, Server], after: Mapping[str, Server]) -> Direction:
    """A server that comes is opened, one that goes is left; both are looked at."""
    if set(before) != set(after):
        return WEAKENS
    return worst(_server(old, after[name]) for name, old in before.items())


def _server(old: Server, new: Server) -> Direction:
    opened = ("engine", "agent_authentication", "online_store")
    if any(getattr(old, name) != getattr(new, name) for name in opened):
        return WEAKENS
    volumes = {volume.name: volume.capacity for volume in new.volumes}
    steps = [order(each.capacity, volumes.get(each.name, Size(0)), more=STRENGTHENS) for each in old.volumes]
    steps.append(order(_bin(old), _bin(new), more=STRENGTHENS))
    steps.append(order(old.item_level_recovery, new.item_level_recovery, more=STRENGTHENS))
    return worst(steps)


def _bin(server: Server) -> timedelta:
    return server.bin.delta if server.bin is not None else BIN


def mail(before: Mail | None, after: Mail | None) -> Direction:
    """Another mail server is signed in to, and reads what is sent; without one nobody is told anything."""
    if before is not None and after is not None and (before.smtp, before.credential) == (after.smtp, after.credential):
        return NEUTRAL
    return WEAKENS


def approvals(before: Approvals | None, after: Approvals | None) -> Direction:
    """Whoever names who may say yes decides what is done ever after. So another list, or another file of signers, is
    weaker, the first one too, and a shorter one: where nobody is left who may say yes, nothing could be approved. By
    itself no self-approval is stronger."""
    if before is None or after is None:
        return WEAKENS
    if set(after.approvers) != set(before.approvers) or after.allowed_signers != before.allowed_signers:
        return WEAKENS
    return order(before.self_approval, after.self_approval, more=WEAKENS)


def budgets(before: Budgets | None, after: Budgets | None) -> Direction:
    """Each by itself: what is left out is not limited, and a share counts from the least population on."""
    old, new = _limits(before), _limits(after)
    return worst(order(was, now, more=WEAKENS) for was, now in zip(old, new, strict=True))


def _limits(budgets: Budgets | None) -> tuple[float, ...]:
    told = budgets if budgets is not None else Budgets()
    day = msgspec.structs.astuple(told.per_day) if told.per_day is not None else (None,) * 3
    share = parse_share(told.share_at_once) if told.share_at_once is not None else None
    least = told.minimum_population if told.minimum_population is not None else MINIMUM_POPULATION
    return (*(float("inf") if each is None else float(each) for each in (*day, share)), float(least))


def change_windows(before: Sequence[ChangeWindow], after: Sequence[ChangeWindow]) -> Direction:
    """Weaker where changes may be made at a time at which they might not be."""
    opened, closed = apart(before, after)
    return WEAKENS if opened else STRENGTHENS if closed else NEUTRAL
