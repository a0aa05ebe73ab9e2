"""A policy folder that shrank: what we own, what is written -> the changes that are believed."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from reconciler.errors import Diagnostic, Severity
from reconciler.model import Change, Verb
from reconciler.plan.rollout.budgets import MINIMUM_POPULATION

#: So many policies are gone that nothing is stopped for it.
TOO_MANY_GONE = "RCL3062"

_SHOWN = 5


def too_many_policies_missing(
    owned: AbstractSet[str],
    desired: AbstractSet[str],
    formerly: AbstractSet[str] = frozenset(),
    minimum_population: int = MINIMUM_POPULATION,
) -> bool:
    """Whether too many of a site's groups have no policy any more to believe that they were removed on purpose.

    By names of groups: `owned` are in the ledger, `desired` have a policy, `formerly` are earlier names that
    policies mention. Too many are all of them where no policy of the site is left, or at least half of them where
    there are so many as `minimum_population`.
    """
    gone = owned - desired - formerly
    if not gone:
        return False
    return not desired or (len(owned) >= minimum_population and 2 * len(gone) >= len(owned))


def without_removals(
    changes: Iterable[Change],
    owned: AbstractSet[str],
    desired: AbstractSet[str],
    formerly: AbstractSet[str] = frozenset(),
    minimum_population: int = MINIMUM_POPULATION,
) -> tuple[tuple[Change, ...], tuple[Diagnostic, ...]]:
    """The changes without those that stop a group which has no policy any more, where the policies shrank too much
    (`shrunk`), and a finding that says so. A stop that is approved in all its fields stays."""
    everything = tuple(changes)
    if not too_many_policies_missing(owned, desired, formerly, minimum_population):
        return everything, ()
    gone = owned - desired - formerly
    kept = tuple(change for change in everything if not _unapproved_stop(change, gone))
    stopped = sorted({change.group for change in everything if _unapproved_stop(change, gone)})
    if not stopped:
        return everything, ()
    names = ", ".join(stopped[:_SHOWN]) + (f" and {len(stopped) - _SHOWN} more" if len(stopped) > _SHOWN else "")
    finding = Diagnostic(
        TOO_MANY_GONE,
        Severity.WARNING,
        f"{len(gone)} of {len(owned)} groups owned by this site have lost their policy, so these are not "
        f"stopped: {names}",
        "Write their policies again. If they are to be stopped, have the removal of each approved, or "
        "remove fewer at once.",
        subject="policies",
    )
    return kept, (finding,)


def _unapproved_stop(change: Change, gone: AbstractSet[str]) -> bool:
    if change.verb is not Verb.STOP or change.group not in gone:
        return False
    return not change.fields or any(not field.approved_by for field in change.fields)
