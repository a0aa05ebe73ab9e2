"""The commands: their arguments and help. Each body is in a module of its own, imported when it runs."""

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


inventory_app = typer.Typer(help="What the clusters show.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(inventory_app, name="inventory")


class Format(StrEnum):
    text = "text"
    json = "json"


class Report(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"
    html = "html"


class Findings(StrEnum):
    text = "text"
    json = "json"
    sarif = "sarif"
    junit = "junit"
    github = "github"
    azure = "azure"


Root = Annotated[
    Path | None,
    typer.Option("-C", "--root", metavar="DIR", help="The folder that holds policies/. Else: upward from here."),
]
SiteName = Annotated[str | None, typer.Option("--site", metavar="NAME", help="Which site, when there are several.")]
Output = Annotated[Format, typer.Option("--format", help="What to print.")]
Inventory = Annotated[
    Path | None,
    typer.Option("--inventory", metavar="FILE", help="An exported inventory, instead of looking at the clusters."),
]
Now = Annotated[
    str | None,
    typer.Option("--now", metavar="TIME", help="Pretend that it is TIME. Only in a site with `rehearsal: true`."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Machine = Annotated[str, typer.Argument(metavar="VM", help="A machine, by name or by id.")]
Machines = Annotated[list[str] | None, typer.Argument(metavar="[VM]...", help="Machines, by name or id.")]


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version, and nothing else.")] = False,
) -> None:
    if version:
        from reconciler import __version__

        typer.echo(f"reconciler {__version__}")
        raise typer.Exit


@app.command()
def validate(
    root: Root = None,
    output: Annotated[Findings, typer.Option("--format", help="What to print.")] = Findings.text,
    inventory: Inventory = None,
) -> None:
    """Show every mistake of the policy folder at once. Needs no server.

    Where the clusters can be seen, or with --inventory, the policies are compared with them too.
    """
    from reconciler.cli.policies import validate

    raise typer.Exit(validate(root, output, inventory))


@app.command()
def members(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="A group, by its metadata.name.")],
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    inventory: Inventory = None,
) -> None:
    """Show which machines a group's rules mean, and by what; and which they nearly mean."""
    from reconciler.cli.offline import members

    raise typer.Exit(members(root, site, output, inventory, group))


@app.command()
def coverage(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    inventory: Inventory = None,
    every: Annotated[bool, typer.Option("--all", help="Protected machines too.")] = False,
    min_protected: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Exit 9 when fewer are protected, of those that are not excluded: 95%."),
    ] = None,
    max_unprotected: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Exit 9 when more machines are unprotected.")
    ] = None,
    now: Now = None,
) -> None:
    """Show for every machine whether it is protected, pending, excluded or unprotected.

    With --inventory no server is asked: every machine of a group counts as pending.
    """
    from reconciler.cli.offline import Thresholds, coverage

    thresholds = Thresholds(min_protected, max_unprotected)
    raise typer.Exit(coverage(root, site, output, inventory, thresholds, every=every, now=now))


@app.command()
def preflight(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    inventory: Inventory = None,
    every: Annotated[bool, typer.Option("--all", help="What passed too.")] = False,
) -> None:
    """Check every prerequisite of what the policies want: agents, domains, disks, free space, replicas.

    Exit 6 when one fails that would keep a backup from being made. What is not known is said to be unknown.
    """
    from reconciler.cli.offline import preflight

    raise typer.Exit(preflight(root, site, output, inventory, every=every))


@inventory_app.command("snapshot")
def inventory_snapshot(
    root: Root = None,
    site: SiteName = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here, not to the terminal.")
    ] = None,
) -> None:
    """Write what the clusters show, for offline commands: machines, nodes, volumes, no secret."""
    from reconciler.cli.offline import inventory_snapshot

    raise typer.Exit(inventory_snapshot(root, site, output))


@app.command()
def plan(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    now: Now = None,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when there is something to do.")
    ] = False,
) -> None:
    """Show what apply would do, and why. Changes nothing."""
    from reconciler.cli.changes import plan

    raise typer.Exit(plan(root, site, output, now, detailed))


@app.command()
def apply(root: Root = None, site: SiteName = None, now: Now = None, yes: Yes = False) -> None:
    """Make the servers as the policies say: plan, show, ask, do.

    --yes answers for changes that strengthen protection or are neutral. What weakens it is asked for in a terminal.
    """
    from reconciler.cli.changes import apply

    raise typer.Exit(apply(root, site, now, yes))


@app.command()
def run(
    root: Root = None,
    site: SiteName = None,
    now: Now = None,
    once: Annotated[bool, typer.Option("--once", help="One tick and its jobs, then end.")] = False,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Until nothing is due, then end.")] = False,
    confirm_clock: Annotated[
        bool, typer.Option("--confirm-clock", help="The clock is right: points may expire.")
    ] = False,
) -> None:
    """Keep it so: apply what needs no consent, run the jobs that are due, again and again until Ctrl-C."""
    from reconciler.cli.loop import run

    raise typer.Exit(run(root, site, now, once=once, until_idle=until_idle, confirm_clock=confirm_clock))


