"""The application, options that many commands have, and the formats they print."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from reconciler.cli.application import Application, path_of, write_json
from reconciler.cli.completion import names

app = Application(
    name="reconciler",
    help="Policy-as-code for virtual-machine backup: shows what differs, applies it, runs the jobs, recovers.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
store_app = Application(help="Check, rebuild or give up the stores of the embedded engine.")
app.add_typer(store_app, name="store")
policy_app = Application(help="Test guardrails.")
app.add_typer(policy_app, name="policy")
inventory_app = Application(help="Export what the clusters show.")
app.add_typer(inventory_app, name="inventory")
evidence_app = Application(help="What was done, by whom and with whose approval: records that auditors can check.")
app.add_typer(evidence_app, name="evidence")
catalog_app = Application(help="Export what the servers hold.")
app.add_typer(catalog_app, name="catalog")


class Format(StrEnum):
    text = "text"
    json = "json"


class LogFormat(StrEnum):
    text = "text"
    json = "json"


class Report(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"
    html = "html"


class Sheets(StrEnum):
    text = "text"
    json = "json"
    html = "html"
    csv = "csv"


class PlanFormat(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"
    html = "html"
    sarif = "sarif"
    junit = "junit"


class Findings(StrEnum):
    text = "text"
    short = "short"
    full = "full"
    json = "json"
    sarif = "sarif"
    junit = "junit"
    github = "github"
    azure = "azure"


def _of_application(context: typer.Context, given: Path | None) -> Path | None:
    """The root that stands behind the command, else the one before it, as Git and make take it."""
    if given is not None:
        return given
    before = context.find_root().params.get("root")
    return Path(before) if before is not None else None


Root = Annotated[
    Path | None,
    typer.Option(
        "-C",
        "--root",
        metavar="DIR",
        callback=_of_application,
        help="The folder that holds policies/. Default: the nearest parent folder with policies/.",
    ),
]
SiteName = Annotated[
    str | None,
    typer.Option(
        "--site", metavar="NAME", autocompletion=names.sites, help="The site, where the policies have several."
    ),
]


def _of_json(context: typer.Context, asked: StrEnum) -> StrEnum:
    """Where JSON is asked for, everything that is said is JSON."""
    if asked == "json" and not context.resilient_parsing:
        write_json(path_of(context))
    return asked


def _output(formats: type[StrEnum]) -> Any:
    """`-o FORMAT`: the one spelling for what is printed."""
    shown = f"What to print: {', '.join(formats)}."
    return typer.Option("-o", "--output", metavar="FORMAT", is_eager=True, callback=_of_json, help=shown)


Output = Annotated[Format, _output(Format)]
PlanOutput = Annotated[PlanFormat, _output(PlanFormat)]
SheetsOutput = Annotated[Sheets, _output(Sheets)]
ReportOutput = Annotated[Report, _output(Report)]
FindingsOutput = Annotated[Findings, _output(Findings)]
Reports = Annotated[
    list[str] | None,
    typer.Option(
        "--report", metavar="FORMAT=FILE", help="Write it to a file as well, in any of the formats. Repeatable."
    ),
]
Only = Annotated[
    str,
    typer.Option(
        "--only", metavar="DIRECTIONS", help="Show only these steps (text, markdown, html): weakens,destroys."
    ),
]
MaxBytes = Annotated[
    int,
    typer.Option(
        "--max-bytes", min=2000, metavar="N", help="Maximum Markdown size; lowest-risk steps are shortened first."
    ),
]
Inventory = Annotated[
    Path | None,
    typer.Option("--inventory", metavar="FILE", help="Use an exported inventory instead of the clusters."),
]
Catalog = Annotated[
    Path | None,
    typer.Option("--catalog", metavar="FILE", help="Use an exported catalog instead of the servers."),
]
Now = Annotated[
    str | None,
    typer.Option("--now", metavar="TIME", help="Pretend that it is TIME; only where the site says `rehearsal: true`."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Machine = Annotated[
    str, typer.Argument(metavar="VM", autocompletion=names.machines, help="A virtual machine: its name or id.")
]
Machines = Annotated[
    list[str] | None,
    typer.Argument(metavar="VM", autocompletion=names.machines, help="Virtual machines: names or ids. Default: all."),
]
Adopts = Annotated[
    list[str] | None,
    typer.Option(
        "--adopt",
        autocompletion=names.groups,
        metavar="GROUP",
        help="Take over this group, which no site owns; * and ? match. Repeatable.",
    ),
]
Servers = Annotated[
    list[str] | None,
    typer.Option(
        "--server", metavar="NAME", autocompletion=names.servers, help="Only changes on this server. Repeatable."
    ),
]
Groups = Annotated[
    list[str] | None,
    typer.Option(
        "--group", metavar="NAME", autocompletion=names.groups, help="Only changes of this group. Repeatable."
    ),
]
Authors = Annotated[
    list[str] | None,
    typer.Option(
        "--author", metavar="EMAIL", help="An author of the policies besides those of the commits. Repeatable."
    ),
]
