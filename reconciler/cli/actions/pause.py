"""pause, unpause, stop: what they write into the policies, for a person to commit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from reconciler import gitrepo
from reconciler.cli.session import find_root
from reconciler.cli.terminal import note, out, say
from reconciler.control.authoring.edit_group import (
    Edit,
    FoundGroup,
    find_group,
    remove_document,
    remove_field,
    write_fields,
)
from reconciler.errors import ExitCode, Refused, UsageError
from reconciler.model import Duration, ExistingPoints
from reconciler.plan.checks.lint import LONGEST_PAUSE
from reconciler.report.action_events import ActionEvent, ActionEventName
from reconciler.report.escape import safe

_NO_YES = "--yes does not answer for that"


def pause(root: Path | None, name: str, until: str, reason: str, owner: str) -> ExitCode:
    """Writes a pause into the group's document, or changes the one that is there."""
    place = find_root(root)
    group = find_group(place, name)
    today = _today(group)
    last = _last_day(until, today)
    _text("--reason", reason)
    owner = owner or _git_identity(place)
    _text("--owner", owner)
    edit = write_fields(group, {"paused": {"reason": reason, "owner": owner, "until": last}}, today)
    before = group.placed.document.spec.paused
    if not _written(edit, group):
        return ExitCode.SUCCESS
    weakens = before is None or last > before.until
    note(f"{group.name} is paused until {last}, that day included, once this is committed and applied.")
    _say_who_agrees(group, weakens=weakens)
    return ExitCode.SUCCESS


def unpause(root: Path | None, name: str) -> ExitCode:
    """Takes the pause out of the group's document."""
    group = find_group(find_root(root), name)
    if _written(remove_field(group, "paused", _today(group)), group):
        note(f"{group.name} continues once this is committed and applied: what was missed is made up for at once.")
        _say_who_agrees(group, weakens=False)
    return ExitCode.SUCCESS


def stop(root: Path | None, name: str, existing: ExistingPoints | None) -> ExitCode:
    """Removes the group's document, which stops its protection; first, where that must be in force before, says in the
    document what becomes of the recovery points, and that it may be stopped."""
    group = find_group(find_root(root), name)
    spec = group.placed.document.spec
    if not group.site.spec.prune:
        what = f"{group.site.metadata.name} says `prune: false`: a group without a document continues as it is"
        remedy = "Set `prune: true` in the site, which weakens and is approved; then run this again."
        raise Refused("RCL6076", what, remedy, subject=group.name)
    existing = existing or spec.existing_points
    first: dict[str, object] = {}
    if existing is not spec.existing_points:
        first["existingPoints"] = str(existing)
    if spec.deletion_protection:
        first["deletionProtection"] = False
    if first:
        _written(write_fields(group, first, _today(group)), group)
        note(f"Step 1 of 2. {group.name} continues: this has to be in force before its document is removed.")
        shorter = "existingPoints" in first and _KEEPING.index(existing) < _KEEPING.index(spec.existing_points)
        _say_who_agrees(group, weakens="deletionProtection" in first or shorter)
        note(f"Step 2: `reconciler stop {group.name}` once it is applied.")
        return ExitCode.SUCCESS
    _written(remove_document(group), group)
    note(f"{group.name} is stopped once this is committed and applied: no new recovery points, and the existing ones")
    note(f"{_FATE[spec.existing_points]}, if `existingPoints: {spec.existing_points}` is in force by then: what was")
    note("last applied counts, and `reconciler plan` shows it.")
    _say_who_agrees(group, weakens=True)
    if group.is_last:
        note("It is the last group of its site: apply stops it only where somebody breaks the glass (RCL3062).")
    note("Its virtual machines are unprotected then; write an Exclusion for those that need no backup.")
    return ExitCode.SUCCESS


#: From what destroys most to what keeps most.
_KEEPING = (ExistingPoints.EXPIRE_NOW, ExistingPoints.RETAIN, ExistingPoints.KEEP_FOREVER)

_FATE = {
    ExistingPoints.RETAIN: "are kept for the retention that they were made under",
    ExistingPoints.KEEP_FOREVER: "are kept forever",
    ExistingPoints.EXPIRE_NOW: "expire at once, all of them",
}


def _written(edit: Edit, group: FoundGroup) -> bool:
    """Writes it and shows what was changed; False where nothing is to be changed."""
    if not edit.changed:
        note(f"{group.file} says so already; nothing was written.")
        return False
    edit.write()
    out("".join(f"{safe(line)}\n" for line in edit.diff().splitlines()))
    done = "written" if edit.after is not None else "removed"
    text = f"{done.capitalize()}: {safe(str(edit.path))}. Nothing else was done."
    name, result = ActionEventName.FILE_WRITTEN, done
    say(ActionEvent(event=name, message=text, subject=str(edit.path), result=result))
    return True


def _say_who_agrees(group: FoundGroup, *, weakens: bool) -> None:
    if not weakens:
        note("Commit it, then `reconciler apply`. It does not weaken protection.")
    elif group.site.spec.approvals is not None:
        note("It weakens protection: commit it, and have it approved (`reconciler approve`).")
    else:
        note(f"It weakens protection: commit it, then `reconciler apply` asks in a terminal ({_NO_YES}).")


def _today(group: FoundGroup) -> date:
    return datetime.now(UTC).astimezone(ZoneInfo(group.site.spec.time_zone)).date()


def _last_day(text: str, today: date) -> date:
    """A day as it is written, or so many days from today."""
    try:
        last = date.fromisoformat(text)
    except ValueError:
        last = today + _days(text)
    if last < today:
        raise UsageError("RCL6070", f"--until: {last} is over", f"Name today, {today}, or a later day.")
    if last - today > LONGEST_PAUSE:
        what = f"--until: {last} is more than {LONGEST_PAUSE.days} days from today"
        remedy = f"Name {today + LONGEST_PAUSE} or an earlier day; a pause can be extended."
        raise UsageError("RCL6070", what, remedy)
    return last


def _days(text: str) -> timedelta:
    try:
        length = Duration.parse(text).delta
    except ValueError:
        length = timedelta(0)
    if length < timedelta(days=1) or length % timedelta(days=1) or length > timedelta(days=36_500):
        raise UsageError(
            "RCL6070", f"--until: {text!r} is no day", "Write it as 2026-12-04, or as 3d or 2w from today."
        )
    return timedelta(days=length.days)


def _text(option: str, text: str) -> None:
    if not text.strip() or len(text) > 1000 or not text.isprintable():
        what = f"{option} is empty" if not text.strip() else f"{option} is no plain text of one line"
        raise UsageError("RCL6070", what, "Write what somebody who reads this later wants to know.")


def _git_identity(place: Path) -> str:
    found = gitrepo.identity(place)
    if not found:
        raise UsageError(
            "RCL6070", "who answers for the pause is not known: Git has no user.email here", "Name them with --owner."
        )
    return found
