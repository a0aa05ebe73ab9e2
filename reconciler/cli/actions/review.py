"""diff, approve: what a change of the policies does, and somebody's yes to it."""

from __future__ import annotations

import secrets
import sys
from contextlib import ExitStack
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from shlex import quote
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from reconciler import files, gitrepo
from reconciler.cli.actions.declare_lost import called, loss_event, loss_text
from reconciler.cli.confirm import confirm
from reconciler.cli.options import Report
from reconciler.cli.plan_reports import plan_event
from reconciler.cli.report_files import Destinations
from reconciler.cli.session import find_root, session, target
from reconciler.cli.terminal import note, paint_for, say, show, tell
from reconciler.control.approving.rules import (
    NAMESPACE,
    ApprovalRules,
    hopeless,
    others_who_may,
    payload,
    unapprovable,
    who_else,
)
from reconciler.control.approving.valid_approvals import bench_of, court_of
from reconciler.control.change_origins import with_origins
from reconciler.control.planning.plan_file import read, shown
from reconciler.control.policy_folder import FOLDER, read_good
from reconciler.control.policy_states import State, judges_of, read_state
from reconciler.control.review import ComparisonOptions, compare, courts_of, judged_by
from reconciler.control.state.declare_lost import loss_of, lost_with
from reconciler.errors import (
    ConsentNeeded,
    Diagnostic,
    ExitCode,
    PolicyError,
    ReconcilerError,
    Severity,
    UsageError,
    worst,
)
from reconciler.model.comparison import Comparison
from reconciler.model.documents import ApprovalDocument, Approvals, ApprovalSpec, Ceilings, Metadata
from reconciler.model.encode import encode
from reconciler.model.names import fold
from reconciler.parse.write import yaml_text
from reconciler.plan.approval.change_hashes import own_hash
from reconciler.plan.approval.guardrails import denied, wants_approval
from reconciler.plan.checks.lint import lint
from reconciler.report import Paint, comparison_html, comparison_markdown, comparison_text, json_text, plan_text
from reconciler.report.action_events import ActionEvent, ActionEventName
from reconciler.report.words import count
from reconciler.signing import sign
from reconciler.snapshots import read_inventory
from reconciler.state import Opening
from reconciler.wiring import choose_site

_WORKING = "."

#: That an approval which is asked for could not count.
HOPELESS = "RCL3122"


class Consent(NamedTuple):
    """Who approves what, why, until when; the key to sign with; where to write it."""

    by: str
    reason: str
    until: str
    changes: tuple[str, ...]
    key: Path | None
    output: Path | None


def diff(
    root: Path | None,
    older: str,
    newer: str,
    to: Destinations[Report],
    inventory: Path | None,
    authors: tuple[str, ...],
    *,
    guard: bool,
    detailed: bool,
) -> int:
    """Shows what differs; 5 where what weakens is not approved, 4 where a guardrail denies."""
    place = find_root(root)
    before, after = _states(place, older, newer)
    clusters = read_inventory(inventory) if inventory is not None else None
    found = compare(place, before, after, ComparisonOptions(authors, clusters))
    if _WITH_ORIGINS & set(to.formats):
        found = with_origins(place, before, after, found)
    to.show(lambda format, paint: _compared(found, format, paint))
    return _exit_code(found, older, newer, guard=guard, detailed=detailed)


#: The formats that name the commits of each change, which takes a look at all of them.
_WITH_ORIGINS = frozenset({Report.html, Report.json})


def _compared(found: Comparison, format: Report, paint: Paint) -> str:
    match format:
        case Report.text:
            return comparison_text(found, paint)
        case Report.json:
            said = {"formatVersion": "1.0", "kind": "Comparison", "comparison": found, "direction": found.direction}
            return json_text(said) + "\n"
        case Report.markdown:
            return comparison_markdown(found)
        case Report.html:
            return comparison_html(found)


