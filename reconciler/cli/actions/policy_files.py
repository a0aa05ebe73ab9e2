"""schema, fmt, init, import: files that people go on to edit."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler import files
from reconciler.cli.output_settings import SETTINGS
from reconciler.cli.session import find_root, session
from reconciler.cli.terminal import note, out, show, tell
from reconciler.control.authoring.import_groups import Source, import_groups
from reconciler.control.authoring.starter_files import HEADER
from reconciler.control.observe import observe_whole
from reconciler.control.policy_folder import FOLDER, read_good
from reconciler.errors import Diagnostic, ExitCode, Severity, UsageError
from reconciler.model.names import fold
from reconciler.model.similar_names import SEE_STATUS, did_you_mean_or_known
from reconciler.parse import FolderTree, find_policy_files
from reconciler.parse.explain import explained
from reconciler.parse.fmt import formatted
from reconciler.parse.load import LARGEST_FILE
from reconciler.parse.schema import KINDS, SAVED_PLAN, bundled_schema, plan_schema, schema_of
from reconciler.plan.desired.defaults import zones_of
from reconciler.report.action_events import ACTION_EVENT, ActionEvent, ActionEventName, event_schema
from reconciler.report.words import count
from reconciler.state import Opening


def schema(kind: str | None) -> int:
    """The JSON Schema of a kind, or of any policy document."""
    if kind is None:
        out(json.dumps(bundled_schema(), indent=2, sort_keys=True) + "\n")
        return ExitCode.SUCCESS
    kinds = (*KINDS, SAVED_PLAN, ACTION_EVENT)
    known = {fold(each): each for each in kinds}
    if fold(kind) not in known:
        raise UsageError("RCL0003", f"there is no kind {kind!r}", did_you_mean_or_known(kind, kinds))
    named = known[fold(kind)]
    others = {SAVED_PLAN: plan_schema, ACTION_EVENT: event_schema}
    found = others[named]() if named in others else schema_of(named)
    out(json.dumps(found, indent=2, sort_keys=True) + "\n")
    return ExitCode.SUCCESS


def say_file(path: Path, *, written: bool = True) -> None:
    """A file that was written, or would be: its name alone in text."""
    event = ActionEvent(
        event=ActionEventName.FILE_WRITTEN if written else ActionEventName.FILE_DIFFERS,
        message=f"{path} was written" if written else f"{path} would be rewritten",
        subject=str(path),
        result="written" if written else "differs",
    )
    show(event, lambda: f"{path}\n")


def fmt(root: Path | None, paths: list[Path], *, check: bool, explain: bool) -> int:
    """Lays files out; 2 with `check` when one is not laid out so."""
    if explain and SETTINGS.json:
        raise UsageError("RCL0003", "--explain prints text alone", "Leave -o json out.")
    if explain:
        return _explain(find_root(root))
    chosen = _chosen(root, paths)
    changed: list[Path] = []
    found: list[Diagnostic] = []
    texts: dict[str, bytes] = {}
    for path in chosen:
        before = texts[str(path)] = files.read_regular(path, LARGEST_FILE)
        after, wrong = formatted(str(path), before)
        found += wrong
        if after != before:
            changed.append(path)
            if not check:
                files.write_whole(path, after, path.stat().st_mode & 0o777)
    for path in changed:
        say_file(path, written=not check)
    tell(found, texts)
    verb = "would be reformatted" if check else "reformatted"
    note(f"{count(len(chosen), 'file')}: {len(changed)} {verb}.")
    if any(finding.severity is Severity.ERROR for finding in found):
        return ExitCode.INVALID_POLICY
    return ExitCode.CHANGES_PENDING if check and changed else ExitCode.SUCCESS


def _chosen(root: Path | None, paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths or [find_root(root) / FOLDER]:
        if not path.exists():
            raise UsageError("RCL0003", f"there is no {path}", "Name files or folders, or none for all policies.")
        if path.is_dir():
            above = path.absolute().parent
            below = find_policy_files(FolderTree(above), path.absolute().name)
            tell([each for each in below.diagnostics if each.severity is Severity.ERROR])
            found += [_seen_from_here(above / each.name) for each in below.files]
        else:
            found.append(path.resolve() if path.is_symlink() else path)
    return found


def _seen_from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _explain(place: Path) -> int:
    policies = read_good(place).policies
    for placed in policies.groups:
        out(explained(placed, zones_of(policies)) + "\n")
    return ExitCode.SUCCESS


def import_policies(root: Path | None, name: str | None, server: str | None, output: Path | None) -> int:
    """Writes what a server holds and nobody owns as policies."""
    place = find_root(root)
    policies = read_good(place)
    with session(place, name, None, policies, Opening.READ) as site:
        observation = observe_whole(site)
        known = sorted(observation.catalogs)
        if server is not None and server not in known:
            remedy = did_you_mean_or_known(server, known) or SEE_STATUS
            raise UsageError("RCL0003", f"there is no server {server!r}", remedy, subject=server)
        target = output or place / FOLDER / "imported"
        owned = {(entry.server, entry.ref) for entry in observation.ledger}
        written = 0
        for each in [server] if server is not None else known:
            catalog = observation.catalogs[each]
            groups = [seen for seen in catalog.groups if (each, seen.ref) not in owned]
            source = Source(site.name, each, catalog, groups, site.engines[each].capabilities.unreadable, site.zone)
            found = import_groups(source, observation.clusters, HEADER.replace("../", "../../"))
            for called in found.files:
                path = target / called
                if path.exists():
                    raise UsageError("RCL0003", f"{path} already exists", "Give another folder with --out.")
            files.make_folder(target, 0o755)
            for called, text in found.files.items():
                files.write_whole(target / called, text.encode(), 0o644)
                say_file(target / called)
            written += len(groups)
            for doubt in found.doubts:
                note(f"To check: {doubt}")
    if not written:
        note("Nothing to import.")
        return ExitCode.SUCCESS
    note(f"{count(written, 'group')} imported. Adopt them with `reconciler apply --adopt GROUP`, or '*' for all.")
    return ExitCode.SUCCESS
