"""Judging: the approvals in the policy folder, and the site as it was last applied -> those that count for a plan.

As in `compare`, the older state judges (ADR 6): approvers and signers are those of the site that was last applied, so
that a change cannot bring its own judge. Whoever wrote the policies since then does not approve them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from reconciler import files, gitrepo
from reconciler.control.approvals import Court, approved
from reconciler.control.authorship import EMPTY, Side, wrote
from reconciler.control.compare import read_state, side_of
from reconciler.control.policies import checked_out, names_of, policy_files
from reconciler.control.site import Site
from reconciler.errors import Diagnostic, PolicyError, ReconcilerError
from reconciler.model import Approved
from reconciler.model.documents import Approvals, PolicySet, SiteDocument
from reconciler.model.encode import decode
from reconciler.plan.signers import in_use
from reconciler.protocols import ApprovalUse


class Known(msgspec.Struct, frozen=True, rename="camel"):
    """The site as it was last applied, the commit of its policies, and the text of its allowed signers."""

    document: SiteDocument
    commit: str
    signers: str | None


class Verdict(msgspec.Struct, frozen=True):
    """The approvals that count, and what was found of those that do not."""

    approvals: tuple[Approved, ...]
    findings: tuple[Diagnostic, ...]


class Bench(msgspec.Struct, frozen=True):
    """What is judged from: the root, the site as it is written now, what the ledger has of the site as it was last
    applied, the day in its zone, and what became of approvals, by id."""

    root: Path
    document: SiteDocument
    told: dict[str, Any] | None
    today: date
    uses: Mapping[str, ApprovalUse] = {}


def judge(bench: Bench, policies: PolicySet, authors: tuple[str, ...] = ()) -> Verdict:
    """Which approvals count now. `authors` names who wrote the change, where Git cannot tell."""
    known = _known(bench.told)
    if not policies.approvals:
        return Verdict((), ())
    rules = known.document.spec.approvals if known is not None else bench.document.spec.approvals
    signers = known.signers if known is not None else signers_text(bench.root, rules)
    changed = _uncommitted(bench.root, (rules, bench.document.spec.approvals))
    since = known.commit if known is not None else ""
    wrote = frozenset(authors) or _authors(bench.root, policies, since, changed)
    signing = in_use(signers)
    name = bench.document.metadata.name
    court = Court(
        name,
        rules,
        signing.encode() if signing is not None else None,
        wrote,
        bench.today,
        changed or frozenset(),
        bench.uses,
    )
    counting, found = approved(policies.approvals, court)
    return Verdict(counting, found)


def bench_of(site: Site) -> Bench:
    """Where approvals are judged for a site that is open."""
    today = site.now().astimezone(site.zone).date()
    uses = site.memory.approvals.all()
    return Bench(site.folder, site.written or site.document, site.memory.ledger.site_document(), today, uses)


def wants_approvers(site: Site) -> bool:
    """Whether what weakens needs an Approval: the site names approvers, or did when it was last applied."""
    known = last_applied(site)
    return site.document.spec.approvals is not None or (known is not None and known.document.spec.approvals is not None)


def last_applied(site: Site) -> Known | None:
    """The site as it was last applied; None before the first apply."""
    return _known(site.memory.ledger.site_document())


def _known(told: dict[str, Any] | None) -> Known | None:
    if told is None:
        return None
    return Known(decode(told["document"], SiteDocument), told["commit"], told["signers"])


def signers_text(root: Path, rules: Approvals | None) -> str | None:
    """The file of allowed signers that the rules name; None where there is none, or it cannot be read."""
    if rules is None or rules.allowed_signers is None:
        return None
    try:
        return files.read_text(root / rules.allowed_signers)
    except (OSError, UnicodeDecodeError):
        return None


def _uncommitted(root: Path, rules: Iterable[Approvals | None]) -> frozenset[str] | None:
    """The policy files that Git does not have as they are; None where there is no repository."""
    try:
        commit, differing = checked_out(root, rules)
        return differing if commit else None
    except ReconcilerError:
        return None


def _authors(root: Path, policies: PolicySet, since: str, changed: frozenset[str] | None) -> frozenset[str] | None:
    """Who wrote the policies since they were last applied, but for commits that only bring approvals; None where Git
    cannot tell."""
    if changed is None:
        return None
    found = {gitrepo.identity(root)} if changed else set()
    try:
        older = _then(root, since) if since else Side("", EMPTY)
        return frozenset((found | wrote(root, older, Side("", policies, names_of(policy_files(root))))) - {""})
    except ReconcilerError:
        return None


def _then(root: Path, commit: str) -> Side:
    """The policies of a commit."""
    try:
        return side_of(read_state(root, commit, may_be_empty=True))
    except PolicyError:
        return Side(commit, None)