@app.command()
def status(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    now: Now = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 9 when a machine is late or the loop has stopped.")
    ] = False,
    heartbeat: Annotated[str, typer.Option(metavar="DURATION", help="How old the loop's last run may be.")] = "1h",
) -> None:
    """Show groups, replicas, jobs, volumes, and for every machine whether it is protected."""
    from reconciler.cli.showing import status

    raise typer.Exit(status(root, site, output, now, heartbeat if check else None))


@app.command()
def jobs(
    machine: Annotated[str | None, typer.Argument(metavar="[VM]", help="Only of this machine.")] = None,
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many, newest first.")] = 30,
) -> None:
    """Show which jobs ran, and what came of them."""
    from reconciler.cli.showing import jobs

    raise typer.Exit(jobs(root, site, output, machine, limit))


@app.command()
def points(
    machine: Annotated[str | None, typer.Argument(metavar="[VM]", help="Only of this machine.")] = None,
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
) -> None:
    """Show the recovery points, by machine and day."""
    from reconciler.cli.showing import points

    raise typer.Exit(points(root, site, output, machine))


@app.command()
def recover(
    machine: Machine,
    root: Root = None,
    site: SiteName = None,
    point: Annotated[str, typer.Option("--point", metavar="ID", help="This recovery point. Else the newest.")] = "",
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="The newest point not after TIME.")] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Into a folder, not the original place.")
    ] = None,
    disk: Annotated[
        list[str] | None, typer.Option("--disk", metavar="NAME", help="Only this disk. May be repeated.")
    ] = None,
    keep_original: Annotated[bool, typer.Option("--keep-original", help="Keep what is replaced beside it.")] = False,
    yes: Yes = False,
    now: Now = None,
) -> None:
    """Bring a machine back: to its original place, or to a folder.

    Shows the machine, the point and its age, and what is destroyed, before it asks.
    """
    from reconciler.cli.recovery import Options, recover

    options = Options(machine, point, at, to, tuple(disk or ()), keep_original)
    raise typer.Exit(recover(root, site, now, options, yes=yes))


@app.command()
def check(machines: Machines = None, root: Root = None, site: SiteName = None, now: Now = None) -> None:
    """Consistency check: compare replicas with their sources, and store anew what is not right."""
    from reconciler.cli.recovery import check

    raise typer.Exit(check(root, site, now, machines or []))


@store_app.command("check")
def store_check(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    read_data: Annotated[
        str | None,
        typer.Option("--read-data", metavar="[=n/m]", help="Read and hash the data too, or the n-th part of m of it."),
    ] = None,
) -> None:
    """Check the stores: catalogs, packs and maps against each other. Changes nothing."""
    from reconciler.cli.recovery import store_check

    raise typer.Exit(store_check(root, site, output, read_data))


@app.command()
def diff(
    older: Annotated[str, typer.Argument(metavar="A", help="A folder, a file, or a Git revision.")],
    newer: Annotated[str, typer.Argument(metavar="[B]", help="The same; else the working folder.")] = "",
    root: Root = None,
    output: Annotated[Report, typer.Option("--format", help="What to print.")] = Report.text,
    inventory: Inventory = None,
    author: Annotated[
        list[str] | None,
        typer.Option("--author", metavar="EMAIL", help="Who wrote the change; else the authors of the commits."),
    ] = None,
    guard: Annotated[
        bool, typer.Option("--guard/--no-guard", help="Exit 5 when what weakens protection is not approved.")
    ] = True,
    detailed: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 2 when anything differs.")] = False,
) -> None:
    """Show what a change of the policies does to protection. Needs no server and no cluster.

    Weakening and destroying changes need Approval documents (see `reconciler approve`), else it ends with 5; a
    guardrail that denies ends it with 4. With --inventory it shows which machines gain or lose protection.
    """
    from reconciler.cli.comparing import diff

    raise typer.Exit(diff(root, older, newer, output, inventory, tuple(author or ()), guard=guard, detailed=detailed))


@app.command()
def approve(
    older: Annotated[str, typer.Argument(metavar="A", help="As in `reconciler diff`.")],
    newer: Annotated[str, typer.Argument(metavar="[B]", help="The same; else the working folder.")] = "",
    root: Root = None,
    by: Annotated[str, typer.Option("--by", metavar="EMAIL", help="Who approves; one of the site's approvers.")] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="The last day on which it counts.")] = "",
    change: Annotated[
        list[str] | None, typer.Option("--change", metavar="HASH", help="Only this one. May be repeated.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Sign with this SSH key, by ssh-keygen.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Else policies/approvals/NAME.yaml.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Approve what weakens protection: writes an Approval document to be committed.

    It names the hashes of the changes, so that any other change needs an approval of its own.
    """
    from reconciler.cli.comparing import Consent, approve

    consent = Consent(by, reason, until, tuple(change or ()), key, output)
    raise typer.Exit(approve(root, older, newer, consent, yes=yes))


@app.command()
def explain(code: Annotated[str, typer.Argument(metavar="CODE", help="Such as RCL1007.")]) -> None:
    """Say what a code means and what to do about it."""
    from reconciler.cli.policies import explain

    raise typer.Exit(explain(code))


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or one that an earlier demo made.")],
) -> None:
    """Build a site with real disk images, protect it, damage it, bring it back, and prove it."""
    from reconciler.demo import play

    raise typer.Exit(play(folder))