def approve(root: Path | None, older: str, newer: str, consent: Consent, *, yes: bool) -> int:
    """Writes an Approval document for what weakens and is not approved yet."""
    place = find_root(root)
    if consent.output is not None:
        target(consent.output)
    before, after = _states(place, older, newer)
    found = compare(place, before, after, ComparisonOptions())
    wanted = [field.change_hash for _, field in found.unapproved]
    unknown = sorted(set(consent.changes) - set(wanted))
    if unknown:
        what = f"{unknown[0]} is no change of {older} -> {newer or _WORKING} that needs an approval"
        raise UsageError("RCL0003", what, "See `reconciler diff` for the hashes.")
    chosen = frozenset(consent.changes) or frozenset(wanted)
    if not chosen:
        note(_nothing(found))
        return ExitCode.SUCCESS
    judges = judges_of(before)
    courts = courts_of(place, before, after, ComparisonOptions(), found.changes)
    mine: dict[str, set[str]] = {}
    silent: set[str] = set()
    for change, field in found.unapproved:
        sites = judged_by(change, before.policies, after.policies) or ("",)
        speaking = [each for each in sites if each in judges]
        silent |= set(sites) - set(speaking) if speaking else set()
        for site in speaking or sites:
            mine.setdefault(site, set()).update({field.change_hash} & chosen)
    zones = {each.document.metadata.name: each.document.spec.time_zone for each in before.policies.sites}
    specs = []
    for site, hashes in sorted(mine.items()):
        if hashes:
            where, zone = f"{before.called}, site {site}", ZoneInfo(zones.get(site, "UTC"))
            asked = _spec(judges.get(site), where, consent, tuple(sorted(hashes)), site, zone)
            specs.append(_countable(asked, courts.get(site), consent))
    event = ActionEvent(event=ActionEventName.COMPARISON_SHOWN, message="what is to be approved", value=found)
    show(event, lambda: comparison_text(found, paint_for(sys.stdout)))
    for site in sorted(silent):
        note(f"The site {site} names no approvers: `diff` continues asking; they are confirmed in a terminal.")
    return _written(place, tuple(specs), consent, yes=yes)


def _nothing(found: Comparison) -> str:
    """Why nothing needs an approval."""
    if not found.changes:
        return f"Nothing needs an approval: nothing differs between {found.older!r} and {found.newer!r}."
    if found.approved:
        names = ", ".join(sorted(set(found.approved.values())))
        return f"Nothing needs an approval: what weakens protection is approved already, by {names}."
    return f"Nothing needs an approval: no change between {found.older!r} and {found.newer!r} weakens protection."


def _countable(spec: ApprovalSpec, court: ApprovalRules | None, consent: Consent) -> ApprovalSpec:
    """The approval, signed where there is a key, without the changes that its approver may not approve. Raises
    `ConsentNeeded`, RCL3122, where it could count for nothing that was asked for: then none is written."""
    barred = unapprovable(spec, court) if court is not None else {}
    if barred and court is not None:
        others = " or ".join(others_who_may(spec, barred, court))
        remedy = f"Have it approved by {others}." if others else who_else(spec, barred, court)
        left = tuple(each for each in spec.changes if each not in barred)
        if consent.changes or not left:
            raise ConsentNeeded(HOPELESS, f"no approval was written: {next(iter(barred.values()))}", remedy)
        for why in sorted(set(barred.values())):
            many = count(list(barred.values()).count(why), "change")
            note(f"Left out: {many}, since {why}. {remedy}")
        spec = msgspec.structs.replace(spec, changes=left)
    if consent.key is not None:
        spec = msgspec.structs.replace(spec, signature=sign(payload(spec), consent.key, NAMESPACE))
    if court is not None and (why := hopeless(spec, court)):
        signs = f"Sign with a key that the site's allowed signers name for {spec.approved_by}."
        remedy = signs if consent.key is not None else "See `reconciler diff`."
        raise ConsentNeeded(HOPELESS, f"no approval was written, since it could not count: {why}", remedy)
    return spec


