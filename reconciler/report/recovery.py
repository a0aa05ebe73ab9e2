"""Recoveries and store checks -> text."""

from __future__ import annotations

from datetime import datetime, tzinfo

from reconciler.model import JobRecord, RecoveryStep, format_size
from reconciler.protocols import RecoveryPreview, StoreCheck, StoreRebuild
from reconciler.report.escape import safe
from reconciler.report.findings import findings_text
from reconciler.report.words import Paint, ago, count, moment

_TITLES = {
    RecoveryStep.CONTINUE: "Rest of a recovery of",
    RecoveryStep.UNDO: "Undoing a recovery of",
}


def recovery_text(
    preview: RecoveryPreview, now: datetime, zone: tzinfo, paint: Paint, step: RecoveryStep = RecoveryStep.RECOVER
) -> str:
    """Which machine, which point, how old, what is written and what is destroyed."""
    age = f"{ago(now - preview.point_time)} old" if preview.point_time <= now else "which lies in the future"
    lines = [
        paint(f"{_TITLES.get(step, 'Recovery of')} {safe(preview.machine)}", "strong"),
        f"  point     {safe(preview.point)}, of {moment(preview.point_time, zone)}, {age}",
    ]
    lines += [f"  size      {format_size(preview.bytes)}"] if preview.bytes else []
    lines += [f"  writes    {safe(path)}" for path in preview.writes]
    lines += [f"  {paint('destroys', 'bad')}  {safe(path)} as it is now" for path in preview.destroys]
    lines += [f"  note      {safe(note)}" for note in preview.notes]
    text = "\n".join(lines) + "\n"
    return text + ("\n" + findings_text(preview.refusals, paint) if preview.refusals else "")


def recovered_text(record: JobRecord) -> str:
    """What was written, with the BLAKE3 of every file as it was read back."""
    result = record.status.result
    files = result.files if result else {}
    lines = [f"Recovered {count(len(files), 'file')}, each read back and verified block by block:"]
    lines += [
        f"  {safe(path)}  blake3 {digest or 'not computed, since the file has too many holes'}"
        for path, digest in files.items()
    ]
    return "\n".join(lines) + "\n"


def store_check_text(check: StoreCheck, paint: Paint) -> str:
    """What was looked at, and what is wrong."""
    read = f", {format_size(check.read_bytes)} of data read and hashed" if check.read_bytes else ""
    looked = f"{count(check.replicas, 'replica')}, {count(check.points, 'point')}, {count(check.packs, 'pack')}{read}"
    verdict = paint("sound", "good") if not check.findings else paint(count(len(check.findings), "finding"), "bad")
    text = f"Store of {safe(check.server)}: {looked}: {verdict}\n"
    return text + findings_text(check.findings, paint)


def store_rebuild_text(done: StoreRebuild, paint: Paint) -> str:
    """What was made anew, from what, where the former files are kept, and what could not be taken over."""
    if not done.replicas and not done.assignments and not done.findings:
        return f"Store of {safe(done.server)}: {paint('sound', 'good')}, nothing was rebuilt\n"
    text = ""
    if done.assignments:
        text += f"Database of {safe(done.server)}: rebuilt with {count(len(done.assignments), 'replica')}, inactive\n"
    if done.replicas:
        held = f"{count(done.points, 'point')} in {count(done.packs, 'pack')}"
        text += f"Catalogs of {safe(done.server)}: {len(done.replicas)} rebuilt, {held}\n"
        text += "Run `reconciler check` for these virtual machines: it reads everything and makes them valid again.\n"
    text += "".join(f"  kept  {safe(path)}\n" for path in done.kept)
    return text + findings_text(done.findings, paint)
