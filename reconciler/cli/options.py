"""The application, options that many commands have, and the formats they print."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="reconciler",
    help="Policy-as-code for virtual-machine backup: shows the difference, applies it, runs the jobs, recovers.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
store_app = typer.Typer(
    help="Look after the store of the embedded engine.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(store_app, name="store")


policy_app = typer.Typer(help="Look after guardrails.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(policy_app, name="policy")
inventory_app = typer.Typer(help="What the clusters show.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(inventory_app, name="inventory")
evidence_app = typer.Typer(
    help="What was done, by whom, on whose yes: records that auditors can check.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(evidence_app, name="evidence")
catalog_app = typer.Typer(help="What the servers hold.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(catalog_app, name="catalog")


class Format(StrEnum):
    text = "text"
    json = "json"


class Report(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"
    html = "html"


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


Root = Annotated[
    Path | None,
    typer.Option(
        "-C",
        "--root",
        metavar="DIR",
        help="The folder that holds policies/. Default: the nearest parent folder with policies/.",
    ),
]
SiteName = Annotated[str | None, typer.Option("--site", metavar="NAME", help="Which site, when there are several.")]
Output = Annotated[Format, typer.Option("--format", help="What to print.")]
PlanOutput = Annotated[PlanFormat, typer.Option("--format", help="What to print.")]
Reports = Annotated[
    list[str] | None,
    typer.Option("--report", metavar="FORMAT=FILE", help="Write the plan to a file too, in any format. Repeatable."),
]
Only = Annotated[
    str,
    typer.Option(
        "--only", metavar="DIRECTIONS", help="Only these steps in text, markdown, html, such as weakens,destroys."
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
    typer.Option("--inventory", metavar="FILE", help="An exported inventory, instead of looking at the clusters."),
]
Catalog = Annotated[
    Path | None,
    typer.Option("--catalog", metavar="FILE", help="An exported catalog with the ledger, instead of asking servers."),
]
Now = Annotated[
    str | None,
    typer.Option("--now", metavar="TIME", help="Pretend that it is TIME. Only in a site with `rehearsal: true`."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Machine = Annotated[str, typer.Argument(metavar="VM", help="A machine, by name or by id.")]
Machines = Annotated[list[str] | None, typer.Argument(metavar="VM", help="Machines, by name or id.")]
Adopts = Annotated[
    list[str] | None,
    typer.Option("--adopt", metavar="GROUP", help="Take over this group, which nobody owns. * and ? fit; repeatable."),
]
Servers = Annotated[
    list[str] | None, typer.Option("--server", metavar="NAME", help="Only changes of this server. Repeatable.")
]
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="NAME", help="Only changes of this group. Repeatable.")
]
Authors = Annotated[
    list[str] | None,
    typer.Option("--author", metavar="EMAIL", help="Who wrote the policies too, besides the commits' authors."),
]
