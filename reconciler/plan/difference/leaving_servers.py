"""Going: a server or cluster that the site is to have no more, groups that stay as they were -> what cannot go yet, and
what cannot be done.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from reconciler.errors import Diagnostic, Severity
from reconciler.model import Change, LedgerEntry, Verb
from reconciler.model.documents import Placed, PolicySet, SiteDocument, SiteSpec
from reconciler.plan.approval.change_hashes import AsApplied, written_since
from reconciler.plan.approval.unapproved_documents import WAITS, whose_yes
from reconciler.plan.difference.owned_groups import lasting


def still_needed(
    settled: SiteDocument,
    weighed: SiteDocument,
    policies: PolicySet,
    ledger: Iterable[LedgerEntry],
    agreed: Container[str],
) -> dict[str, str]:
    """The fields of the Site that cannot go yet, each with the reason: a group is on a server, or means a cluster, that
    would go, and something that weakens was changed of it to which nobody agreed, so it stays as it was last applied.
    """
    going = {
        "spec.servers": {each.name for each in settled.spec.servers} - {each.name for each in weighed.spec.servers},
        "spec.clusters": {each.name for each in settled.spec.clusters} - {each.name for each in weighed.spec.clusters},
    }
    if not any(going.values()):
        return {}
    entries = tuple(entry for entry in lasting(ledger, (Placed(settled, AsApplied()),)) if entry.document)
    waiting = {
        change.formerly or change.name
        for change in written_since(policies, entries)
        if any(field.direction.needs_consent and field.change_hash not in agreed for field in change.fields)
    }
    found: dict[str, str] = {}
    for entry in entries:
        if entry.group not in waiting:
            continue
        needs = {"spec.servers": {entry.server}, "spec.clusters": {each.source.cluster for each in entry.members}}
        for field, names in needs.items():
            for name in sorted(names & going[field])[:1]:
                what = "is on" if field == "spec.servers" else "protects virtual machines of"
                found.setdefault(field, f"the group {entry.group} {what} {name} as it was last applied")
    return found


def possible(
    changes: Sequence[Change], spec: SiteSpec | None, spared: Container[str], since: str
) -> tuple[tuple[Change, ...], tuple[Diagnostic, ...]]:
    """The changes without those of a group that would be made on a server that the site has not: a document as it was
    last applied may name one that went. With a finding for each. And without stopping those `spared`, whose policies
    wait. `since` is the commit whose policies were last applied."""
    asked = tuple(each for each in changes if each.verb is not Verb.STOP or each.group not in spared)
    if spec is None:
        return asked, ()
    servers = {each.name for each in spec.servers}
    lost = {each.group: each for each in asked if each.after is not None and each.server not in servers}
    found = tuple(
        Diagnostic(
            WAITS,
            Severity.WARNING,
            f"nothing is done to the group {name}: as it was last applied it is on {each.server}, which the site has "
            "no more, and its changes since then are not approved",
            whose_yes(approvers=spec.approvals is not None, since=since),
            each.location,
            f"ProtectionGroup {name}",
        )
        for name, each in sorted(lost.items())
    )
    return tuple(each for each in asked if each.group not in lost), found
