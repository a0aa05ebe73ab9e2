"""Checking: segments and an anchor -> what is not as it was written, and at which line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from reconciler import encoded
from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import ChainCheck, Record, record_line
from reconciler.state.evidence import EvidenceFolder, Place

_REMEDY = "Keep the folder as it is, and compare it with a copy: an export, or a backup of the state."


def check_chain(evidence: EvidenceFolder, anchor: Mapping[str, str]) -> ChainCheck:
    """Reads every line once. `anchor` is segment name -> SHA-256, empty for none: then nobody can tell whether the end
    was cut off or the last record changed. Memory is needed for one line at a time."""
    walk = _Walk()
    segments = _Segments(anchor)
    last = evidence.segments()[-1:]
    for place in evidence.lines():
        segments.take(place)
        if place.line.endswith(b"\n"):
            walk.take(place)
        elif [place.path] == last and place.path.name not in anchor:
            walk.torn(place)
        else:
            walk.unreadable(place, "the line does not end")
    walk.end()
    broken = {found.location.file for found in walk.findings if found.location is not None}
    unfit = segments.compare(broken)
    return ChainCheck(
        segments=len(segments.seen),
        records=walk.records,
        head=walk.head,
        anchored=segments.anchored,
        findings=(*walk.findings, *unfit),
    )


class _Line(NamedTuple):
    """A line that was read. `sound` False: it was found to be changed, so its successor cannot fit."""

    place: Location
    digest: str
    seq: int
    sound: bool = True


class _Walk:
    """The chain, line by line. A record that does not fit its predecessor is judged when its successor is seen: if
    that names it as it is, the predecessor was changed, else it was itself."""

    def __init__(self) -> None:
        self.findings: list[Diagnostic] = []
        self.records = 0
        self.head = ""
        self._due = 1
        self._least = 1
        self._before: _Line | None = None
        self._last: _Line | None = None
        self._suspects: tuple[_Line, _Line] | None = None

    def take(self, place: Place) -> None:
        bare = place.line[:-1]
        try:
            record = encoded.read(bare, Record)
        except encoded.Wrong as error:
            self.unreadable(place, f"it is not a record: {error}")
            return
        if record_line(record) != bare:
            self.unreadable(place, "it is not written as records are")
            return
        self.records += 1
        self._follow(record, _Line(_at(place), sha256(bare).hexdigest(), record.seq))

    def unreadable(self, place: Place, why: str) -> None:
        """A line that is no record; what follows it cannot be held against it."""
        self._judge("")
        digest = sha256(place.line.removesuffix(b"\n")).hexdigest()
        line = _Line(_at(place), digest, self._due, sound=False)
        self._say("RCL5020", line.place, f"record {self._due} is due here, and {why}")
        self._advance(line, self._due + 1)

    def torn(self, place: Place) -> None:
        """Bytes at the end that are no line: a process was killed, or the disk was full."""
        what = f"{len(place.line)} bytes of a record that was never finished"
        remedy = "Nothing needs to be done: they are put aside when the next record is written."
        self.findings.append(Diagnostic("RCL5028", Severity.WARNING, what, remedy, _at(place)))

    def end(self) -> None:
        if self._suspects is not None:
            earlier, later = self._suspects
            what = f"record {earlier.seq} or {later.seq} was changed: the one does not name the other as it is"
            self._say("RCL5022", earlier.place, what, later.place)

    def _follow(self, record: Record, line: _Line) -> None:
        settled = self._judge(record.prev)
        last = self._last
        fits = record.prev == (last.digest if last is not None else "")
        if fits:
            if record.seq != self._due:
                self._say("RCL5022", line.place, f"its number is {record.seq}, and {self._due} is due: it was changed")
                line = line._replace(seq=self._due, sound=False)
            self._advance(line, self._due + 1)
        elif record.seq > self._due:
            gone = f"record {self._due} is" if record.seq == self._due + 1 else f"records {self._due} to "
            gone += "" if record.seq == self._due + 1 else f"{record.seq - 1} are"
            self._say("RCL5023", line.place, f"{gone} missing before record {record.seq}")
            self._advance(line, record.seq + 1)
        elif record.seq < self._least:
            self._out_of_order(record, line)
        else:
            if last is None:
                self._say("RCL5022", line.place, "it is the first record and names one before it: it was changed")
                line = line._replace(sound=False)
            elif last.sound and settled:
                self._suspects = (last, line)
            self._advance(line, record.seq + 1)

    def _out_of_order(self, record: Record, line: _Line) -> None:
        """A number that was there already: either this record, or the one that took its place, does not belong here."""
        before, last = self._before, self._last
        if last is not None and record.seq == last.seq and record.prev == (before.digest if before else ""):
            what = f"a record {last.seq} was put in: the one after it names the one before it"
            self._say("RCL5024", last.place, what)
            self._last, self.head = line, line.digest
            return
        self._say("RCL5024", line.place, f"record {record.seq} stands here, and {self._due} is due: out of order")

    def _judge(self, named: str) -> bool:
        """Settles which of two records was changed, now that it is seen whom the next one names. False: the last one
        was, and so nothing has to fit it."""
        if self._suspects is None:
            return True
        (earlier, later), self._suspects = self._suspects, None
        changed = earlier if named == later.digest else later
        self._say("RCL5022", changed.place, f"record {changed.seq} was changed: it is not as its neighbour names it")
        return changed is earlier

    def _advance(self, line: _Line, due: int) -> None:
        self._before, self._last, self.head = self._last, line, line.digest
        self._least = due if line.sound else min(self._least, due)
        self._due = due

    def _say(self, code: str, place: Location, what: str, *also: Location) -> None:
        self.findings.append(Diagnostic(code, Severity.ERROR, what, _REMEDY, place, also=also))


class _Segments:
    """The segments as files, against the anchor."""

    def __init__(self, anchor: Mapping[str, str]) -> None:
        self.seen: dict[str, tuple[Place, str]] = {}
        self.anchored = 0
        self._anchor = anchor
        self._hash = hashlib.sha256()
        self._place: Place | None = None

    def take(self, place: Place) -> None:
        if self._place is not None and self._place.path != place.path:
            self._close(self._place)
        self._place = place
        self._hash.update(place.line)

    def compare(self, broken: set[str]) -> list[Diagnostic]:
        """What the anchor has otherwise. A segment in which a record was found already is explained by that."""
        if self._place is not None:
            self._close(self._place)
        found = []
        newest = max(self.seen, default="")
        for name, digest in sorted(self._anchor.items()):
            if name not in self.seen:
                what = "the segment is missing: " + ("its end was removed" if name > newest else "it was removed")
                found.append(Diagnostic("RCL5026", Severity.ERROR, what, _REMEDY, subject=name))
            elif self.seen[name][1] == digest:
                self.anchored += self.seen[name][0].number
            elif name not in broken:
                what = (
                    "the segment is not as the anchor has it, and its chain is whole: this last record was changed, "
                    "those after it were removed, or all of them were rewritten"
                )
                found.append(Diagnostic("RCL5025", Severity.ERROR, what, _REMEDY, _at(self.seen[name][0])))
        return found

    def _close(self, place: Place) -> None:
        self.seen[place.path.name] = (place._replace(line=b""), self._hash.hexdigest())
        self._hash = hashlib.sha256()


def _at(place: Place) -> Location:
    return Location(Path(place.path).name, place.number)
