"""Evidence: what was done -> records of the site's chain. What each holds is in docs/reference/evidence.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from reconciler.control.site import Site, actor
from reconciler.errors import Damaged, Diagnostic, ReconcilerError, TemporaryError, Unreachable
from reconciler.model import (
    Action,
    Adopt,
    Approved,
    CreateGroup,
    EvidenceKind,
    FieldChange,
    JobKind,
    JobRecord,
    JobState,
    Outcome,
    ProtectionGroup,
    Record,
    Step,
    StopProtection,
    Verb,
)
from reconciler.model.audit import Confirmation
from reconciler.model.kept_points import COMPARED
from reconciler.plan import group_hash
from reconciler.protocols import Lease, Run

#: The job that makes a recovery point -> the kind of the point, as the catalog calls it.
_MAKES_POINTS = (JobKind.INITIAL_REPLICA, JobKind.SYNCHRONIZATION, JobKind.EXPRESS_FULL)


# --- Runs ------------------------------------------------------------------------------------------------------


def record_run(
    site: Site,
    run: Run,
    plan_hash: str,
    confirmation: Confirmation,
    authors: Iterable[str] = (),
    *,
    first: bool = False,
) -> None:
    """A run began. `confirmation` says how it was confirmed; `authors` are those
    whom somebody named. With `first` it is written before anything else is done: raises where the evidence cannot take
    it."""
    body = {
        "command": run.command,
        "actor": run.actor,
        "host": run.host,
        "fence": run.fence,
        "planHash": plan_hash,
        "consent": confirmation,
        "authors": sorted(authors),
        "commit": run.commit,
        "ci": run.ci,
        "glass": run.glass,
        "tookOver": run.took_over,
    }
    if first:
        site.memory.evidence.append(EvidenceKind.RUN, site.now(), run.id, _told(body))
    else:
        _append(site, EvidenceKind.RUN, run.id, body)


def record_approvals(site: Site, run_id: str, approvals: Iterable[Approved]) -> None:
    """The approvals that the run's plan counts on, a record each."""
    for approval in approvals:
        _append(site, EvidenceKind.APPROVAL, run_id, _plain(approval))


def record_step(
    site: Site, run_id: str, step: Step, outcome: Outcome, shown: ProtectionGroup | None, names: Mapping[str, str]
) -> None:
    """What came of a step. `shown` is the group as the server showed it afterwards, None where it is gone or was not
    looked at; `names` tells what data sources are called then, by ``str(source)``; more than the step's do no harm."""
    change = step.change
    before, after = change.before, _after(step.action)
    sources = {str(source) for group in (before, after) if group is not None for source in group.sources}
    body: dict[str, Any] = {
        "step": step.id,
        "verb": change.verb,
        "reason": change.reason,
        "direction": change.direction,
        "server": change.server,
        "group": change.group,
        "formerly": before.name if before is not None and before.name != change.group else "",
        "state": outcome.state,
        "ref": outcome.ref or change.ref,
        "code": outcome.code,
        "why": outcome.reason,
        "wave": step.wave,
        "beforeHash": step.base_hash or group_hash(before),
        "afterHash": step.desired_hash or group_hash(after),
        "shownHash": group_hash(shown),
        "after": _plain(after) if after is not None else None,
        "shown": _plain(shown) if shown is not None and shown != after else None,
        "fields": [_field(field) for field in change.fields],
        "names": {source: names[source] for source in sorted(sources) if source in names},
        "left": sorted(str(source) for source in _left(before, after)),
    }
    if change.verb is Verb.STOP and before is not None:
        body["existingPoints"] = before.existing_points
    if change.location is not None:
        body["place"] = str(change.location)
    if step.impact is not None:
        body["expiresNow"], body["expiresSooner"] = step.impact.expires_now, step.impact.expires_sooner
    _append(site, EvidenceKind.STEP, run_id, body)


def record_end(site: Site, run_id: str, ended_as: str, done: int, left: int) -> None:
    """A run ended: as the journal says it, with so many steps done and left."""
    _append(site, EvidenceKind.RUN_ENDED, run_id, {"endedAs": ended_as, "done": done, "left": left})


