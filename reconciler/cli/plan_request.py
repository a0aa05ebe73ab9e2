"""Options of plan and apply -> what is asked of a plan."""

from __future__ import annotations

from reconciler.control.planning.propose import PlanRequest
from reconciler.errors import UsageError
from reconciler.plan import Scope

Names = list[str] | None


def wish(adopt: Names, servers: Names, groups: Names, authors: Names) -> PlanRequest:
    """The wish; every name once."""
    scope = Scope(tuple(dict.fromkeys(servers or ())), tuple(dict.fromkeys(groups or ())))
    return PlanRequest(tuple(dict.fromkeys(adopt or ())), scope, tuple(authors or ()))


def only_authors(wish: PlanRequest) -> tuple[str, ...]:
    """The authors; a saved plan is done as it is, so the other options do not go with it."""
    if wish.adopt or wish.scope != Scope():
        what = "--adopt, --server and --group do not go with a saved plan, which is done as it is"
        raise UsageError("RCL0003", what, "Give them to `reconciler plan --out FILE`.")
    return wish.authors
