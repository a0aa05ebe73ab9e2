"""The commands that work on a site: their arguments and help. Each body is in a module of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.completion import names
from reconciler.cli.options import (
    Adopts,
    Authors,
    Catalog,
    Format,
    Groups,
    Inventory,
    LogFormat,
    Machine,
    Machines,
    MaxBytes,
    Now,
    Only,
    Output,
    PlanFormat,
    PlanOutput,
    Reports,
    Root,
    Servers,
    Sheets,
    SheetsOutput,
    SiteName,
    Yes,
    app,
    store_app,
)


@app.callback(invoke_without_command=True)
def options(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version, and nothing else.")] = False,
    root: Root = None,
) -> None:
    if version:
        from reconciler import __version__

        typer.echo(f"reconciler {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@app.command()
def plan(
    root: Root = None,
    site: SiteName = None,
    output: PlanOutput = PlanFormat.text,
    now: Now = None,
    report: Reports = None,
    only: Only = "",
    max_bytes: MaxBytes = 65_536,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there is something to do.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every value of the groups and where it comes from.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan, to apply exactly that later.")
    ] = None,
    adopt: Adopts = None,
    server: Servers = None,
    group: Groups = None,
    author: Authors = None,
    inventory: Inventory = None,
    catalog: Catalog = None,
) -> None:
    """Show what apply would do, and why. Changes nothing.

    With --inventory and --catalog neither a cluster nor a server is asked, and no state is opened.
    """
    from reconciler.cli.actions.plan import Look, plan
    from reconciler.cli.actions.plan_from_files import Exported, plan_exported
    from reconciler.cli.plan_reports import Choice, Reporter, reported
    from reconciler.cli.plan_request import wish

    asked, look = wish(adopt, server, group, author), Look(detailed, explain, save)

    def act(to: Reporter) -> int:
        if inventory is not None or catalog is not None:
            return plan_exported(root, site, to, now, Exported(inventory, catalog), look, asked)
        return plan(root, site, to, now, look, asked)

    raise typer.Exit(reported(Choice(output, tuple(report or ()), only, max_bytes), act))


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A plan that `reconciler plan --out` wrote.")],
    output: PlanOutput = PlanFormat.text,
    report: Reports = None,
    only: Only = "",
    max_bytes: MaxBytes = 65_536,
) -> None:
    """Show a saved plan and where it comes from."""
    from reconciler.cli.actions.plan import show
    from reconciler.cli.plan_reports import Choice, reported

    choice = Choice(output, tuple(report or ()), only, max_bytes)
    raise typer.Exit(reported(choice, lambda to: show(file, to)))


@app.command()
def apply(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A saved plan: its steps are executed, and no other.")
    ] = None,
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    now: Now = None,
    yes: Yes = False,
    adopt: Adopts = None,
    server: Servers = None,
    group: Groups = None,
    author: Authors = None,
    glass: Annotated[
        str,
        typer.Option(
            "--break-glass",
            metavar="REASON",
            help="Bypass approvals, budgets and change windows; every later plan says so.",
        ),
    ] = "",
    report: Reports = None,
) -> None:
    """Apply the policies: plan, confirm, execute.

    --yes confirms changes that strengthen protection, are neutral, or are approved. Other weakening changes are
    confirmed in a terminal, or wait for an Approval where the site names approvers.
    """
    from reconciler.cli.actions.apply import Consent, apply, apply_saved
    from reconciler.cli.plan_reports import Choice, Reporter, reported
    from reconciler.cli.plan_request import wish

    asked, consent = wish(adopt, server, group, author), Consent(yes, glass)

    def act(to: Reporter) -> int:
        if file is None:
            return apply(root, site, now, consent, asked, to)
        return apply_saved(root, file, now, consent, asked, to)

    raise typer.Exit(reported(Choice(report=tuple(report or ())), act))


@app.command()
def resume(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="The id of a run. Default: the latest.")] = None,
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    now: Now = None,
) -> None:
    """Finish an apply that ended with steps left. Executes those only, as confirmed then."""
    from reconciler.cli.actions.apply import resume

    raise typer.Exit(resume(root, site, now, run))


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
    log: Annotated[
        LogFormat | None,
        typer.Option("--log-format", help="Time-stamped lines: text, or JSON for collectors. [default: text]"),
    ] = None,
    commits_only: Annotated[
        bool, typer.Option("--commits-only", help="Act on what is committed, not on the files as they are.")
    ] = False,
    branch: Annotated[
        str | None,
        typer.Option("--branch", metavar="NAME", help="Whose commits. Default: the branch that is checked out."),
    ] = None,
    pull: Annotated[
        bool, typer.Option("--pull", help="Fetch the branch every minute, and act on its commits at the remote.")
    ] = False,
    accept_rewritten: Annotated[
        str | None,
        typer.Option(
            "--accept-rewritten", metavar="COMMIT", help="Take this commit although the history was rewritten."
        ),
    ] = None,
) -> None:
    """Keep it so: apply what needs no approval, run the jobs that are due, again and again until Ctrl-C."""
    from reconciler.cli.actions.run import RunRequest, run

    asked = RunRequest(once, until_idle, confirm_clock, log, commits_only, branch, pull, accept_rewritten)
    raise typer.Exit(run(root, site, now, asked))


@app.command()
def status(
    root: Root = None,
    site: SiteName = None,
    output: SheetsOutput = Sheets.text,
    report: Reports = None,
    now: Now = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 9 when a virtual machine is late or the loop has stopped.")
    ] = False,
    heartbeat: Annotated[str, typer.Option(metavar="DURATION", help="How old the loop's last run may be.")] = "1h",
) -> None:
    """Show groups, replicas, jobs, volumes, and which virtual machines are protected."""
    from reconciler.cli.actions.status import status
    from reconciler.cli.report_files import Destinations

    to = Destinations(output, report)
    raise typer.Exit(to.around(lambda: status(root, site, to, now, heartbeat if check else None)))


@app.command()
def jobs(
    machine: Annotated[
        str | None, typer.Argument(metavar="VM", autocompletion=names.machines, help="Only of this virtual machine.")
    ] = None,
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many, newest first.")] = 30,
) -> None:
    """Show which jobs ran and how they ended."""
    from reconciler.cli.actions.status import jobs

    raise typer.Exit(jobs(root, site, output, machine, limit))


@app.command()
def points(
    machine: Annotated[
        str | None, typer.Argument(metavar="VM", autocompletion=names.machines, help="Only of this virtual machine.")
    ] = None,
    root: Root = None,
    site: SiteName = None,
    output: SheetsOutput = Sheets.text,
    report: Reports = None,
) -> None:
    """Show the recovery points by virtual machine and day."""
    from reconciler.cli.actions.status import points
    from reconciler.cli.report_files import Destinations

    to = Destinations(output, report)
    raise typer.Exit(to.around(lambda: points(root, site, to, machine)))


@app.command()
def recover(
    machine: Machine,
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    point: Annotated[
        str,
        typer.Option(
            "--point", metavar="ID", autocompletion=names.points, help="This recovery point. Default: the newest."
        ),
    ] = "",
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="The newest point not after TIME.")] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Recover to this folder, not to the original place.")
    ] = None,
    disk: Annotated[
        list[str] | None, typer.Option("--disk", metavar="NAME", help="Only this disk. Repeatable.")
    ] = None,
    keep_original: Annotated[bool, typer.Option("--keep-original", help="Keep what is replaced, beside it.")] = False,
    go_on: Annotated[bool, typer.Option("--continue", help="Finish a recovery that is half done.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to what was there before the recovery.")] = False,
    yes: Yes = False,
    now: Now = None,
) -> None:
    """Recover a virtual machine to its original place, or to a folder.

    Before it asks, it shows the virtual machine, the recovery point and its age, and what is destroyed.
    """
    from reconciler.cli.actions.recover import Options, recover, step_of

    options = Options(machine, point, at, to, tuple(disk or ()), keep_original, step_of(go_on, undo))
    raise typer.Exit(recover(root, site, now, options, yes=yes))


@app.command()
def check(
    machines: Machines = None, root: Root = None, site: SiteName = None, output: Output = Format.text, now: Now = None
) -> None:
    """Compare replicas with their sources now, and repair what differs (consistency check)."""
    from reconciler.cli.actions.recover import check

    raise typer.Exit(check(root, site, now, machines or []))


@store_app.command("check")
def store_check(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    read_data: Annotated[
        str | None,
        typer.Option(
            "--read-data", metavar="[=n/m]", help="Read and hash the data as well, or the n-th of m parts of it."
        ),
    ] = None,
) -> None:
    """Check the catalogs, packs and maps of the stores against each other. Changes nothing."""
    from reconciler.cli.actions.recover import store_check

    raise typer.Exit(store_check(root, site, output, read_data))


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or that of an earlier demo.")],
) -> None:
    """Build a sample site with real disk images, protect it, damage it, recover it, and prove it."""
    from reconciler.demo import play

    raise typer.Exit(play(folder))
