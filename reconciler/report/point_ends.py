"""What a change does to recovery points -> how many expire at once, and by how much others are kept less or longer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from reconciler.model import Impact
from reconciler.model.impact import PointFate
from reconciler.report.words import count


def kept_less(impacts: Iterable[Impact]) -> str:
    """``3 recovery points are kept 5 days less``: those that expire sooner, and not at once; "" for none."""
    impacts = list(impacts)
    fates = [fate for each in impacts for fate in _not_at_once(each)]
    moved = [fate.before - fate.after for fate in fates if fate.before is not None and fate.after is not None]
    return _kept(sum(each.expires_sooner for each in impacts), [each for each in moved if each > timedelta()], "less")


def kept_longer(impacts: Iterable[Impact]) -> str:
    """The same of those that expire later."""
    impacts = list(impacts)
    fates = [fate for each in impacts for fate in each.fates]
    moved = [fate.after - fate.before for fate in fates if fate.before is not None and fate.after is not None]
    return _kept(sum(each.expires_later for each in impacts), [each for each in moved if each > timedelta()], "longer")


def _not_at_once(impact: Impact) -> Sequence[PointFate]:
    """Those that expire at once are the ones that expire first."""
    dated = sorted((fate for fate in impact.fates if fate.after is not None), key=lambda fate: fate.after or fate.time)
    return dated[impact.expires_now :]


def _kept(number: int, moved: Sequence[timedelta], how: str) -> str:
    if not number:
        return ""
    points = count(number, "recovery point is", "recovery points are")
    if len(moved) < number:  # of some it is not known, as of those that would never have expired
        return f"{points} kept {how}"
    days = sorted({round(each / timedelta(days=1)) for each in moved})
    if days[-1] == 0:
        return f"{points} kept some hours {how}"
    span = count(days[-1], "day") if len(days) == 1 else f"up to {count(days[-1], 'day')}"
    return f"{points} kept {span} {how}"
