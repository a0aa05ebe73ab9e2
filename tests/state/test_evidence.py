"""The evidence in a folder: appended by several processes, torn, full, sealed; and every change of it located."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import files
from reconciler.errors import Damaged, Severity, TemporaryError
from reconciler.model import ChainCheck, EvidenceKind, Record, record_line
from reconciler.state import SUMS, EvidenceFolder, check_chain, read_sums
from tests.fakes import NOON

KIND = EvidenceKind.LOCK


def fill(evidence: EvidenceFolder, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        evidence.append(KIND, NOON, "", {"number": number, "word": "naïve"})


def chain(folder: Path, count: int, *, a_segment: int = 0) -> EvidenceFolder:
    """A chain written without the care of `append`, in segments of so many records."""
    folder.mkdir(parents=True, exist_ok=True)
    head, lines = "", []
    for seq in range(1, count + 1):
        line = record_line(Record(seq, head, NOON, KIND, "r" * (seq % 3), {"number": seq, "word": "naïve"}))
        head = sha256(line).hexdigest()
        lines.append(line + b"\n")
    size = a_segment or count
    for number, begin in enumerate(range(0, count, size), start=1):
        (folder / f"{number:06d}.jsonl").write_bytes(b"".join(lines[begin : begin + size]))
    return EvidenceFolder(folder)


def bodies(evidence: EvidenceFolder) -> list[dict[str, Any]]:
    return [record.body for record in evidence.records()]


def errors(check: ChainCheck) -> list[tuple[str, str, int]]:
    return [
        (each.code, each.location.file if each.location else each.subject, each.location.line if each.location else 0)
        for each in check.findings
        if each.severity is Severity.ERROR
    ]


def checked(evidence: EvidenceFolder) -> ChainCheck:
    return check_chain(evidence, read_sums(evidence.folder / SUMS))


@pytest.fixture
def evidence(tmp_path: Path) -> EvidenceFolder:
    return EvidenceFolder(tmp_path / "hq.evidence")


# --- Writing ---------------------------------------------------------------------------------------------------


def test_each_record_names_the_line_before_it(evidence: EvidenceFolder) -> None:
    fill(evidence, 3)
    lines = (evidence.folder / "000001.jsonl").read_bytes().splitlines()
    stated = [json.loads(line) for line in lines]
    assert [each["seq"] for each in stated] == [1, 2, 3]
    assert [each["prev"] for each in stated] == ["", *(sha256(line).hexdigest() for line in lines[:2])]
    assert (evidence.folder / "000001.jsonl").stat().st_mode & 0o777 == 0o600
    check = checked(evidence)
    assert (check.records, check.head, check.findings) == (3, sha256(lines[2]).hexdigest(), ())


def test_segments_end_at_a_size_and_when_sealed_and_the_chain_goes_on(tmp_path: Path) -> None:
    evidence = EvidenceFolder(tmp_path / "e", segment_bytes=400)
    fill(evidence, 6)
    grown = len(evidence.segments())
    assert grown > 1
    evidence.seal()
    fill(evidence, 1, 7)
    assert len(evidence.segments()) == grown + 1
    EvidenceFolder(evidence.folder).append(KIND, NOON, "", {"number": 8})
    assert len(evidence.segments()) == grown + 1
    assert [each["number"] for each in bodies(evidence)] == list(range(1, 9))
    assert checked(evidence).findings == ()
    assert checked(evidence).anchored == 6


def test_several_processes_take_turns(evidence: EvidenceFolder) -> None:
    code = (
        "import sys; from pathlib import Path; from reconciler.state import EvidenceFolder;"
        "from tests.fakes import NOON; from reconciler.model import EvidenceKind;"
        "e = EvidenceFolder(Path(sys.argv[1]), 2000);"
        "[e.append(EvidenceKind.LOCK, NOON, '', {'who': sys.argv[2], 'number': n}) for n in range(25)]"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(evidence.folder), who], cwd=Path(__file__).parents[2])
        for who in "abc"
    ]
    for number in range(25):
        evidence.append(KIND, NOON, "", {"who": "me", "number": number})
    assert [each.wait(60) for each in running] == [0, 0, 0]
    check = checked(evidence)
    assert (check.records, check.findings) == (100, ())
    for who in ("a", "b", "c", "me"):
        assert [each["number"] for each in bodies(evidence) if each["who"] == who] == list(range(25))


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_torn_bytes_are_put_aside_and_told_of(evidence: EvidenceFolder, kept: int) -> None:
    """As a kill in the middle of a write leaves it; -1: only the newline is missing."""
    fill(evidence, 3)
    path = evidence.folder / "000001.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    torn = lines[2][:kept]
    path.write_bytes(b"".join(lines[:2]) + torn)
    check = checked(EvidenceFolder(evidence.folder))
    assert [(each.code, each.severity) for each in check.findings] == [("RCL5028", Severity.WARNING)]
    again = EvidenceFolder(evidence.folder)
    assert len(list(again.records())) == 2
    again.append(KIND, NOON, "", {"number": 3})
    (told,) = bodies(again)[2]["setAside"]
    assert told == {"file": "torn-1", "bytes": len(torn), "sha256": sha256(torn).hexdigest()}
    assert (evidence.folder / "torn-1").read_bytes() == torn
    again.append(KIND, NOON, "", {"number": 4})
    assert "setAside" not in bodies(again)[3]
    assert checked(again).findings == ()


def test_a_line_that_another_process_tears_is_noticed(evidence: EvidenceFolder) -> None:
    fill(evidence, 2)
    with (evidence.folder / "000001.jsonl").open("ab") as handle:
        handle.write(b'{"seq":3,"pr')
    fill(evidence, 1, 3)
    assert (evidence.folder / "torn-1").read_bytes() == b'{"seq":3,"pr'
    assert checked(evidence).findings == ()


class Full:
    """A disk that is full at the n-th durable step, after `written` bytes got there."""

    def __init__(self, at: int, number: int = errno.ENOSPC) -> None:
        self.at, self.number, self.count = at, number, 0

    def __call__(self, step: files.Step) -> None:
        self.count += 1
        if self.count == self.at:
            raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_full_or_failing_disk_leaves_the_chain_whole(tmp_path: Path, number: int) -> None:
    def prepare(name: str) -> EvidenceFolder:
        evidence = EvidenceFolder(tmp_path / name, segment_bytes=300)
        fill(evidence, 2)
        with evidence.segments()[-1].open("ab") as handle:
            handle.write(b"torn")
        return evidence

    counted = Full(0)
    with files.watch(counted):
        fill(prepare("counted"), 2, 3)
    assert counted.count > 8
    for step in range(1, counted.count + 1):
        evidence = prepare(f"{number}-{step}")
        done, refused = 0, False
        with files.watch(Full(step, number)):
            for value in (3, 4):
                try:
                    fill(evidence, 1, value)
                    done += 1
                except TemporaryError:
                    refused = True
        told = [each["number"] for each in bodies(evidence)]
        assert len(told) == 2 + done, f"at step {step}"
        fill(evidence, 1, 9)
        assert [each["number"] for each in bodies(evidence)] == [*told, 9]
        assert checked(evidence).findings == ()
        kept = [path.read_bytes() for path in evidence.folder.glob("torn-*")]
        assert b"torn" in kept
        renaming = done == 2
        assert refused != renaming


def test_half_a_write_is_taken_back(evidence: EvidenceFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system takes a part of the line and then none."""
    fill(evidence, 1)
    before = (evidence.folder / "000001.jsonl").read_bytes()
    write = os.write
    answers: Iterator[int] = iter([10, 0])

    def some(descriptor: int, data: bytes) -> int:
        size = next(answers)
        if not size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, bytes(data)[:size])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", some)
        with pytest.raises(TemporaryError):
            fill(evidence, 1, 2)
    assert (evidence.folder / "000001.jsonl").read_bytes() == before
    fill(evidence, 1, 2)
    assert checked(evidence).findings == ()


