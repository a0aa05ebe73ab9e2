"""Auditing: records -> what protected a machine at a moment, who agreed to it, what could have been recovered.

Records alone are asked, no server and no state database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from reconciler.errors import UsageError
from reconciler.model import EvidenceKind, OutcomeState, ProtectionGroup, Record, vm_id
from reconciler.model.audit import Consent, Decision, KeptPoint, Protection, Recovered, Verified
from reconciler.model.kept_points import KeptPoints
from reconciler.model.names import fold

_DONE = (OutcomeState.DONE, OutcomeState.ALREADY)


def sources_of(records: Iterable[Record], machine: str) -> tuple[str, ...]:
    """The data sources of the machine that records call so, by name or by id, at any time. Raises `UsageError`,
    RCL5029 where there is none, RCL5030 where the name is that of several machines."""
    wanted, identity = fold(machine), vm_id(machine)
    found = {
        source
        for record in records
        for source, name in _names(record)
        if wanted in (fold(name), fold(source)) or identity == vm_id(source.split("/")[1])
    }
    if not found:
        what = f"no record names a virtual machine {machine!r}"
        raise UsageError("RCL5029", what, "Names are those at the time of the records; an id works too.")
    machines = {tuple(source.split("/")[:2]) for source in found}
    if len(machines) > 1:
        ids = ", ".join(sorted("/".join(each) for each in machines))
        what = f"{machine!r} is the name of {len(machines)} virtual machines in the records: {ids}"
        raise UsageError("RCL5030", what, "Name it by its id, or by CLUSTER/ID/LEVEL.", subject=machine)
    return tuple(sorted(found))


def protection(records: Iterable[Record], source: str, at: datetime) -> Protection:
    """How the data source was protected at `at`. One pass; what is kept is of this source alone."""
    replay = _Replay(source)
    for record in records:
        if record.at <= at:
            replay.take(record)
    return replay.result()


def _names(record: Record) -> Iterable[tuple[str, str]]:
    """Data sources that the record names, each with what it was called, "" where that is not said."""
    body = record.body
    if "source" in body:
        yield body["source"], body.get("name", "")
    if record.kind is EvidenceKind.STEP:
        names = body.get("names", {})
        yield from names.items()
        yield from ((source, "") for source in (*_members(body), *body.get("left", ())) if source not in names)


def _members(body: dict[str, Any]) -> list[str]:
    after = body.get("shown") or body.get("after")
    return [str(each.source) for each in _group(after).members] if after else []


def _group(plain: dict[str, Any]) -> ProtectionGroup:
    return msgspec.convert(plain, ProtectionGroup)


class _Replay:
    """The records so far, as far as they concern one data source."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._name = ""
        self._runs: dict[str, dict[str, Any]] = {}
        self._approvals: dict[str, dict[str, Consent]] = defaultdict(dict)
        self._groups: dict[tuple[str, str], tuple[ProtectionGroup, datetime]] = {}
        self._ended: datetime | None = None
        self._decisions: list[Decision] = []
        self._points = KeptPoints(source)
        self._verified: Verified | None = None
        self._recoveries: list[Recovered] = []

    def take(self, record: Record) -> None:
        self._points.take(record)
        if record.kind is EvidenceKind.RUN:
            self._runs[record.run] = record.body
        elif record.kind is EvidenceKind.APPROVAL:
            consent = msgspec.convert(record.body, Consent)
            self._approvals[record.run][consent.name] = consent
        elif record.kind is EvidenceKind.STEP:
            self._step(record)
        elif record.body.get("source") == self._source:
            self._name = record.body.get("name") or self._name
            self._job(record)

    def result(self) -> Protection:
        held = max(self._groups.items(), key=lambda each: each[1][1], default=None)
        return Protection(
            source=self._source,
            name=self._name,
            server=held[0][0] if held else "",
            group=held[1][0] if held else None,
            since=held[1][1] if held else self._ended,
            decisions=tuple(reversed(self._decisions)),
            points=_newest_first(self._points.there.values()),
            lost=_newest_first(self._points.lost.values()),
            verified=self._verified,
            recoveries=tuple(reversed(self._recoveries)),
        )

    def _step(self, record: Record) -> None:
        body = record.body
        if body.get("state") not in _DONE:
            return
        after = _group(body.get("shown") or body["after"]) if "after" in body else None
        server, name = body["server"], body["group"]
        before = self._groups.pop((server, body.get("formerly") or name), None)
        protects = after is not None and any(str(each.source) == self._source for each in after.members)
        if not protects and before is None and self._source not in body.get("left", ()):
            return
        self._name = body.get("names", {}).get(self._source) or self._name
        if protects and after is not None:
            self._groups[server, after.name] = (after, before[1] if before is not None else record.at)
        else:
            self._ended = record.at
        self._decisions.append(self._decision(record, protects))

    def _decision(self, record: Record, protects: bool) -> Decision:
        body, run = record.body, self._runs.get(record.run, {})
        named = {field.get("approvedBy", "") for field in body.get("fields", ())}
        given = self._approvals.get(record.run, {})
        return Decision(
            at=record.at,
            run=record.run,
            step=body["step"],
            verb=body["verb"],
            direction=body["direction"],
            server=body["server"],
            group=body["group"],
            protects=protects,
            actor=run.get("actor", ""),
            host=run.get("host", ""),
            commit=run.get("commit", ""),
            ci=run.get("ci", ""),
            plan_hash=run.get("planHash", ""),
            consent=run.get("consent", ""),
            authors=tuple(run.get("authors", ())),
            glass=run.get("glass", ""),
            fields=tuple(body.get("fields", ())),
            approvals=tuple(given[name] for name in sorted(named) if name in given),
            seq=record.seq,
        )

    def _job(self, record: Record) -> None:
        body = record.body
        if record.kind is EvidenceKind.VERIFICATION:
            repaired = body.get("blocksRepaired", 0)
            self._verified = Verified(record.at, body["what"], body["state"], repaired, record.seq)
        elif record.kind is EvidenceKind.RECOVERY:
            self._recoveries.append(
                Recovered(
                    at=record.at,
                    asked_by=body.get("askedBy", ""),
                    point=body["point"],
                    target=body["target"],
                    folder=body.get("folder", ""),
                    state=body["state"],
                    files=len(body.get("files", {})),
                    seq=record.seq,
                )
            )


def _newest_first(points: Iterable[KeptPoint]) -> tuple[KeptPoint, ...]:
    return tuple(sorted(points, key=lambda each: (each.time, each.id), reverse=True))
