"""Approvals: what somebody said yes to, and whether that yes counts."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from datetime import date, datetime
from hashlib import sha256
from shlex import quote
from typing import Any

import msgspec

from reconciler.errors import Diagnostic, ReconcilerError, Severity
from reconciler.model import Approved
from reconciler.model.comparison import DocumentChange
from reconciler.model.documents import ApprovalDocument, Approvals, ApprovalSpec, Placed
from reconciler.model.encode import encode
from reconciler.model.names import fold
from reconciler.protocols import ApprovalUse
from reconciler.signing import verify

NAMESPACE = "reconciler-approval"


class Removal(msgspec.Struct, frozen=True):
    """What a change of the approvers does to them: who is one no longer, and who stays."""

    gone: frozenset[str]
    stay: frozenset[str]


class PastApproval(msgspec.Struct, frozen=True):
    """An approval that is over: it was used up, has ended, or was there before the change. What is said of it matters
    only where one of its changes is asked for."""

    changes: frozenset[str]
    finding: Diagnostic


class ValidApprovals(msgspec.Struct, frozen=True):
    """The approvals that count, with what is left of them; what was found of those that do not; those that are over."""

    approvals: tuple[Approved, ...]
    findings: tuple[Diagnostic, ...]
    past: tuple[PastApproval, ...] = ()

    def said(self, asked_for: Container[str]) -> tuple[Diagnostic, ...]:
        """What is said of approvals where the changes of these hashes are asked for: those that were used, or have
        ended, are silent unless they name one of them."""
        over = (each.finding for each in self.past if any(change in asked_for for change in each.changes))
        return (*self.findings, *over)


def everybody(change: str) -> frozenset[str] | None:
    """Who wrote a change, where that cannot be told."""
    return None


def besides(
    wrote: Callable[[str], frozenset[str] | None], named: frozenset[str]
) -> Callable[[str], frozenset[str] | None]:
    """Who wrote a change, and whom somebody named besides."""

    def of(change: str) -> frozenset[str] | None:
        told = wrote(change)
        return told | named if told is not None else None

    return of


def _by_its_approver(placed: Placed[ApprovalDocument]) -> str:
    return ""


def _nothing_since(approval: str) -> frozenset[str]:
    return frozenset()


class ApprovalRules(msgspec.Struct, frozen=True):
    """By what approvals are judged: the site, the rules and the signers of the *older* state, the authors of the
    change, the day. `authors` None: nobody knows who wrote it, and `unknown` is why. `uncommitted` are files that Git
    does not have as they are: where something is done by an approval, it stands in a commit. `uses` tells what became
    of approvals, by id; `older` are the ids of those that were there before the change.

    `wrote` tells of the hash of a change which of the authors wrote just that; None: that cannot be told, all of them.
    `removals` are the changes of the approvers themselves, by hash. `unbrought` says why an approval without a
    signature was not brought by its approver; "" where it was, or where Git knows nothing of it; `taken_back` why any
    approval counts no more because it was removed once; both raise where that cannot be told. `blind` is why Git,
    though there, cannot be asked: then nothing counts. `counted` are approvals that came with a change of the rules, by
    id, each with the changes for which it counted by the rules from before: it counts for these, and no others.
    """

    site: str
    rules: Approvals | None
    signers: bytes | None
    authors: frozenset[str] | None
    today: date
    uncommitted: frozenset[str] = frozenset()
    uses: Mapping[str, ApprovalUse] = {}
    older: frozenset[str] = frozenset()
    wrote: Callable[[str], frozenset[str] | None] = everybody
    removals: Mapping[str, Removal] = {}
    unbrought: Callable[[Placed[ApprovalDocument]], str] = _by_its_approver
    taken_back: Callable[[Placed[ApprovalDocument]], str] = _by_its_approver
    since: Callable[[str], frozenset[str]] = _nothing_since
    blind: Diagnostic | None = None
    unknown: Diagnostic | None = None
    counted: Mapping[str, frozenset[str]] = {}


def approved(placed: Iterable[Placed[ApprovalDocument]], court: ApprovalRules) -> ValidApprovals:
    """The approvals that count, with what is left of them; and those that do not, with the reason."""
    counting: list[Approved] = []
    found = []
    past = []
    ids: set[str] = set()
    for each in placed:
        spec, name = each.document.spec, each.document.metadata.name
        why, remedy = _against(each, court, ids)
        place = each.positions.at("metadata", "name")
        if spec.id in court.counted and _used_up(spec, court) is None:
            kept = _as_counted(each, court, ids)
            if kept:
                ids.add(spec.id)
                counting.append(_left(name, msgspec.structs.replace(spec, changes=kept), court, {}))
                continue
            why, remedy = why or _NOT_BY_THEN, _ANEW
        if why:
            said = Diagnostic(
                "RCL3035", Severity.WARNING, f"the approval {name} is not in effect: {why}", remedy, place
            )
            if _is_over(spec, court):
                past.append(PastApproval(frozenset(spec.changes), said))
            else:
                found.append(said)
            continue
        ids.add(spec.id)
        barred = _barred(spec, court)
        counting.append(_left(name, spec, court, barred))
        known = (change for change in barred if change in court.removals or court.wrote(change) is not None)
        for reason in sorted({barred[change] for change in known}):
            what = f"the approval {name} is not in effect for all its changes: {reason}"
            found.append(Diagnostic("RCL3035", Severity.WARNING, what, who_else(spec, barred, court), place))
    return ValidApprovals(tuple(counting), tuple(found), tuple(past))


def _is_over(spec: ApprovalSpec, court: ApprovalRules) -> bool:
    """Whether it was for something that is done, or is not asked for any more; nothing is wrong with its document."""
    ended = spec.until < court.today
    return _used_up(spec, court) is not None or ended or _was_there(spec, court)


def _as_counted(placed: Placed[ApprovalDocument], court: ApprovalRules, ids: Container[str]) -> tuple[str, ...]:
    """The changes for which it counts by the rules from before they were changed: what came with a change of the rules
    is judged by those alone. Who approves, how that is signed and
    who brought it was judged then; whether it was used up, has ended or was taken back since is asked each time."""
    spec = placed.document.spec
    changes = tuple(each for each in spec.changes if each in court.counted.get(spec.id, ()))
    if not changes:
        return ()
    then = msgspec.structs.replace(placed.document, spec=msgspec.structs.replace(spec, changes=changes))
    rules = Approvals((spec.approved_by,), self_approval=True)
    before = msgspec.structs.replace(court, rules=rules, signers=None, unbrought=_by_its_approver, removals={})
    return () if _against(msgspec.structs.replace(placed, document=then), before, ids)[0] else changes


_NOT_BY_THEN = "the approvers changed together with it; by the former rules it approves nothing that is left"

#: What to do where nothing better can be said.
_ANEW = "Have it approved again: `reconciler approve`."

_NO_ADDRESS = "the author of the change is unknown: one of its commits has no author address, or several"


def _against(placed: Placed[ApprovalDocument], court: ApprovalRules, ids: Container[str]) -> tuple[str, str]:
    """Why an approval does not count, and what to do; "" where it does."""
    spec = placed.document.spec
    why = refusal(spec, court)
    if why:
        if _used_up(spec, court) is not None:
            return why, "The same change was made again: have that approved again, `reconciler approve`."
        if court.blind is not None:
            return why, court.blind.remedy
        if court.unknown is not None and why == _nobody_knows(court.unknown):
            return why, court.unknown.remedy
        barred = _barred(spec, court) if court.rules is not None else {}
        return why, who_else(spec, barred, court) if why in barred.values() else _ANEW
    if spec.id in ids:
        return "another approval has the same id: it was copied", _ANEW
    if placed.positions.at().file in court.uncommitted:
        return "it is not committed", _commit(spec, placed.positions.at().file, court)
    if court.rules is not None and court.rules.allowed_signers is None:
        try:
            why = court.unbrought(placed)
        except ReconcilerError as error:
            return f"who committed it is unknown: {error.diagnostic.message}", error.diagnostic.remedy
        if why:
            remedy = f"Let {spec.approved_by} approve it again and commit it; merge that commit, do not squash it."
            return why, remedy
    try:
        return court.taken_back(placed), _ANEW
    except ReconcilerError as error:
        return f"whether it was withdrawn is unknown: {error.diagnostic.message}", error.diagnostic.remedy


def _commit(spec: ApprovalSpec, file: str, court: ApprovalRules) -> str:
    """How an approval is committed so that it counts: one without a signature by its approver alone."""
    command = f"`git add {quote(file)} && git commit`"
    signed = court.rules is not None and court.rules.allowed_signers is not None
    return f"Commit it: {command}." if signed else f"{spec.approved_by} commits it: {command}."


def _nobody_knows(why: Diagnostic) -> str:
    return f"the author of the change is unknown: {why.message}"


def others_who_may(spec: ApprovalSpec, changes: Iterable[str], court: ApprovalRules) -> tuple[str, ...]:
    """The approvers who may approve one of the changes at least."""
    assert court.rules is not None
    asked = tuple(changes)
    found = []
    for each in court.rules.approvers:
        theirs = msgspec.structs.replace(spec, approved_by=each, changes=asked)
        if len(_barred(theirs, court)) < len(asked):
            found.append(each)
    return tuple(found)


def who_else(spec: ApprovalSpec, barred: Mapping[str, str], court: ApprovalRules) -> str:
    """Who may approve what the approver of an approval may not; where nobody may, the ways that are left."""
    others = others_who_may(spec, barred, court)
    if others:
        return f"Have it approved again by {' or '.join(others)}: `reconciler approve`."
    if all(each == _NO_ADDRESS for each in barred.values()):
        return "Revert the change, and once that is applied commit it again with an address (`git config user.email`)."
    return (
        "No approver is left who may: revert the change and let somebody else write it (a squash merge names "
        "everybody of the branch as its author: merge it instead), or, in an emergency, "
        '`reconciler apply --break-glass "REASON"`.'
    )


def _left(name: str, spec: ApprovalSpec, court: ApprovalRules, barred: Mapping[str, str]) -> Approved:
    """The approval without the changes that it was used up for, those that its approver may not approve, and those that
    were written after the site was settled with it."""
    use, later = court.uses.get(spec.id), court.since(spec.id)
    most = spec.ceilings.expired_points if spec.ceilings is not None else None
    done = frozenset(use.done) if use is not None else frozenset()
    changes = tuple(each for each in spec.changes if each not in done and each not in barred and each not in later)
    spent = use.spent if use is not None else 0
    return Approved(
        name, spec.approved_by, spec.reason, spec.until, changes, most, spec.id, spent, tuple(sorted(later))
    )


def _barred(spec: ApprovalSpec, court: ApprovalRules) -> dict[str, str]:
    """The changes that its approver may not approve, with the reason: what he wrote, and what takes him off the list,
    unless nobody else could approve that."""
    assert court.rules is not None
    by = fold(spec.approved_by)
    found = {}
    for change in spec.changes:
        mine = frozenset() if court.rules.self_approval else _folded(_writers(change, by, court))
        removal = court.removals.get(change)
        if by in mine:
            found[change] = f"{spec.approved_by} wrote the change; somebody else has to approve it"
        elif "" in mine:
            found[change] = _NO_ADDRESS
        elif removal is not None and by in _folded(removal.gone) and _folded(removal.stay) - mine:
            found[change] = (
                f"{spec.approved_by} is no longer an approver after the change; an approver who stays has to approve it"
            )
    return found


def _writers(change: str, by: str, court: ApprovalRules) -> frozenset[str]:
    """Who wrote the change: looked up only where it decides something."""
    everybody = court.authors or frozenset()
    if by not in _folded(everybody) and "" not in everybody and change not in court.removals:
        return everybody
    told = court.wrote(change)
    return everybody if told is None else told


def _folded(people: Iterable[str]) -> frozenset[str]:
    return frozenset(fold(each) for each in people)


def unapprovable(spec: ApprovalSpec, court: ApprovalRules) -> dict[str, str]:
    """Of the changes of an approval that is to be written, those that its approver may not approve, with the reason;
    none where nobody can tell yet who wrote them."""
    return {} if court.rules is None or court.authors is None else _barred(spec, court)


def hopeless(spec: ApprovalSpec, court: ApprovalRules) -> str:
    """Why an approval that is to be written could not count whoever commits it; "" where it can."""
    known = court if court.authors is not None else msgspec.structs.replace(court, authors=frozenset())
    return refusal(spec, known)


def removals(changes: Iterable[DocumentChange]) -> dict[str, Removal]:
    """The changes of approvers by which some are no longer, by hash."""
    found = {}
    for change in changes:
        for field in change.fields:
            if (change.kind, field.field) == ("Site", "spec.approvals") and field.before and field.after:
                old, new = (frozenset(each["approvers"]) for each in (field.before, field.after))
                found[field.change_hash] = Removal(old - new, old & new)
    return {digest: each for digest, each in found.items() if each.gone}


def covering(approvals: Iterable[Approved]) -> dict[str, str]:
    """Hash of a change -> the first approval that covers it."""
    covered: dict[str, str] = {}
    for approval in approvals:
        for change in approval.changes:
            covered.setdefault(change, approval.name)
    return covered


def refusal(spec: ApprovalSpec, court: ApprovalRules) -> str:
    """Why an approval does not count; "" if it does."""
    done = _used_up(spec, court)
    if done is not None:
        return f"it was used up on {done:%Y-%m-%d}, when what it allowed was done"
    use, rules = court.uses.get(spec.id), court.rules
    if use is not None and use.unknown_since is not None:
        return f"whether it was used is not known since the state was restored on {use.unknown_since:%Y-%m-%d}"
    if rules is None:
        return "the site names no approvers"
    if court.blind is not None:
        return f"the author of the policies is unknown: {court.blind.message}"
    if spec.approved_by not in rules.approvers:
        return f"{spec.approved_by} is not one of the site's approvers"
    if spec.until < court.today:
        return f"it expired on {spec.until}"
    elsewhere = _elsewhere(spec, court)
    if elsewhere:
        return elsewhere
    if not rules.self_approval and court.authors is None:
        return _nobody_knows(court.unknown) if court.unknown is not None else "the author of the change is unknown"
    barred = _barred(spec, court)
    if len(barred) == len(set(spec.changes)):
        return next(iter(barred.values()))
    if rules.allowed_signers is not None:
        if not spec.signature:
            return "it is not signed, and the site names allowed signers"
        if court.signers is None:
            return f"the file {rules.allowed_signers} is missing"
        if not verify(payload(spec), spec.signature, court.signers, spec.approved_by, NAMESPACE):
            return "its signature does not belong to its approver, or it was changed after it was signed"
    return ""


def _used_up(spec: ApprovalSpec, court: ApprovalRules) -> datetime | None:
    """When all that it allowed was done; nothing is wrong with it then, and it counts for no change made again."""
    use = court.uses.get(spec.id) if spec.id else None
    return use.used_up_at if use is not None else None


def _elsewhere(spec: ApprovalSpec, court: ApprovalRules) -> str:
    """Why it was meant for something else: another site, or a change that somebody looked at without it."""
    if not spec.id or not spec.site:
        return "it was written by version 0.1, without an id and a site, and could be used again and elsewhere"
    if spec.site != court.site:
        return f"it is for the site {spec.site}, not for {court.site}"
    if _was_there(spec, court):
        return "it is older than the change, so it cannot approve it"
    return ""


def _was_there(spec: ApprovalSpec, court: ApprovalRules) -> bool:
    """Whether it stood in the older state, so that it was for a change before that."""
    return spec.id in court.older or bool(spec.changes and court.since(spec.id).issuperset(spec.changes))


def as_noted(
    noted: Mapping[str, Mapping[str, Any]], placed: Iterable[Placed[ApprovalDocument]]
) -> dict[str, frozenset[str]]:
    """The approvals that came with a change of the rules and read as they did then, by id, each with the changes for
    which it counted by the rules from before and that were still to be done."""
    specs = [each.document.spec for each in placed if each.document.spec.id in noted]
    return {each.id: frozenset(noted[each.id]["changes"]) for each in specs if noted[each.id]["digest"] == digest(each)}


def digest(spec: ApprovalSpec) -> str:
    """SHA-256 (hex) of what is signed."""
    return sha256(payload(spec)).hexdigest()


def payload(spec: ApprovalSpec) -> bytes:
    """What is signed: the approval without its signature, in canonical JSON."""
    return msgspec.json.encode(encode(msgspec.structs.replace(spec, signature="")), order="deterministic")
