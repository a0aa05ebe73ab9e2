"""evidence verify, seal, export, query."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from reconciler import encoded, files, signing
from reconciler.cli.options import Sheets
from reconciler.cli.report_files import Destinations
from reconciler.cli.session import find_root, parse_time
from reconciler.cli.terminal import note, show, tell
from reconciler.control.evidence.audit import protection, sources_of
from reconciler.control.evidence.seal import NAMESPACE, anchor
from reconciler.control.evidence.seal import seal as seal_evidence
from reconciler.control.policy_folder import read_or_last_good
from reconciler.control.state.committed_files import check_not_brought
from reconciler.errors import Diagnostic, ExitCode, ReconcilerError, Severity, UsageError
from reconciler.model import ChainCheck, Record
from reconciler.model.audit import Answer
from reconciler.parse.load import LARGEST_FILE
from reconciler.report import (
    Paint,
    answer_csv,
    answer_html,
    answer_text,
    chain_csv,
    chain_html,
    chain_text,
    is_whole,
    json_text,
)
from reconciler.report.action_events import ActionEvent, ActionEventName
from reconciler.state import SUMS, EvidenceFolder, Opening, check_chain, open_memory, read_sums
from reconciler.state import export as write_export
from reconciler.system_errors import cannot_write
from reconciler.wiring import choose_site, state_path

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Anchor(msgspec.Struct, frozen=True):
    """What the chain is held against: an anchor, and who is to have signed it."""

    file: Path | None
    signers: Path | None
    identity: str


class _Kept(msgspec.Struct, frozen=True):
    """Where the evidence is, whose it is, the zone that its times are shown in, and why it is not what the state of the
    site wrote."""

    evidence: EvidenceFolder
    site: str
    zone: tzinfo
    trouble: ReconcilerError | None = None


def verify(root: Path | None, name: str | None, to: Destinations[Sheets], folder: Path | None, anchor: Anchor) -> int:
    """Checks the chain; 1 where it is not whole."""
    if (anchor.signers is None) != (not anchor.identity):
        raise UsageError("RCL0003", "--signers and --identity go together", "Give both, or none.")
    kept = _kept(root, name, folder)
    if anchor.file is not None and not anchor.file.is_file():
        raise UsageError("RCL5027", f"there is no file {str(anchor.file)!r}", "Give a SHA256SUMS.")
    file = anchor.file or kept.evidence.folder / SUMS
    check = check_chain(kept.evidence, read_sums(kept.evidence.folder / SUMS) | read_sums(file))
    unsigned = _unsigned(file, anchor)
    strange = (kept.trouble.diagnostic,) if kept.trouble is not None else ()
    check = msgspec.structs.replace(check, findings=(*check.findings, *strange, *unsigned))
    signed_by = "" if unsigned else anchor.identity
    to.show(lambda format, paint: _checked(check, kept, signed_by, format, paint))
    return ExitCode.SUCCESS if is_whole(check) else ExitCode.FAILURE


def _checked(check: ChainCheck, kept: _Kept, signed_by: str, format: Sheets, paint: Paint) -> str:
    match format:
        case Sheets.text:
            return chain_text(check, str(kept.evidence.folder), signed_by, paint)
        case Sheets.json:
            shown = {"formatVersion": "1.0", "kind": "EvidenceCheck", **msgspec.to_builtins(check)}
            return json_text(shown | {"whole": is_whole(check), "signedBy": signed_by}) + "\n"
        case Sheets.html:
            return chain_html(check, kept.site, str(kept.evidence.folder), signed_by)
        case Sheets.csv:
            return chain_csv(check, kept.site, signed_by, datetime.now(UTC))


def seal(root: Path | None, name: str | None, key: Path | None, copy: Path | None) -> int:
    """Writes the anchor, in the folder and elsewhere."""
    kept = _kept(root, name, None)
    if kept.trouble is not None:
        raise kept.trouble
    lines = seal_evidence(kept.evidence, key, copy)
    signed = f", signed with {key}" if key is not None else ""
    anchor = kept.evidence.folder / SUMS
    text = f"Sealed {lines} segment(s){signed}: {anchor}"
    event = ActionEvent(event=ActionEventName.EVIDENCE_SEALED, message=text, subject=str(anchor), result="sealed")
    show(event, lambda: f"{text}\n")
    if copy is not None:
        note(f"Keep {copy / SUMS} where nobody who changes this site can change it.")
    return ExitCode.SUCCESS


def export(root: Path | None, name: str | None, target: Path, key: Path | None) -> int:
    """Writes an export, with everything sealed."""
    kept = _kept(root, name, None)
    evidence = kept.evidence
    newest = evidence.segments()[-1:]
    unwritten = None
    if key is not None or not all(path.name in read_sums(evidence.folder / SUMS) for path in newest):
        try:
            seal_evidence(evidence, key, None)
        except (ReconcilerError, OSError) as error:
            if not cannot_write(error):
                raise
            unwritten = anchor(evidence, key)
            note(f"{evidence.folder} cannot be written, so its anchor is in the export alone.")
    written = write_export(evidence, kept.site, target, unwritten)
    text = f"Exported {len(written)} files to {target}; {written[-1]} tells how to check them."
    event = ActionEvent(event=ActionEventName.FILE_WRITTEN, message=text, subject=str(target), result="written")
    show(event, lambda: f"{text}\n")
    return ExitCode.SUCCESS


def query(
    root: Path | None, name: str | None, to: Destinations[Sheets], folder: Path | None, machine: str, when: str | None
) -> int:
    """Answers an auditor; 1 where the chain is not whole, since the answer may then be wrong."""
    kept = _kept(root, name, folder)
    evidence = kept.evidence
    at = _moment(when, kept.zone)
    check = check_chain(evidence, read_sums(evidence.folder / SUMS))
    sources = sources_of(_readable(evidence), machine)
    told = tuple(protection(_readable(evidence), source, at) for source in sources)
    answer = Answer(machine, at, check.records, is_whole(check), told)
    to.show(lambda format, paint: _answered(answer, check, kept.zone, format, paint))
    if answer.whole:
        return ExitCode.SUCCESS
    tell(check.findings)
    note("The evidence is not as it was written, so this answer may be wrong.")
    return ExitCode.FAILURE


def _answered(answer: Answer, check: ChainCheck, zone: tzinfo, format: Sheets, paint: Paint) -> str:
    match format:
        case Sheets.text:
            return answer_text(answer, zone, paint)
        case Sheets.json:
            return json_text(answer) + "\n"
        case Sheets.html:
            return answer_html(answer, zone, check.findings)
        case Sheets.csv:
            return answer_csv(answer)


# --- Parts -----------------------------------------------------------------------------------------------------


def _kept(root: Path | None, name: str | None, folder: Path | None) -> _Kept:
    """The evidence of a folder, else of the site; there must be some."""
    if folder is not None:
        kept = _Kept(EvidenceFolder(folder), folder.absolute().name, UTC)
    else:
        place = find_root(root)
        site = choose_site(read_or_last_good(place, reading=True).policies, name)
        check_not_brought(place, site)
        evidence = EvidenceFolder.of(state_path(place, site))
        kept = _Kept(evidence, site.metadata.name, ZoneInfo(site.spec.time_zone), _trouble(state_path(place, site)))
    if not kept.evidence.segments():
        if kept.trouble is not None:
            raise kept.trouble
        what = f"there is no evidence in {kept.evidence.folder}"
        raise UsageError("RCL5032", what, "It begins with the first run that changes something.", subject=kept.site)
    return kept


def _trouble(database: Path) -> ReconcilerError | None:
    """Why the evidence is not the one that the state wrote, as far as the state reads."""
    try:
        with closing(open_memory(database, opening=Opening.READ)) as memory:
            return memory.evidence.trouble()
    except ReconcilerError as error:
        return error


def _readable(evidence: EvidenceFolder) -> Iterator[Record]:
    """The records that read; `query` says besides when there are others."""
    for place in evidence.lines():
        with suppress(encoded.Wrong):
            yield encoded.read(place.line, Record)


def _unsigned(file: Path, anchor: Anchor) -> tuple[Diagnostic, ...]:
    """Why the anchor does not count as signed by whom it should be."""
    if anchor.signers is None:
        return ()
    signature = file.with_name(file.name + ".sig")
    missing = next((str(path) for path in (file, signature, anchor.signers) if not path.is_file()), "")
    if missing:
        why = f"there is no file {missing}"
    else:
        text = files.read_text(signature, errors="replace")
        signers = files.read_regular(anchor.signers, LARGEST_FILE)
        if signing.verify(files.read_regular(file), text, signers, anchor.identity, NAMESPACE):
            return ()
        why = f"{signature} is no signature of it by a key of {anchor.identity}"
    remedy = "Take the anchor and its signature from where they were kept; check that the signers are right."
    return (Diagnostic("RCL5034", Severity.ERROR, f"the anchor is not signed: {why}", remedy, subject=str(file)),)


def _moment(when: str | None, zone: tzinfo) -> datetime:
    """A time; a date means the end of that day in the site's zone."""
    if when is None:
        return datetime.now(UTC)
    if _DAY.fullmatch(when.strip()):
        when = f"{when.strip()}T23:59:59.999999"
    return parse_time(when, zone)