def test_a_damaged_end_keeps_nothing_from_being_recorded_and_is_located(evidence: EvidenceFolder) -> None:
    fill(evidence, 3)
    path = evidence.folder / "000001.jsonl"
    path.write_bytes(path.read_bytes()[:-5] + b"?????"[:4] + b"\n")
    again = EvidenceFolder(evidence.folder)
    assert again.append(KIND, NOON, "", {"number": 4}).seq == 4
    with pytest.raises(Damaged) as damaged:
        list(again.records())
    assert damaged.value.diagnostic.code == "RCL5020"
    assert errors(checked(again)) == [("RCL5020", "000001.jsonl", 3)]


def test_lines_longer_than_a_chunk_are_read_from_behind(evidence: EvidenceFolder) -> None:
    for size in (10, 200_000, 70_000, 65_536, 300_000):
        EvidenceFolder(evidence.folder).append(KIND, NOON, "", {"text": "x" * size})
    check = checked(evidence)
    assert (check.records, check.findings) == (5, ())


def test_what_is_sealed_is_never_written_to_again(evidence: EvidenceFolder) -> None:
    """Not even where its last newline is gone."""
    fill(evidence, 2)
    evidence.seal()
    path = evidence.folder / "000001.jsonl"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0b")
    before = path.read_bytes()
    fill(EvidenceFolder(evidence.folder), 1, 3)
    assert path.read_bytes() == before
    assert ("RCL5020", "000001.jsonl", 2) in errors(checked(evidence))


