"""Moved: what keeps a cluster or a server from being seen -> the same, with where the policies say that it is by now.

A path or an endpoint that nobody agreed to is not opened (ADR 13), so the one that is looked at is the former one. Who
is told only that nothing is there any more declares lost what was moved.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from reconciler.control.approving.valid_approvals import settled_commit, wants_approvers
from reconciler.control.site import Site
from reconciler.errors import ReconcilerError
from reconciler.model.documents import SiteDocument
from reconciler.model.encode import encode, inline
from reconciler.plan.approval.unapproved_documents import whose_yes

E = TypeVar("E", bound=ReconcilerError)


def elsewhere_by_now(site: Site, kind: str, name: str, error: E) -> E:
    """The error that kept the cluster or server (`kind`) from being seen; where the policies name another place for it
    that waits for somebody's yes, RCL3103, it says so, and what to do about that first."""
    wanted = _places(site.written or site.document, kind).get(name)
    if wanted is None or wanted == _places(site.document, kind).get(name):
        return error
    said = error.diagnostic
    what = (
        f"{said.message}; the policies name another place for the {kind} {name}, {wanted}, which nobody agreed to "
        "(RCL3103)"
    )
    yes = whose_yes(approvers=wants_approvers(site), since=settled_commit(site))
    remedy = f"If it was moved there, nothing is lost. {yes} If it was not moved: {said.remedy}"
    told = type(error).__new__(type(error), *error.args)
    vars(told).update(vars(error))  # the same kind of error, with whatever else it carries
    told.diagnostic = msgspec.structs.replace(said, message=what, remedy=remedy)
    return told


def _places(site: SiteDocument, kind: str) -> dict[str, str]:
    """Where each of the kind is: path or endpoint with what belongs to it, as it is written."""
    spec = site.spec
    named: Iterable[tuple[str, object]] = (
        ((each.name, each.inventory) for each in spec.clusters)
        if kind == "cluster"
        else ((each.name, each.engine) for each in spec.servers)
    )
    return {name: inline(encode(where)) for name, where in named}
