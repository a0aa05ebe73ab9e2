"""state backup, state restore."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from reconciler.cli.confirm import confirm
from reconciler.cli.session import find_root, target
from reconciler.cli.terminal import is_interactive, note, say, show
from reconciler.control.policy_folder import read_or_last_good
from reconciler.control.state.backup_file import write_backup
from reconciler.control.state.committed_files import check_not_brought
from reconciler.control.state.restore import Opened, Restored, opened
from reconciler.control.state.restore import restore as put_in_place
from reconciler.errors import ExitCode, Refused
from reconciler.model import format_size
from reconciler.model.documents import SiteDocument
from reconciler.report import holdings_text
from reconciler.report.action_events import ActionEvent, ActionEventName
from reconciler.report.words import count
from reconciler.state import EvidenceFolder, Merged
from reconciler.wiring import SystemClock, choose_site, open_state, state_path


def backup(root: Path | None, name: str | None, file: Path) -> int:
    """Writes the backup, and says what is in it."""
    place, document = _site(root, name)
    database = state_path(place, document)
    written = write_backup(
        document.metadata.name, database, EvidenceFolder.of(database).folder, target(file), datetime.now(UTC)
    )
    size = format_size(sum(part.bytes for part in written.parts))
    _say_saved(
        file,
        f"Saved: {file} ({count(len(written.parts), 'part')}, {size}). It was read back and fits its SHA-256.",
    )
    return ExitCode.SUCCESS


def _say_saved(file: Path, text: str) -> None:
    say(ActionEvent(event=ActionEventName.FILE_WRITTEN, message=text, subject=str(file), result="written"))


def restore(root: Path | None, name: str | None, file: Path, yes: bool, *, another: bool = False) -> int:
    """Shows what is there and what comes, asks, does it; the backup of another state only where that is meant
    (`another`) or somebody says so in a terminal."""
    place, document = _site(root, name)
    approvals = [each.document.spec.id for each in read_or_last_good(place, reading=True).policies.approvals]
    database = state_path(place, document)
    with opened(document.metadata.name, database, file) as found:
        event = ActionEvent(
            event=ActionEventName.STATE_SHOWN, message="the backup", subject=str(file), value=found.manifest
        )
        show(event, lambda: _text(found, ZoneInfo(document.spec.time_zone)))
        if found.present is None:
            note(f"The current state database is unreadable; whether a process is at work is unknown: {found.trouble}.")
        if found.another:
            note(_ANOTHER)
            _check_meant(file, another, yes)
        question = "\nPut the backup's state in the place of the present one?"
        how = confirm(question, "RCL5011", "nothing was restored", yes=yes)
        done = put_in_place(
            document.metadata.name,
            database,
            found,
            lambda memory: open_state(place, document, SystemClock(), memory),
            how,
            approvals,
        )
    first, *rest = _after(done)
    say(ActionEvent(event=ActionEventName.STATE_RESTORED, message=first, result="restored", run=done.run))
    for line in rest:
        note(line)
    return ExitCode.SUCCESS


def _site(root: Path | None, name: str | None) -> tuple[Path, SiteDocument]:
    place = find_root(root)
    document = choose_site(read_or_last_good(place).policies, name)
    check_not_brought(place, document)
    return place, document


def _text(found: Opened, zone: ZoneInfo) -> str:
    taken = found.manifest
    return (
        f"Backup of the state of {taken.site}, taken {taken.taken_at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z} on "
        f"{taken.host} by version {taken.version}; every part fits its SHA-256.\n"
        + holdings_text("now", found.present, zone)
        + holdings_text("then", found.coming, zone)
    )


def _after(done: Restored) -> list[str]:
    kept = ", ".join(str(path) for path in done.kept_as) or "there was nothing to keep"
    other = done.other_evidence
    evidence = {
        Merged.KEPT: "The evidence stays as it was: it continues from the backup's.",
        Merged.EXTENDED: "The evidence is the backup's, which continues from what was there.",
        Merged.BESIDE: f"The evidence stays as it was. The backup's differs from it; it lies in {other}.",
    }
    return [
        f"Restored (run {done.run}). What was there is kept: {kept}.",
        evidence[done.evidence],
        f"Fencing tokens continue from {done.token}: servers take new writes and refuse those of an older holder.",
        _of_approvals(done),
        "What was applied after the backup is not in this ledger. Check `reconciler plan` before you apply.",
    ]


def _of_approvals(done: Restored) -> str:
    if done.used is not None:
        used = count(done.used, "approval")
        return f"Which approvals were used is taken over from the state that was there: {used}."
    return (
        "Which approvals were used since the backup is not known. Those in the policies now are no longer in effect: "
        f"{count(done.doubted, 'approval')}. Have what is still to be done approved again (`reconciler approve`). "
        "Approvals of later commits than those checked out here are not among them: pull first."
    )


_ANOTHER = (
    "This is the backup of another state: of another site of this name, or of this one before its state was begun "
    "again. The stores that the present state wrote to do not know it."
)


def _check_meant(file: Path, another: bool, yes: bool) -> None:
    """Raises `Refused`, RCL5054, where nobody said that another state is meant, and nobody can be asked."""
    if another or (not yes and is_interactive()):
        return
    raise Refused(
        "RCL5054",
        f"{str(file)!r} is the backup of another state than the one that is there",
        "See which one the stores know: `reconciler status`. If the backup's is meant, give --another-state. Nothing "
        "was changed.",
        subject=str(file),
    )