def test_an_anchor_vouches_for_nothing_that_was_changed(evidence: EvidenceFolder) -> None:
    fill(evidence, 2)
    evidence.seal()
    path = evidence.folder / "000001.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(Damaged) as damaged:
        evidence.seal()
    assert damaged.value.diagnostic.code == "RCL5025"


# --- Every change is located -----------------------------------------------------------------------------------


def places(check: ChainCheck) -> set[tuple[str, int]]:
    """All places of the first finding, in which the change must be."""
    first = next(each for each in check.findings if each.severity is Severity.ERROR)
    return {(place.file, place.line) for place in (first.location, *first.also) if place is not None}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> EvidenceFolder:
    """Nine records in three segments, sealed."""
    evidence = chain(tmp_path_factory.mktemp("sealed") / "e", 9, a_segment=3)
    evidence.seal()
    assert checked(evidence).findings == ()
    return evidence


def changed(sealed: EvidenceFolder, number: int, data: bytes) -> ChainCheck:
    """What is found with other bytes in a segment; the bytes are put back."""
    path = sealed.segments()[number]
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        return checked(sealed)
    finally:
        path.write_bytes(before)


def test_any_flipped_bit_is_located(sealed: EvidenceFolder) -> None:
    """Every bit with RECONCILER_PROVE=1, else a part of them. Within a line of it where both of the last two records
    could be the one that was changed; nothing but the anchor covers the last."""
    share = 1 if os.environ.get("RECONCILER_PROVE") else 13
    tried = 0
    for number, path in enumerate(sealed.segments()):
        data = path.read_bytes()
        for bit in range(random.Random(number).randrange(share), 8 * len(data), share):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            line = data[: bit // 8].count(b"\n") + 1
            check = changed(sealed, number, bytes(flipped))
            found = places(check)
            assert (path.name, line) in found, f"{path.name} bit {bit}: {check.findings}"
            assert len(found) == 1 or (number, line) in ((2, 2), (2, 3)), f"{path.name} bit {bit}: {check.findings}"
            tried += 1
    assert tried > 800


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_dropped_moved_or_repeated_record_is_located(sealed: EvidenceFolder, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 2), label="segment")
    what = data.draw(st.sampled_from(["drop", "swap", "repeat", "forge"]))
    lines = sealed.segments()[number].read_bytes().splitlines(keepends=True)
    place = data.draw(st.integers(0, 2 if what != "swap" else 1), label="line")
    name = sealed.segments()[number].name
    codes = {"drop": "RCL5023", "swap": "RCL5023", "repeat": "RCL5024", "forge": "RCL5024"}
    if what == "drop":
        del lines[place]
        wanted = {(name, place + 1), (f"{number + 2:06d}.jsonl", 1)}
        if (number, place) == (2, 2):
            codes["drop"], wanted = "RCL5025", {(name, 2)}
    elif what == "swap":
        lines[place], lines[place + 1] = lines[place + 1], lines[place]
        wanted = {(name, place + 1)}
    else:
        copy = lines[place]
        if what == "forge":
            record = json.loads(copy)
            copy = copy.replace(b'"number":', b'"numbers":') if record["seq"] != 9 else copy
        lines.insert(place, copy)
        wanted = {(name, place + 1), (name, place + 2)}
    check = changed(sealed, number, b"".join(lines))
    first = errors(check)[0]
    assert first[0] == codes[what], check.findings
    assert first[1:] in wanted, check.findings


