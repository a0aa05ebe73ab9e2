"""Kept points: records of the evidence -> the recovery points that were there after them, and those that were gone
otherwise than by their end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from reconciler.model.audit import KeptPoint
from reconciler.model.evidence import EvidenceKind, Record

#: Why a point is gone: somebody gave its store or volume up, or what stands there now does not have it.
DECLARED_LOST, NOT_THERE = "declaredLost", "notThere"

#: The state record that says which points on record a store that was made anew or taken over has, and has not.
COMPARED = "pointsCompared"


class KeptPoints:
    """The points of one data source, or of all where `source` is "", after the records that were taken; by server,
    data source and id. `lost` are those that are gone though nothing expired them."""

    def __init__(self, source: str = "") -> None:
        self._source = source
        self._names: dict[str, set[str]] = {}
        self.there: dict[tuple[str, str, str], KeptPoint] = {}
        self.lost: dict[tuple[str, str, str], KeptPoint] = {}

    def take(self, record: Record) -> None:
        """Adds what a record says; records of no point change nothing."""
        body = record.body
        if record.kind is EvidenceKind.STATE:
            self._state(record)
        elif self._source in ("", body.get("source")):
            if record.kind is EvidenceKind.POINT:
                self._made(record)
            elif record.kind is EvidenceKind.EXPIRED:
                for point in body["points"]:
                    self.there.pop((body["server"], body["source"], point), None)
                    self.lost.pop((body["server"], body["source"], point), None)

    def _made(self, record: Record) -> None:
        body = record.body
        time = msgspec.convert(body["time"], datetime)
        key = (body["server"], body["source"], body["point"])
        self._names.setdefault(body["source"], set()).add(body.get("name", ""))
        self.there[key] = KeptPoint(body["point"], time, body["kind"], body["server"], record.seq)
        self.lost.pop(key, None)

    def _state(self, record: Record) -> None:
        body = record.body
        if body.get("what") == "declaredLost":
            for key in [each for each in self.there if each[0] == body.get("server") and self._gives_up(body, each[1])]:
                self._lose(key, record, DECLARED_LOST)
        elif body.get("what") == COMPARED:
            for source, points in body.get("missing", {}).items():
                for point in points:
                    self._lose((body["server"], source, point), record, NOT_THERE)
            for source, points in body.get("found", {}).items():
                for key in ((body["server"], source, point) for point in points):
                    if key in self.lost:
                        self.there[key] = msgspec.structs.replace(self.lost.pop(key), gone_at=None, why="")

    def _lose(self, key: tuple[str, str, str], record: Record, why: str) -> None:
        if key in self.there:
            self.lost[key] = msgspec.structs.replace(self.there.pop(key), gone_at=record.at, why=why)

    def _gives_up(self, body: dict[str, Any], source: str) -> bool:
        """Whether a loss is one of the data source: of the whole store; of a volume by what lay on it, which records of
        earlier versions tell by name alone."""
        if not body.get("volume"):
            return True
        if "sources" in body:
            return source in body["sources"]
        told = str(body.get("machines", ""))
        return any(name and f"{name} (" in told for name in self._names.get(source, ()))
