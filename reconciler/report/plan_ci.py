"""A plan -> what CI reads: SARIF with a result for each grave step and finding, JUnit with a case for each group."""

from __future__ import annotations

from datetime import tzinfo

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import Direction, Plan, Step
from reconciler.report import plan_words as words
from reconciler.report.annotations import Case, junit_suite, sarif_text
from reconciler.report.escape import safe
from reconciler.report.words import count

_CODES = {Direction.WEAKENS: "RCL0014", Direction.DESTROYS: "RCL0015"}
#: Stands for the document of a group whose policy was removed.
_NOWHERE = Location("policies")


def plan_sarif(plan: Plan, version: str) -> str:
    """Each step that weakens or destroys, then its hazards and the plan's findings, each with a place."""
    steps = words.by_risk(plan.steps)
    results = [_result(step, plan) for step in steps if step.change.direction.needs_consent]
    results += [hazard for step in steps for hazard in step.hazards]
    results += plan.findings
    return sarif_text([_placed(result) for result in results], version)


def _result(step: Step, plan: Plan) -> Diagnostic:
    """A grave step as a finding: an error while somebody still has to say yes, else a warning."""
    change = step.change
    grave = [row for row in words.rows(change, plan.names) if row.direction.needs_consent]
    said = [f"{change.verb} {words.title(change)} on {safe(change.server)} {change.direction} protection"]
    said += [_difference(row) for row in grave if row.path]
    said += [words.impact_line(step)]
    fields = [field for field in change.fields if field.direction.needs_consent and field.location is not None]
    places = (
        [change.location, *(field.location for field in fields)] if change.location else [f.location for f in fields]
    )
    first, *others = dict.fromkeys(place for place in places if place is not None) or [None]
    approvers = ", ".join(dict.fromkeys(row.approved_by for row in grave if row.approved_by))
    hashes = " ".join(row.change_hash for row in grave if row.consent and row.change_hash)
    wanted = words.APPROVE + f" HASH: {hashes}" if hashes else "Nobody has approved it yet."
    return Diagnostic(
        _CODES[change.direction],
        Severity.ERROR if change.needs_consent else Severity.WARNING,
        "; ".join(filter(None, said)),
        wanted if change.needs_consent else f"Approved by {approvers}.",
        first,
        safe(change.group),
        tuple(place for place in others if place is not None),
    )


def _difference(row: words.Row) -> str:
    if row.path == "members":
        return f"{len(row.machines)} {'gained' if row.gained else 'released'}: {words.few(row.machines)}"
    return f"{row.path} {row.before} -> {row.after}"


def _placed(finding: Diagnostic) -> Diagnostic:
    place = finding.location or _NOWHERE
    return Diagnostic(
        finding.code, finding.severity, safe(finding.message), safe(finding.remedy), place, "", finding.also
    )


def plan_junit(plan: Plan, zone: tzinfo) -> str:
    """A case for each group, failed where it has an error or still needs consent; and one for what is found besides."""
    steps = words.by_risk(plan.steps)
    cases = [_case(step, plan, zone) for step in steps]
    groups = {step.change.group for step in steps}
    rest = [finding for finding in plan.findings if finding.subject not in groups]
    errors = [safe(str(finding)) for finding in rest if finding.severity is Severity.ERROR]
    mild = [safe(str(finding)) for finding in rest if finding.severity is not Severity.ERROR]
    failure = count(len(errors), "error") if errors else ""
    cases.append(Case("findings", f"plan.{safe(plan.site)}", failure, errors, mild))
    return junit_suite("reconciler plan", cases)


def _case(step: Step, plan: Plan, zone: tzinfo) -> Case:
    change = step.change
    own = [*step.hazards, *(finding for finding in plan.findings if finding.subject == change.group)]
    errors = [safe(str(finding)) for finding in own if finding.severity is Severity.ERROR]
    mild = [safe(str(finding)) for finding in own if finding.severity is not Severity.ERROR]
    consent = []
    if change.needs_consent:
        consent = [f"{change.direction} protection and is not approved"]
        consent += [row.change_hash for row in words.rows(change, plan.names) if row.consent and row.change_hash]
    failure = "; ".join([*consent[:1], *([count(len(errors), "error")] if errors else [])])
    facts = [f"{change.verb}, {change.direction}: {words.REASONS[change.reason]}"]
    facts += [line for line in (words.impact_line(step), words.wave_of(step, plan, zone)) if line]
    name = f"{safe(change.server)}/{safe(change.group)}"
    return Case(name, f"plan.{safe(plan.site)}", failure, [*consent, *errors], [*facts, *mild])