def approve_plan(root: Path | None, file: Path, consent: Consent, *, yes: bool) -> int:
    """Writes an Approval document for what a saved plan still needs somebody's yes to, with the loss that it shows as
    the ceiling."""
    place = find_root(root)
    if consent.output is not None:
        target(consent.output)
    plan = shown(read(file).plan)
    site = choose_site(read_good(place).policies, plan.site)
    fields = [
        (step.change, field)
        for step in plan.steps
        for field in step.change.fields
        if field.direction.needs_consent and not field.approved_by
    ]
    by_file = {field.change_hash: own_hash(change, field) for change, field in fields}
    wanted = set(by_file.values())
    consent = consent._replace(changes=tuple(by_file.get(each, each) for each in consent.changes))
    unknown = sorted(set(consent.changes) - wanted)
    if unknown:
        raise UsageError("RCL0003", f"{unknown[0]} is no change of {file} that needs an approval", "See `show`.")
    chosen = tuple(sorted(set(consent.changes) or wanted))
    if not chosen:
        note(f"Nothing needs an approval: no step of {file} waits for one.")
        return ExitCode.SUCCESS
    lost = sum(
        step.impact.lets_expire
        for step in plan.steps
        if step.impact is not None and any(own_hash(step.change, f) in chosen for f in step.change.fields)
    )
    zone = ZoneInfo(site.spec.time_zone)
    spec = _spec(site.spec.approvals, f"site {plan.site}", consent, chosen, plan.site, zone, Ceilings(lost))
    spec = _countable_now(place, spec, consent)
    show(plan_event(plan), lambda: plan_text(plan, zone, paint_for(sys.stdout)))
    return _written(place, (spec,), consent, yes=yes)


def _countable_now(place: Path, spec: ApprovalSpec, consent: Consent) -> ApprovalSpec:
    """As `_countable`, by what approvals are judged by where the site is applied; by its approvers alone where its
    state is not at hand, as in a clone."""
    policies = read_good(place)
    with ExitStack() as stack:
        court = None
        try:
            site = stack.enter_context(session(place, spec.site, None, policies, Opening.READ))
            bench = bench_of(site)
            court = court_of(bench, policies.policies) if bench.told is not None else None
        except ReconcilerError:
            court = None
        return _countable(spec, court, consent)


def approve_lost(
    root: Path | None, name: str | None, server: str, volume: str | None, consent: Consent, *, yes: bool
) -> int:
    """Writes an Approval document for giving up a store, or a volume of it, that is gone for good."""
    place = find_root(root)
    if consent.output is not None:
        target(consent.output)
    with session(place, name, None, opening=Opening.READ) as site:
        lost = lost_with(site, server, volume)
        rules = site.document.spec.approvals
        loss = (loss_of(site, server, volume),)
        spec = _countable(_spec(rules, f"site {site.name}", consent, loss, site.name, site.zone), None, consent)
        what = called(server, volume)
        show(loss_event(what, lost), lambda: loss_text(site, what, lost))
    return _written(place, (spec,), consent, yes=yes)


def _written(place: Path, specs: tuple[ApprovalSpec, ...], consent: Consent, *, yes: bool) -> int:
    """Asks, and writes the documents, one for each site."""
    many = len({change for spec in specs for change in spec.changes})
    confirm(f"\nApprove {count(many, 'change')} as {consent.by}?", "RCL3016", "nothing was approved", yes=yes)
    path = _write(place, specs, consent)
    text = f"Written: {path}. It approves these changes and no other. {_how_to_commit(place, path, consent)}"
    say(ActionEvent(event=ActionEventName.FILE_WRITTEN, message=text, subject=str(path), result="written"))
    return ExitCode.SUCCESS


def _how_to_commit(place: Path, path: Path, consent: Consent) -> str:
    """What has to be done so that the approval counts."""
    command = f"git -C {quote(str(place))} add {quote(str(path.resolve()))} && git -C {quote(str(place))} commit"
    if consent.key is not None:
        return f"It counts once it is committed: {command}"
    own = gitrepo.identity(place) if gitrepo.is_repository(place) else consent.by
    other = "" if fold(own) == fold(consent.by) else f" Git commits as {own or 'nobody'} here, which would not count."
    return f"It is not signed, so it counts once {consent.by} commits it: {command}.{other}"


