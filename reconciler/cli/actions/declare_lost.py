"""store declare-lost, evidence declare-lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from reconciler.cli.confirm import confirm
from reconciler.cli.session import find_root, session
from reconciler.cli.terminal import out, say, show, tell
from reconciler.control.approving.valid_approvals import wants_approvers
from reconciler.control.lease import holding, keeping_quietly
from reconciler.control.policy_folder import read_or_last_good
from reconciler.control.site import Site
from reconciler.control.state.declare_lost import (
    LostMachine,
    approvals_of,
    declare_lost,
    evidence_lost,
    loss_of,
    lost_with,
)
from reconciler.errors import ConsentNeeded, ExitCode, Refused, UsageError
from reconciler.model import Approved
from reconciler.model.audit import Confirmation
from reconciler.model.documents import PolicySet
from reconciler.report.action_events import ActionEvent, ActionEventName
from reconciler.report.escape import safe
from reconciler.report.words import count, moment
from reconciler.state import Opening

_PATIENCE = timedelta(seconds=30)


def store_lost(root: Path | None, name: str | None, server: str, volume: str | None, reason: str, yes: bool) -> int:
    """Names what is given up, asks, does it."""
    _check_reason(reason)
    place = find_root(root)
    policies = read_or_last_good(place)
    with session(place, name, None, policies, opening=Opening.WRITE) as site:
        lost = lost_with(site, server, volume)
        what = called(server, volume)
        show(loss_event(what, lost), lambda: loss_text(site, what, lost))
        approvals = _approved(site, policies.policies, server, volume) if wants_approvers(site) else ()
        question = f"\nDeclare {safe(what)} lost? Nothing of it can be recovered from then on."
        how = Confirmation.OPTION if yes and approvals else _confirmed(site, yes, question)
        with holding(site, _PATIENCE) as held:
            run = declare_lost(site, server, volume, reason, lost, held, how, approvals)
    _say_lost(what, f"Declared lost (run {run}). `reconciler plan` shows what is rebuilt.", run)
    return ExitCode.SUCCESS


def loss_event(what: str, lost: tuple[LostMachine, ...]) -> ActionEvent:
    """What would be given up."""
    message = f"given up with {what}: the points of {count(len(lost), 'virtual machine')}"
    return ActionEvent(event=ActionEventName.LOSS_SHOWN, message=message, subject=what, value=lost)


def _say_lost(what: str, text: str, run: str = "") -> None:
    say(ActionEvent(event=ActionEventName.LOSS_DECLARED, message=text, subject=what, result="declared", run=run))


def called(server: str, volume: str | None) -> str:
    """What is given up, in words."""
    return f"the volume {volume} of {server}" if volume else f"the store of {server}"


def loss_text(site: Site, what: str, lost: tuple[LostMachine, ...]) -> str:
    """Which virtual machines lose their points, for people."""
    lines = [f"Given up with {safe(what)}: the points of {count(len(lost), 'virtual machine')}.\n"]
    for each in lost:
        newest = moment(each.newest, site.zone) if each.newest is not None else "no point on record"
        lines.append(f"  {safe(each.name)}: newest point {newest}\n")
    return "".join(lines)


def _approved(site: Site, policies: PolicySet, server: str, volume: str | None) -> tuple[Approved, ...]:
    """The approvals of this loss that count. Raises `ConsentNeeded`, RCL5049, where there is none."""
    verdict = approvals_of(site, policies, loss_of(site, server, volume))
    if verdict.approvals:
        return verdict.approvals
    tell(verdict.findings)
    words = f"{server} --volume {volume}" if volume else server
    raise ConsentNeeded(
        "RCL5049",
        f"giving up {called(server, volume)} destroys recovery points, and no valid approval names it",
        f"An approver runs: reconciler approve --lost {words} --by EMAIL --reason TEXT --until DATE. Commit what it "
        "writes, and run this again.",
        subject=server,
    )


def chain_lost(root: Path | None, name: str | None, reason: str, yes: bool) -> int:
    """Says what is lost of the evidence, asks, begins a new chain."""
    _check_reason(reason)
    with session(find_root(root), name, None, opening=Opening.WRITE) as site:
        trouble = site.memory.evidence.trouble()
        if trouble is None:
            raise Refused(
                "RCL5048",
                f"the evidence in {site.memory.evidence.folder} is the one that the state wrote: nothing of it is lost",
                "See `reconciler evidence verify`.",
                subject=str(site.memory.evidence.folder),
            )
        out(f"{safe(trouble.diagnostic.message)}\n")
        how = _confirmed(site, yes, "\nDeclare it lost, and begin a new chain that says so?")
        with keeping_quietly(site, _PATIENCE) as held:
            aside = evidence_lost(site, reason, held, how)
    kept = f" What was left of the old one is in {aside}." if aside is not None else ""
    _say_lost("evidence", f"A new chain begins in {site.memory.evidence.folder}.{kept}")
    return ExitCode.SUCCESS


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise UsageError("RCL0003", "--reason is empty", "Say why it is lost: the evidence keeps it.")


def _confirmed(site: Site, yes: bool, question: str) -> Confirmation:
    """Where the site names approvers a person has to answer: --yes counts for nothing there."""
    approvers = wants_approvers(site)
    return confirm(
        question,
        "RCL5049",
        "nothing was declared lost",
        yes=yes and not approvers,
        again="Run it again when it is certain.",
        nobody="Answer in a terminal." if approvers else "Give --yes where no terminal is there to ask at.",
        nobody_there="this gives recovery points up, and there is no terminal to confirm it",
    )
