"""Securing: a Site as it is written, and as it was last settled -> the Site as it may be opened, and what waits.

Whoever can write the policies could else have a plan sign in at a server of his own, add a key to those that may sign,
or raise a budget and use it at once (ADR 13).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import msgspec

from reconciler.control.approving.approvals_across_rules import still_counting
from reconciler.control.approving.used_approvals import use_for_changes
from reconciler.control.approving.valid_approvals import (
    ApprovalContext,
    bench_of,
    judge,
    settled_guard,
    written_guard,
    zone_of,
)
from reconciler.control.policy_folder import noted_commit
from reconciler.control.site import Site
from reconciler.errors import Diagnostic, Refused, Severity
from reconciler.model import Approved, LedgerEntry
from reconciler.model.documents import Approvals, EngineSource, GroupDocument, Placed, PolicySet, SiteDocument
from reconciler.model.encode import decode, encode, inline
from reconciler.plan.approval.unapproved_documents import APPROVERS_WAIT, WAITS, whose_yes
from reconciler.plan.desired.state import AUTO
from reconciler.plan.difference.leaving_servers import still_needed
from reconciler.plan.difference.owned_groups import lasting, owned_as
from reconciler.plan.review.settled_guard import Guard, Waiting, exclusions_now, guardrails_now, weigh_guard
from reconciler.protocols import Clock, Memory

#: The state belongs to another site than the policies.
ANOTHER_SITE = "RCL3105"


class Secured(msgspec.Struct, frozen=True):
    """The site as it may be opened; what is in force once this is settled; what waits for somebody's yes; the hashes
    that somebody agreed to, with the approvals. `first`: nothing was settled yet."""

    site: SiteDocument
    guard: Guard
    waiting: tuple[Waiting, ...] = ()
    agreed: frozenset[str] = frozenset()
    approvals: tuple[Approved, ...] = ()
    first: bool = False


def secure(bench: ApprovalContext, policies: PolicySet, *, everything: bool = False) -> Secured:
    """What may be opened and what counts. With `everything` somebody has agreed to all of it."""
    written = written_guard(bench, policies)
    settled = settled_guard(bench.told)
    if settled is None:
        return Secured(bench.document, written, first=True)
    if renamed(settled, bench.document):
        raise _of_another_site(settled.site, bench.document)
    weighed = weigh_guard(settled, written, None if everything else frozenset())
    if not weighed.waiting or everything:
        return Secured(weighed.guard.site, weighed.guard, agreed=weighed.agreed)
    approvals = judge(bench, policies).approvals
    hashes = frozenset(each for approval in approvals for each in approval.changes)
    weighed = weigh_guard(settled, written, hashes)
    ruled = msgspec.structs.replace(policies, guardrails=guardrails_now(weighed.guard, policies))
    if needed := still_needed(settled.site, weighed.guard.site, ruled, bench.entries(), hashes):
        weighed = weigh_guard(settled, written, hashes, needed)
    return Secured(weighed.guard.site, weighed.guard, weighed.waiting, weighed.agreed, approvals)


def renamed(settled: Guard | None, written: SiteDocument) -> bool:
    """Whether the state is of another site than the one that is written. Who may say so was named by that one."""
    return settled is not None and settled.site.metadata.name != written.metadata.name


def another_site(site: Site) -> tuple[Diagnostic, ...]:
    """That the policies call the site otherwise than its state does, where they do: nothing of them counts then."""
    settled, written = settled_guard(site.memory.ledger.site_document()), site.written or site.document
    if settled is None or not renamed(settled, written):
        return ()
    return (_of_another_site(settled.site, written).diagnostic,)


def _of_another_site(settled: SiteDocument, written: SiteDocument) -> Refused:
    was, now = settled.metadata.name, written.metadata.name
    return Refused(
        ANOTHER_SITE,
        f"the state is of the site {was}, and the policies call the site {now}",
        f"Name it {was} again. Another site has a state of its own (spec.state). Nothing of the policies is applied "
        "until then; jobs continue as they were applied.",
        subject=now,
    )


def told_of(guard: Guard, commit: str) -> dict[str, Any]:
    """The same as the state holds it (JSON values)."""
    return {
        "document": encode(guard.site),
        "commit": commit,
        "signers": guard.signers,
        "guardrails": [encode(each) for each in guard.guardrails or ()],
        "exclusions": [encode(each) for each in guard.exclusions or ()],
    }


def settle_guard(site: Site, policies: PolicySet, *, everything: bool = False) -> Secured:
    """Takes over what makes the guard stricter and what was agreed to, before anything else is done by it; the rest
    waits. Before the first apply there is nothing to take over from."""
    secured = secure(bench_of(site), policies, everything=everything)
    if not secured.first:
        told = site.memory.ledger.site_document() or {}
        _record(site, policies, secured, told.get("commit", ""))
    return secured


def record_site(site: Site, policies: PolicySet, *, settled: bool, glass: bool = False) -> Secured:
    """Remembers the site as it is applied now: with what was agreed to, or with all of it where the glass was broken.

    The commit is remembered only when it is `settled`, nothing of it waits: else whoever wrote what waits would be
    forgotten, and could approve it.
    """
    secured = secure(bench_of(site), policies, everything=glass)
    rules = (secured.site.spec.approvals, bench_of(site).document.spec.approvals)
    commit, differing = noted_commit(site.folder, rules, site.commit)
    told = site.memory.ledger.site_document() or {}
    whole = settled and commit and not differing and not secured.waiting
    _record(site, policies, secured, commit if whole else told.get("commit", ""), whole=bool(whole))
    return secured


def _record(site: Site, policies: PolicySet, secured: Secured, commit: str, *, whole: bool = False) -> None:
    """With the approvals that go on counting for what is not done yet, unless the `whole` is settled."""
    told = told_of(secured.guard, commit)
    if not whole and (counted := still_counting(bench_of(site), policies, told)):
        told |= {"counted": counted}
    if told != site.memory.ledger.site_document():
        site.memory.ledger.record_site(told)
    if secured.agreed:
        use_for_changes(site, secured.approvals, secured.agreed, commit)


def as_secured(secured: Secured, policies: PolicySet, ledger: Iterable[LedgerEntry]) -> PolicySet:
    """The policies as they may be worked with: with the site, the guardrails and the exclusions that count. A group
    that would need a cluster or server that is not opened stays as it was last applied."""
    site = secured.site
    servers = {each.name for each in site.spec.servers} | {AUTO}
    clusters = {each.name for each in site.spec.clusters}
    written = next((each for each in policies.sites if each.document.metadata.name == site.metadata.name), None)
    rules = guardrails_now(secured.guard, policies)
    spared = exclusions_now(secured.guard, policies, site.metadata.name)
    same = written is not None and written.document == site
    if same and rules == policies.guardrails and spared == policies.exclusions:
        return policies
    sites = tuple(
        Placed(site, each.positions) if each.document.metadata.name == site.metadata.name else each
        for each in policies.sites
    )
    applied = {entry.group: entry.document for entry in lasting(ledger, sites) if entry.document}
    used = {placed.document.metadata.name for placed in policies.groups}

    def opened_alone(placed: Placed[GroupDocument]) -> Placed[GroupDocument] | None:
        spec = placed.document.spec
        means = {rule.virtual_machines.cluster for rule in spec.members if rule.virtual_machines is not None}
        if spec.site != site.metadata.name or (spec.server in servers and means <= clusters):
            return placed
        name = owned_as(placed.document, applied, used)
        return Placed(decode(applied[name], GroupDocument), placed.positions) if name else None

    groups = tuple(kept for each in policies.groups if (kept := opened_alone(each)) is not None)
    exclusions = tuple(
        each
        for each in spared
        if each.document.spec.site != site.metadata.name or each.document.spec.virtual_machines.cluster in clusters
    )
    return msgspec.structs.replace(policies, sites=sites, groups=groups, exclusions=exclusions, guardrails=rules)


def waiting_findings(
    secured: Secured, written: SiteDocument, rules: Approvals | None, since: str
) -> tuple[Diagnostic, ...]:
    """What waits, each with the value that counts meanwhile, what would be opened by it, and who can say yes: an
    approver, or, where the site has none, a person in a terminal."""
    found = []
    more = [each for each in opened(written) if each not in opened(secured.site)]
    for each in secured.waiting:
        field = each.field
        if each.needed:
            found.append(
                Diagnostic(
                    WAITS,
                    Severity.WARNING,
                    f"{each.kind} {each.name}: {field.field} was changed, and waits although it is approved: "
                    f"{each.needed}",
                    f"It is applied once the other changes of the group are approved. "
                    f"{whose_yes(approvers=rules is not None, since=since)}",
                    subject=f"{each.kind} {each.name} {field.field}",
                )
            )
            continue
        what = f"{each.kind} {each.name}: {field.field or 'the document'} was changed and is not approved"
        if each.kind == "Site" and field.field == "spec.approvals" and rules is not None:
            names = ", ".join(rules.approvers)
            found.append(
                Diagnostic(
                    APPROVERS_WAIT,
                    Severity.WARNING,
                    f"the site's approvers were changed; approvals are judged by those last applied: {names}",
                    "Have the change approved by one of them who stays; if none of those may, by one who "
                    "is removed. Or "
                    "run `reconciler apply --break-glass REASON`.",
                    subject=each.name,
                )
            )
            continue
        counts = inline(field.before) if field.before is not None else "nothing"
        opens = [each for each in more if f"spec.{each.partition(' ')[0]}s" == field.field]
        counts += f"; it would open {', '.join(opens)}" if opens and each.kind == "Site" else ""
        found.append(
            Diagnostic(
                WAITS,
                Severity.WARNING,
                f"{what}; until then this is in effect: {counts}",
                whose_yes(approvers=rules is not None, since=since),
                subject=f"{each.kind} {each.name} {field.field}",
            )
        )
    return tuple(found)


def may_open(
    root: Path,
    document: SiteDocument,
    memory: Memory,
    clock: Clock,
    policies: PolicySet,
    *,
    first_use: bool,
    commit: str = "",
) -> SiteDocument:
    """The site as it may be opened: what differs from the last settled one and nobody agreed to is as it was there.
    Before the first apply nothing outside of the root is opened, RCL3104, unless this is it (`first_use`)."""
    told = memory.ledger.site_document()
    today = clock.now().astimezone(zone_of(told, document)).date()
    bench = ApprovalContext(root, document, told, today, memory.approvals.all(), memory.ledger.entries, commit)
    settled = settled_guard(bench.told)
    if settled is not None and renamed(settled, document):
        return settled.site
    secured = secure(bench, policies)
    if secured.first and not first_use:
        check_first(root, document)
    return secured.site


# --- A first site ----------------------------------------------------------------------------------------------


def opened(site: SiteDocument) -> tuple[str, ...]:
    """What the site opens, for people: each cluster and server with its path or endpoint."""
    told = []
    for cluster in site.spec.clusters:
        source = cluster.inventory.directory or cluster.inventory.snapshot or cluster.inventory.hyperv
        told.append(f"cluster {cluster.name}: {getattr(source, 'path', None) or getattr(source, 'endpoint', '')}")
    told += [f"server {server.name}: {_engine_text(server.engine)}" for server in site.spec.servers]
    return tuple(told)


def _engine_text(engine: EngineSource) -> str:
    """What an engine opens: its path or endpoint, or the plugin with all that it is given."""
    if engine.plugin is not None:
        return f"the plugin {engine.plugin.name} with {inline(engine.plugin.settings)}"
    return engine.embedded.path if engine.embedded is not None else engine.mabs.endpoint if engine.mabs else ""


def check_first(root: Path, site: SiteDocument) -> None:
    """Refuses to open what lies outside of the root before the site was ever applied: RCL3104. Nobody has said yet
    that its endpoints are ours; what lies in the root came with it."""
    paths = [each.inventory.directory or each.inventory.snapshot for each in site.spec.clusters]
    every = [*paths, *(server.engine.embedded for server in site.spec.servers)]
    outside = [
        said
        for said, source in zip(opened(site), every, strict=True)
        if source is None or not _in_root(root, source.path)
    ]
    if outside:
        raise Refused(
            "RCL3104",
            f"the site {site.metadata.name} was never applied, so this is not opened: {'; '.join(outside)}",
            "Check that these are yours, then run `reconciler apply`, which opens them. Or plan from exported files: "
            "--inventory FILE --catalog FILE.",
            subject=site.metadata.name,
        )


def _in_root(root: Path, path: str) -> bool:
    """Whether the path is one below the root, by its text and without following a link: nothing is looked up that
    could be another computer's."""
    if PureWindowsPath(path).drive or PureWindowsPath(path).root or PurePosixPath(path).is_absolute():
        return False
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if ".." in parts:
        return False
    here = root
    for part in parts:
        here = here / part
        if here.is_symlink():
            return False
    return True
