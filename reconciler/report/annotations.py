"""Findings -> what other programs read: SARIF 2.1.0, JUnit, and the annotations of GitHub and Azure DevOps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import quote

from reconciler.errors import Diagnostic, Severity, codes
from reconciler.report.escape import azure, github, github_field, json_text, safe, sarif, xml
from reconciler.report.words import count

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.ADVICE: "note"}


def sarif_text(findings: Sequence[Diagnostic], version: str) -> str:
    """One run with one result for each finding; rules are the codes that occur."""
    codes = sorted({finding.code for finding in findings})
    return json_text(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {"driver": {"name": "reconciler", "version": version, "rules": [_rule(c) for c in codes]}},
                    "columnKind": "unicodeCodePoints",
                    "results": [_result(finding, codes) for finding in findings],
                }
            ],
        }
    )


def _rule(code: str) -> dict[str, Any]:
    explained = codes().get(code)
    if explained is None:
        # A saved plan of a newer minor version may hold codes that this version does not know.
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": explained.title},
        "fullDescription": {"text": explained.cause},
        "help": {"text": explained.remedy},
    }


def _result(finding: Diagnostic, codes: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": _LEVELS[finding.severity],
        "message": {"text": sarif(f"{finding.message}: {finding.remedy}")},
    }
    places = [place for place in (finding.location, *finding.also) if place is not None]
    if places:
        result["locations"] = [_place(places[0].file, places[0].line, places[0].column)]
        result["relatedLocations"] = [_place(each.file, each.line, each.column) for each in places[1:]]
    return result


def _place(file: str, line: int, column: int) -> dict[str, Any]:
    region = {"startLine": line, "startColumn": column}
    return {"physicalLocation": {"artifactLocation": {"uri": quote(file, errors="backslashreplace")}, "region": region}}


class Case(NamedTuple):
    """A case of a JUnit report: what it is about, what failed it ("" for the failure's title: it passed), and what
    else there is to say."""

    name: str
    classname: str
    failure: str = ""
    told: Sequence[str] = ()
    output: Sequence[str] = ()


def junit_text(findings: Sequence[Diagnostic], files: Sequence[str]) -> str:
    """A case for each file: failed where it has errors, passed otherwise; warnings are its output."""
    by_file: dict[str, list[Diagnostic]] = {file: [] for file in files}
    for finding in findings:
        where = finding.location.file if finding.location else finding.subject or "the policies"
        by_file.setdefault(where, []).append(finding)
    cases = []
    for file, mine in by_file.items():
        errors = [safe(str(each)) for each in mine if each.severity is Severity.ERROR]
        failure = count(len(errors), "error") if errors else ""
        mild = [safe(str(each)) for each in mine if each.severity is not Severity.ERROR]
        cases.append(Case(file, "policies", failure, errors, mild))
    return junit_suite("reconciler validate", cases)


def junit_suite(name: str, cases: Iterable[Case]) -> str:
    """One suite with these cases, as XML."""
    from junitparser import Failure, JUnitXml, TestCase, TestSuite

    suite = TestSuite(xml(name))
    for each in cases:
        case = TestCase(xml(each.name), classname=xml(each.classname))
        if each.failure:
            failure = Failure(xml(each.failure), "RCL")
            failure.text = "\n".join(map(xml, each.told))
            case.result = [failure]
        case.system_out = "\n".join(map(xml, each.output))
        suite.add_testcase(case)
    report = JUnitXml()
    report.add_testsuite(suite)
    report.update_statistics()  # type: ignore[no-untyped-call]
    out = BytesIO()
    report.write(out)
    return out.getvalue().decode()


def github_text(findings: Sequence[Diagnostic]) -> str:
    """Workflow commands: one annotation for each finding."""
    words = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.ADVICE: "notice"}
    lines = []
    for finding in findings:
        fields = {"title": finding.code}
        if finding.location is not None:
            place = finding.location
            fields = {"file": place.file, "line": str(place.line), "col": str(place.column), **fields}
        told = ",".join(f"{name}={github_field(value)}" for name, value in fields.items())
        message = github(f"{finding.message}: {finding.remedy}")
        lines.append(f"::{words[finding.severity]} {told}::{message}\n")
    return "".join(lines)


def azure_text(findings: Sequence[Diagnostic]) -> str:
    """Logging commands of Azure Pipelines; advice, which they do not have, is a warning."""
    lines = []
    for finding in findings:
        fields = {"type": "error" if finding.severity is Severity.ERROR else "warning", "code": finding.code}
        if finding.location is not None:
            place = finding.location
            fields |= {"sourcepath": place.file, "linenumber": str(place.line), "columnnumber": str(place.column)}
        told = "".join(f"{name}={azure(value)};" for name, value in fields.items())
        message = azure(f"{finding.code} {finding.message}: {finding.remedy}")
        lines.append(f"##vso[task.logissue {told}]{message}\n")
    return "".join(lines)