def test_a_cut_off_end_is_found_by_the_anchor_alone(sealed: EvidenceFolder) -> None:
    lines = sealed.segments()[2].read_bytes().splitlines(keepends=True)
    assert errors(changed(sealed, 2, b"".join(lines[:2]))) == [("RCL5025", "000003.jsonl", 2)]
    path = sealed.segments()[2]
    data = path.read_bytes()
    path.unlink()
    try:
        assert errors(checked(sealed)) == [("RCL5026", "000003.jsonl", 0)]
        assert check_chain(sealed, {}).findings == ()
    finally:
        path.write_bytes(data)
    middle = sealed.segments()[1]
    data = middle.read_bytes()
    middle.unlink()
    try:
        found = errors(checked(sealed))
        assert found[0] == ("RCL5023", "000003.jsonl", 1)
        assert ("RCL5026", "000002.jsonl", 0) in found
    finally:
        middle.write_bytes(data)


def test_a_chain_that_was_written_anew_does_not_fit_its_anchor(sealed: EvidenceFolder, tmp_path: Path) -> None:
    forged = chain(tmp_path / "forged", 8, a_segment=3)
    assert check_chain(forged, {}).findings == ()
    assert [each[1] for each in errors(check_chain(forged, read_sums(sealed.folder / SUMS)))] == ["000003.jsonl"]


def test_other_spellings_of_a_record_are_none(sealed: EvidenceFolder) -> None:
    """What reads the same but is written otherwise could hide something."""
    lines = sealed.segments()[1].read_bytes().splitlines(keepends=True)
    for other in (lines[1].replace(b'"seq":', b'"seq": '), lines[1].replace(b'{"seq"', b'{"extra":1,"seq"')):
        found = errors(changed(sealed, 1, lines[0] + other + lines[2]))
        assert found[0] == ("RCL5020", "000002.jsonl", 2)


# --- Sizes -----------------------------------------------------------------------------------------------------


def test_a_line_longer_than_any_record_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.state.evidence.LONGEST_LINE", 1000)
    evidence = chain(tmp_path / "hq.evidence", 3)
    with (evidence.folder / "000001.jsonl").open("ab") as file:
        file.write(b"x" * 200_000)
    for read in (lambda: list(evidence.lines()), lambda: checked(evidence), lambda: fill(evidence, 1)):
        with pytest.raises(Damaged, match="longer than 1,000 bytes") as caught:
            read()
        assert caught.value.diagnostic.code == "RCL5020"


def test_a_record_that_could_not_be_read_again_is_not_written(
    evidence: EvidenceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(evidence, 2)
    monkeypatch.setattr("reconciler.state.evidence.LONGEST_LINE", 1000)
    with pytest.raises(TemporaryError, match="too long"):
        evidence.append(KIND, NOON, "", {"word": "x" * 1000})
    assert checked(evidence).records == 2