def record_glass(site: Site, run: Run) -> None:
    """A run passed over approvals, budgets or windows; `run.glass` says why."""
    body = {"reason": run.glass, "command": run.command, "actor": run.actor, "host": run.host, "commit": run.commit}
    _append(site, EvidenceKind.BREAK_GLASS, run.id, body)


def recorded(site: Site, run_id: str) -> set[str]:
    """The ids of the run's steps that are on record: what need not be recorded again after a crash."""
    mine = on_record(site, run_id)
    return {str(each.body.get("step")) for each in mine if each.kind is EvidenceKind.STEP and each.run == run_id}


# --- What happened around runs ---------------------------------------------------------------------------------


def record_lock(site: Site, what: str, lease: Lease, reason: str = "") -> None:
    """Something happened to the site's lease: `what` is ``takenOver`` (by the holder of `lease`, from whom it says)
    or ``released`` (by hand, the `lease` that was there, for a `reason`)."""
    body = {
        "what": what,
        "lease": lease.name,
        "holder": lease.holder,
        "token": lease.token,
        "acquiredAt": lease.acquired_at,
        "expiresAt": lease.expires_at,
        "tookOver": lease.took_over,
        "reason": reason,
        "actor": actor(),
        "process": site.holder,
    }
    _append(site, EvidenceKind.LOCK, "", body)


def record_drift(
    site: Site,
    server: str,
    group: str,
    drift: str,
    fields: Iterable[FieldChange] = (),
    between: tuple[datetime | None, datetime | None] = (None, None),
) -> None:
    """A group of ours was seen otherwise than we left it. `drift` is its class; `between` are the last moment at which
    it was as we left it and the first at which it was not."""
    body = {
        "server": server,
        "group": group,
        "drift": drift,
        "fields": [_field(field) for field in fields],
        "asLeftAt": between[0],
        "differsSince": between[1],
    }
    _append(site, EvidenceKind.DRIFT, "", body)


def record_state(site: Site, what: str, run_id: str = "", **facts: str | int | datetime | list[str]) -> None:
    """Something was done to our own memory: `what` is ``backup``, ``restored``, ``adopted``; `facts` say from where
    and to where. Never contents, never a secret."""
    body = {"what": what, "actor": actor(), "process": site.holder, **facts}
    _append(site, EvidenceKind.STATE, run_id, body)


def record_points(
    site: Site, server: str, run: str, missing: dict[str, list[str]], found: dict[str, list[str]]
) -> None:
    """Which points on record a server has not, though nothing expired them, and which it has again: ids by data
    source."""
    body = {"what": COMPARED, "server": server, "missing": missing, "found": found, "process": site.holder}
    _append(site, EvidenceKind.STATE, run, body)


# --- Jobs ------------------------------------------------------------------------------------------------------


def record_job(site: Site, record: JobRecord) -> None:
    """What an ended job has left: a recovery point, expired points, a recovery, a verification, or nothing."""
    kind, body = _of_job(record)
    if kind is not None:
        _append(site, kind, record.run, body)


def job_recorded(site: Site, record: JobRecord) -> bool:
    """Whether this end of the job is on record: a process may have died between the record and its note of it."""
    wanted = (record.job.id, record.attempt)
    return any((each.body.get("job"), each.body.get("attempt")) == wanted for each in on_record(site, record.job.id))


def end_recorded(site: Site, run_id: str) -> bool:
    """Whether it is on record that the run ended."""
    mine = on_record(site, run_id)
    return any(each.kind is EvidenceKind.RUN_ENDED and each.run == run_id for each in mine)