def _spec(
    rules: Approvals | None,
    where: str,
    consent: Consent,
    chosen: tuple[str, ...],
    site: str,
    zone: tzinfo,
    ceilings: Ceilings | None = None,
) -> ApprovalSpec:
    """The approval as it is asked for, not signed yet. Raises `UsageError` where an option cannot be right."""
    for option, text in (("--by", consent.by), ("--reason", consent.reason), ("--until", consent.until)):
        if not text.strip():
            raise UsageError("RCL0003", f"{option} is missing", "An approval says who, why and until when.")
    try:
        until = date.fromisoformat(consent.until)
    except ValueError:
        raise UsageError("RCL0003", f"--until: {consent.until!r} is not a date", "Write it as 2027-03-01.") from None
    today = datetime.now(zone).date()
    if until < today:
        what = f"--until: {until} is over, today is {today} in the site's zone"
        raise UsageError("RCL0003", what, "Give the last day on which the approval is to count, today or later.")
    if rules is None or consent.by not in rules.approvers:
        known = ", ".join(rules.approvers) if rules else "nobody: the site has no `approvals`"
        raise UsageError("RCL0003", f"{consent.by} may not approve", f"Approvers of {where}: {known}.")
    if rules.allowed_signers is not None and consent.key is None:
        what = "the site names allowed signers, so an approval is signed"
        raise UsageError("RCL0003", what, "Give --key with your SSH key.")
    return ApprovalSpec(chosen, consent.by, consent.reason, until, ceilings, id=secrets.token_hex(16), site=site)


def _write(place: Path, specs: tuple[ApprovalSpec, ...], consent: Consent) -> Path:
    stamp = datetime.now(UTC).strftime("%Y-%m-%d")
    names = [f"approval-{stamp}-{spec.id[:12]}" for spec in specs]
    path = consent.output or place / FOLDER / "approvals" / f"{names[0]}.yaml"
    documents = [
        ApprovalDocument("reconciler/v1", "Approval", Metadata(name), spec)
        for name, spec in zip(names, specs, strict=True)
    ]
    files.make_folder(path.parent, 0o755)
    if path.exists():
        raise UsageError("RCL0003", f"{path} already exists", "Give another name with --out.")
    text = "---\n".join(yaml_text(encode(document)) for document in documents)
    files.write_whole(path, text.encode(), 0o644)
    return path


_NOT_RIGHT = "The policies of {} are not right, so nothing was compared:"


def _states(place: Path, older: str, newer: str) -> tuple[State, State]:
    states = []
    for what in (older, newer or _WORKING):
        try:
            states.append(read_state(place, what, may_be_empty=what == older))
        except PolicyError:
            note(_NOT_RIGHT.format(what))
            raise
    wrong = [each for each in lint(states[1].policies, datetime.now(UTC).date()) if each.severity is Severity.ERROR]
    if wrong:  # of what needs no inventory: nothing of it would ever be done
        note(_NOT_RIGHT.format(newer or _WORKING))
        raise PolicyError(wrong)
    return states[0], states[1]


def _exit_code(found: Comparison, older: str, newer: str, *, guard: bool, detailed: bool) -> int:
    codes = [ExitCode.CHANGES_PENDING] if detailed and found.changes else []
    if not guard:
        return worst(codes)
    said: list[Diagnostic] = []
    if any(finding.severity is Severity.ERROR for finding in found.findings) or denied(found.findings):
        codes.append(ExitCode.GUARDRAIL_DENIED)
    if found.unapproved:
        codes.append(ExitCode.CONSENT_NEEDED)
        names = ", ".join(sorted({change.name for change, _ in found.unapproved}))
        what = (
            f"{count(len(found.unapproved), 'change weakens', 'changes weaken')} protection without approval: {names}"
        )
        words = f"{older} {newer}".strip()
        remedy = f"An approver runs: reconciler approve {words} --by EMAIL --reason TEXT --until DATE"
        said.append(Diagnostic("RCL3036", Severity.ERROR, what, remedy, subject=f"{older} -> {newer or _WORKING}"))
    if any(not found.is_approved(finding.subject) for finding in wants_approval(found.findings)):
        codes.append(ExitCode.CONSENT_NEEDED)
    tell(said)
    return worst(codes)
