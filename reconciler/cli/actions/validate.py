"""validate, policy test, explain."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from reconciler import __version__
from reconciler.cli.options import Findings, Format
from reconciler.cli.session import find_root
from reconciler.cli.terminal import commands, findings_for, note, out, paint_for
from reconciler.control.authoring.guardrail_tests import CaseResult, run_cases
from reconciler.control.planning.without_servers import Sight, lint_all
from reconciler.control.policy_folder import read_good
from reconciler.errors import Diagnostic, ExitCode, PolicyError, Severity, UsageError, codes, sort_key
from reconciler.expressions import evaluate
from reconciler.model.documents import PolicySet
from reconciler.model.similar_names import did_you_mean
from reconciler.parse import FolderTree, find_policy_files, read_policies
from reconciler.plan.approval.guardrails import denied, guard_documents
from reconciler.report import azure_text, findings_text, github_text, json_text, junit_text, sarif_text
from reconciler.report.escape import safe
from reconciler.report.messages import quoted
from reconciler.report.words import Paint, count
from reconciler.snapshots import read_inventory


def validate(root: Path | None, output: Findings, inventory: Path | None) -> int:
    """Every error of the folder; 65 if there is one."""
    place = find_root(root)
    reading = read_policies(place)
    found = list(reading.diagnostics)
    if reading.policies is not None:
        found += _lint(place, reading.policies, inventory)
    found = sorted(set(found), key=sort_key)
    errors = sum(each.severity is Severity.ERROR for each in found)
    forbidden = len(denied(found))
    match output:
        case Findings.text | Findings.full | Findings.short:
            out(_for_people(found, reading.texts, output))
            note(f"{count(len(reading.files), 'file')}: {count(errors, 'error')}, {_mild(found)}.")
        case Findings.json:
            said = {"formatVersion": "1.0", "kind": "Diagnostics", "files": reading.files, "diagnostics": found}
            out(json_text(said) + "\n")
        case Findings.sarif:
            out(sarif_text(found, __version__) + "\n")
        case Findings.junit:
            out(junit_text(found, reading.files))
        case Findings.github:
            commands(github_text(found))
        case Findings.azure:
            commands(azure_text(found))
    if errors:
        return ExitCode.GUARDRAIL_DENIED if forbidden == errors else ExitCode.INVALID_POLICY
    return ExitCode.SUCCESS


def _for_people(found: list[Diagnostic], texts: Mapping[str, bytes], output: Findings) -> str:
    """With the lines of the files on a terminal and where they are asked for, else in one line each. On a terminal the
    sum follows after an empty line, as each block does."""
    if output is Findings.short:
        return findings_text(found, paint_for(sys.stdout))
    text = findings_for(sys.stdout, found, texts, whole=output is Findings.full)
    return f"{text}\n" if found and sys.stdout.isatty() else text


def _lint(place: Path, policies: PolicySet, inventory: Path | None) -> tuple[Diagnostic, ...]:
    """What shows across documents, and where they meet the clusters of an exported inventory: none is opened here."""
    now = datetime.now(UTC)
    sights = {}
    for placed in policies.sites:
        document = placed.document
        clusters = read_inventory(inventory) if inventory is not None else {}
        today = now.astimezone(ZoneInfo(document.spec.time_zone)).date()
        sights[document.metadata.name] = Sight(document, clusters, now, today)
    return (*lint_all(policies, sights, now.date()), *guard_documents(policies, evaluate))


def rule_tests_text(results: tuple[CaseResult, ...], paint: Paint) -> str:
    """A line for each case, then the sum."""
    lines = []
    for each in results:
        word = paint("passed", "good") if each.passed else paint("FAILED", "bad")
        tail = "" if each.passed else f": expected {each.expected}, got {each.got}  {each.location}"
        lines.append(f"  {word}  {safe(each.guardrail)}: {safe(each.name)}{tail}")
        lines += [f"          {safe(each.said)}"] if each.said and not each.passed else []
    failed = sum(not each.passed for each in results)
    return "\n".join([*lines, f"{count(len(results), 'case')}, {failed} failed."]) + "\n"


def _mild(found: list[Diagnostic]) -> str:
    warnings = sum(each.severity is Severity.WARNING for each in found)
    advice = sum(each.severity is Severity.ADVICE for each in found)
    return count(warnings, "warning") + (f", {advice} of advice" if advice else "")


def policy_test(root: Path | None, paths: list[Path], output: Format) -> int:
    """Runs the cases; 1 when one gives something else than expected."""
    place = find_root(root)
    policies = read_good(place).policies
    cases = paths or _cases(place)
    results = run_cases(policies, cases) if cases else ()
    if not cases:
        note("There are no cases below tests/policies, so nothing was tested (docs/reference/guardrails.md).")
    if output is Format.json:
        said = [msgspec.structs.asdict(each) | {"passed": each.passed} for each in results]
        out(json_text({"formatVersion": "1.0", "kind": "GuardrailTests", "results": said}) + "\n")
    else:
        out(rule_tests_text(results, paint_for(sys.stdout)))
    return ExitCode.SUCCESS if all(each.passed for each in results) else ExitCode.FAILURE


def _cases(place: Path) -> list[Path]:
    """The files below tests/policies, found as policies are."""
    if not (place / "tests" / "policies").is_dir():
        return []
    found = find_policy_files(FolderTree(place), "tests/policies")
    wrong = [each for each in found.diagnostics if each.severity is Severity.ERROR]
    if wrong:
        raise PolicyError(wrong)
    return [place / each.name for each in found.files]


def explain(code: str, output: Format) -> int:
    """What a code means."""
    found = codes().get(code.strip().upper())
    if found is None:
        remedy = did_you_mean(code.strip().upper(), codes()) or "Codes are RCL and four digits."
        raise UsageError("RCL0004", f"there is no code {code!r}", remedy)
    if output is Format.json:
        said = {"formatVersion": "1.0", "kind": "Explanation", "code": code.strip().upper()} | found._asdict()
        out(json_text(said) + "\n")
        return ExitCode.SUCCESS
    out(quoted(f"{code.strip().upper()}: {found.title}\n\n{found.cause}\n\nWhat to do: {found.remedy}\n"))
    return ExitCode.SUCCESS