def _of_job(record: JobRecord) -> tuple[EvidenceKind | None, dict[str, Any]]:
    job, result = record.job, record.status.result
    body: dict[str, Any] = {
        "job": job.id,
        "attempt": record.attempt,
        "server": job.server,
        "source": str(job.source),
        "group": job.group,
        "name": result.machine_name if result is not None else "",
    }
    succeeded = record.status.state is JobState.SUCCEEDED
    if job.kind in _MAKES_POINTS and succeeded and result is not None and result.point:
        made = {"point": result.point, "time": result.point_time or record.started_at, "kind": job.kind}
        asked_for = {"askedBy": job.asked_by, "reason": job.reason} if job.asked_by else {}
        return EvidenceKind.POINT, body | made | {"storedBytes": result.stored_bytes} | asked_for
    if job.kind is JobKind.PRUNING and succeeded and job.points:
        return EvidenceKind.EXPIRED, body | {"points": list(job.points), "reason": job.reason}
    outcome = {"state": record.status.state, "code": record.status.code, "why": record.status.reason}
    if job.kind is JobKind.RECOVERY and job.recovery is not None:
        asked = {
            "askedBy": job.recovery.asked_by,
            "point": job.recovery.point,
            "target": job.recovery.target,
            "folder": job.recovery.folder,
            "disks": list(job.recovery.disks),
            "keepOriginal": job.recovery.keep_original,
        }
        return EvidenceKind.RECOVERY, body | asked | outcome | {"files": result.files if result is not None else {}}
    if job.kind is JobKind.CONSISTENCY_CHECK:
        repaired = result.blocks_repaired if result is not None else 0
        what = {"what": "consistencyCheck", "reason": job.reason, "blocksRepaired": repaired}
        return EvidenceKind.VERIFICATION, body | what | outcome
    return None, {}


# --- Parts -----------------------------------------------------------------------------------------------------


def _field(field: FieldChange) -> dict[str, Any]:
    told: dict[str, Any] = _plain(field)
    told.pop("location", None)
    return told | ({"place": str(field.location)} if field.location is not None else {})


def _after(action: Action) -> ProtectionGroup | None:
    """The group as the action leaves it; None where it ends."""
    if isinstance(action, StopProtection):
        return None
    return action.group if isinstance(action, CreateGroup | Adopt) else action.after


def _left(before: ProtectionGroup | None, after: ProtectionGroup | None) -> frozenset[Any]:
    """The data sources that the group lets go of."""
    gone = before.sources if before is not None else frozenset()
    return gone - (after.sources if after is not None else frozenset())


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, str_keys=True)


def _append(site: Site, kind: EvidenceKind, run: str, body: Mapping[str, Any]) -> None:
    """Tells what has happened, now or once the evidence can be written again: a record that is late is better than a
    backup that was not made."""
    site.memory.evidence.append_or_owe(kind, site.now(), run, _told(body))


def _told(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a record holds: what is empty is left out."""
    return {key: _plain(value) for key, value in body.items() if value not in ("", None, [], {})}


def on_record(site: Site, holding: str = "") -> Iterator[Record]:
    """The records with this word that read, and those that are owed. Where the evidence is damaged some are missing:
    what was told is then told twice."""
    with suppress(Unreachable, Damaged, TemporaryError, OSError):
        yield from site.memory.evidence.records(holding)
    yield from site.memory.evidence.owed()


# --- Whether it can be written ---------------------------------------------------------------------------------


def settle_evidence(site: Site) -> None:
    """Writes what is owed to the evidence, where that can be by now."""
    with suppress(Unreachable, Damaged, TemporaryError, OSError):
        site.memory.evidence.settle()


def evidence_unfit(site: Site) -> ReconcilerError | None:
    """Why the evidence is not the one that our state has written to, or what it could not take; None where all is on
    record. Nothing of the policies is applied meanwhile."""
    try:
        error: ReconcilerError | None = site.memory.evidence.trouble()
    except ReconcilerError as unreadable:
        error = unreadable
    owed = site.memory.evidence.owed()
    if not owed:
        return error
    waiting = f"{len(owed)} record{'s' if len(owed) > 1 else ''} since {owed[0].at:%Y-%m-%d %H:%M} UTC"
    kept = f"Backups continue; {waiting}, kept in the state, are written once it is back."
    if error is None:
        what = f"the evidence could not be written in {site.memory.evidence.folder}"
        return Unreachable("RCL5021", what, f"Free space, or check its disk. {kept}", subject=site.name)
    said = error.diagnostic
    return type(error)(said.code, said.message, f"{said.remedy} {kept}", subject=site.name)


def hold_evidence(site: Site) -> None:
    """Raises what keeps the evidence from being whole."""
    settle_evidence(site)
    error = evidence_unfit(site)
    if error is not None:
        raise error


def evidence_trouble(site: Site) -> Diagnostic | None:
    """`evidence_unfit` as a finding about the site."""
    error = evidence_unfit(site)
    return msgspec.structs.replace(error.diagnostic, subject=site.name) if error is not None else None
