"""Approvals: what somebody said yes to, and whether that yes counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model import Approved
from reconciler.model.documents import ApprovalDocument, Approvals, ApprovalSpec, Placed
from reconciler.model.encode import encode
from reconciler.model.names import fold
from reconciler.protocols import ApprovalUse
from reconciler.signing import verify

NAMESPACE = "reconciler-approval"


class Court(msgspec.Struct, frozen=True):
    """By what approvals are judged: the site, the rules and the signers of the *older* state, the authors of the
    change, the day. `authors` None: nobody knows who wrote it. `uncommitted` are files that Git does not have as they
    are: where something is done by an approval, it stands in a commit. `uses` tells what became of approvals, by id;
    `older` are the ids of those that were there before the change."""

    site: str
    rules: Approvals | None
    signers: bytes | None
    authors: frozenset[str] | None
    today: date
    uncommitted: frozenset[str] = frozenset()
    uses: Mapping[str, ApprovalUse] = {}
    older: frozenset[str] = frozenset()


def approved(
    placed: Iterable[Placed[ApprovalDocument]], court: Court
) -> tuple[tuple[Approved, ...], tuple[Diagnostic, ...]]:
    """The approvals that count, with what is left of them; and those that do not, with the reason."""
    counting: list[Approved] = []
    found = []
    ids: set[str] = set()
    for each in placed:
        spec, name = each.document.spec, each.document.metadata.name
        why = refusal(spec, court)
        if not why and spec.id in ids:
            why = "another approval has its id: it was copied"
        if not why and each.positions.at().file in court.uncommitted:
            why = "it is not committed"
        if not why:
            ids.add(spec.id)
            counting.append(_left(name, spec, court.uses.get(spec.id)))
            continue
        remedy = "Have it approved anew: `reconciler approve`."
        place = each.positions.at("metadata", "name")
        found.append(
            Diagnostic("RCL3035", Severity.WARNING, f"the approval {name} does not count: {why}", remedy, place)
        )
    return tuple(counting), tuple(found)


def _left(name: str, spec: ApprovalSpec, use: ApprovalUse | None) -> Approved:
    """The approval without the changes that it was used up for."""
    most = spec.ceilings.expired_points if spec.ceilings is not None else None
    done = frozenset(use.done) if use is not None else frozenset()
    changes = tuple(each for each in spec.changes if each not in done)
    spent = use.spent if use is not None else 0
    return Approved(name, spec.approved_by, spec.reason, spec.until, changes, most, spec.id, spent)


def covering(approvals: Iterable[Approved]) -> dict[str, str]:
    """Hash of a change -> the first approval that covers it."""
    covered: dict[str, str] = {}
    for approval in approvals:
        for change in approval.changes:
            covered.setdefault(change, approval.name)
    return covered


def refusal(spec: ApprovalSpec, court: Court) -> str:
    """Why an approval does not count; "" if it does."""
    rules = court.rules
    if rules is None:
        return "the site names no approvers"
    if spec.approved_by not in rules.approvers:
        return f"{spec.approved_by} is none of the site's approvers"
    if spec.until < court.today:
        return f"it ended on {spec.until}"
    elsewhere = _elsewhere(spec, court)
    if elsewhere:
        return elsewhere
    if not rules.self_approval:
        if court.authors is None:
            return "nobody knows who wrote the change; name the author with --author"
        if fold(spec.approved_by) in {fold(author) for author in court.authors}:
            return f"{spec.approved_by} wrote the change; somebody else approves it"
    if rules.allowed_signers is not None:
        if not spec.signature:
            return "it is not signed, and the site names allowed signers"
        if court.signers is None:
            return f"the file {rules.allowed_signers} is not there"
        if not verify(payload(spec), spec.signature, court.signers, spec.approved_by, NAMESPACE):
            return "its signature is not one of its approver's, or it was changed after it was signed"
    return ""


def _elsewhere(spec: ApprovalSpec, court: Court) -> str:
    """Why it was meant for something else: another site, or a change that was made already; it counts for one change,
    not for the same one made again."""
    if not spec.id or not spec.site:
        return "it was written by version 0.1, without an id and a site, and could be used again and elsewhere"
    if spec.site != court.site:
        return f"it is for the site {spec.site}, not for {court.site}"
    use = court.uses.get(spec.id)
    if use is not None and use.used_up_at is not None:
        return f"it was used up on {use.used_up_at:%Y-%m-%d}: what it allowed was done then"
    if spec.id in court.older:
        return "it was there before the change, so nobody looked at the change with it"
    return ""


def payload(spec: ApprovalSpec) -> bytes:
    """What is signed: the approval without its signature, in canonical JSON."""
    return msgspec.json.encode(encode(msgspec.structs.replace(spec, signature="")), order="deterministic")
