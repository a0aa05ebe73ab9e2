"""Agreeing: policies and servers that say the same, though we did not make it so -> what the ledger learns of it.

A value that the server rounded and a policy then took over, or a change on the server that the policies followed, has
no step in any plan: without this it would be drift for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from reconciler.model import CatalogSnapshot, LedgerEntry
from reconciler.plan.desired.state import DesiredState
from reconciler.plan.drift.group_drift import claims
from reconciler.plan.fields import taking


class Convergence(msgspec.Struct, frozen=True):
    """Entries as they are now, and those of groups that neither a policy wants nor the server has any more."""

    entries: tuple[LedgerEntry, ...] = ()
    over: tuple[LedgerEntry, ...] = ()


def agreed(
    desired: DesiredState,
    ledger: Iterable[LedgerEntry],
    catalogs: Mapping[str, CatalogSnapshot],
    unreadable: Mapping[str, frozenset[str]],
    now: datetime,
) -> Convergence:
    """What the ledger is to learn. Only of servers that could be seen; what cannot be read back has to be as it was
    last applied."""
    owned = tuple(ledger)
    claimed = claims(desired.groups, owned)
    live = {(name, each.ref): each.group for name, seen in catalogs.items() for each in seen.groups}
    entries, over = [], []
    for entry in owned:
        wish = claimed.get((entry.server, entry.group))
        group = live.get((entry.server, entry.ref))
        if group is None:
            over += [entry] if wish is None and entry.server in catalogs else []
            continue
        seen = taking(group, entry.applied, unreadable.get(entry.server, frozenset()))
        if wish is not None and wish.group != entry.applied and seen == taking(wish.group, seen, wish.ignored):
            known = tuple(each for each in wish.known if each.source in seen.sources)
            entries.append(
                msgspec.structs.replace(
                    entry,
                    applied=seen,
                    applied_at=now,
                    members=known,
                    selectors=wish.selectors,
                    labels=wish.labels,
                    document=wish.document,
                    observed=None,
                )
            )
    return Convergence(tuple(entries), tuple(over))
