"""The commands for policy authors and reviewers: their arguments and help. They change no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.completion import names
from reconciler.cli.options import (
    Findings,
    FindingsOutput,
    Format,
    Inventory,
    Now,
    Output,
    Report,
    ReportOutput,
    Reports,
    Root,
    Sheets,
    SheetsOutput,
    SiteName,
    Yes,
    app,
    catalog_app,
    inventory_app,
    policy_app,
)

OutFile = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write it to this file, not to the terminal.")
]


@app.command()
def validate(
    root: Root = None,
    output: FindingsOutput = Findings.text,
    inventory: Inventory = None,
) -> None:
    """Show every error in the policies at once. Needs no server.

    With --inventory the policies are compared with the virtual machines as well.
    """
    from reconciler.cli.actions.validate import validate

    raise typer.Exit(validate(root, output, inventory))


@app.command()
def members(
    group: Annotated[
        str,
        typer.Argument(metavar="GROUP", autocompletion=names.groups, help="The metadata.name of a protection group."),
    ],
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    inventory: Inventory = None,
) -> None:
    """Show which virtual machines match a group's rules and why, and near misses."""
    from reconciler.cli.actions.coverage import members

    raise typer.Exit(members(root, site, output, inventory, group))


@app.command()
def coverage(
    root: Root = None,
    site: SiteName = None,
    output: SheetsOutput = Sheets.text,
    report: Reports = None,
    inventory: Inventory = None,
    every: Annotated[bool, typer.Option("--all", help="Protected virtual machines as well.")] = False,
    min_protected: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Exit with 9 when fewer are protected, of those not excluded: 95%."),
    ] = None,
    max_unprotected: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Exit with 9 when more are unprotected.")
    ] = None,
    now: Now = None,
) -> None:
    """Show which virtual machines are protected, pending, excluded or unprotected.

    With --inventory no server is asked: every member of a group counts as pending.
    """
    from reconciler.cli.actions.coverage import Thresholds, coverage
    from reconciler.cli.report_files import Destinations

    to, thresholds = Destinations(output, report), Thresholds(min_protected, max_unprotected)
    raise typer.Exit(to.around(lambda: coverage(root, site, to, inventory, thresholds, every=every, now=now)))


@app.command()
def preflight(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    inventory: Inventory = None,
    every: Annotated[bool, typer.Option("--all", help="What passed as well.")] = False,
) -> None:
    """Check what backups need: agents, domains, disks, free space, replicas.

    Exits with 6 when a failed check would keep a backup from being made. What cannot be seen is reported as unknown.
    """
    from reconciler.cli.actions.coverage import preflight

    raise typer.Exit(preflight(root, site, output, inventory, every=every))


@policy_app.command("test")
def policy_test(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Files of cases. Default: tests/policies/*.yaml.")
    ] = None,
    root: Root = None,
    output: Output = Format.text,
) -> None:
    """Run the test cases of the guardrails."""
    from reconciler.cli.actions.validate import policy_test

    raise typer.Exit(policy_test(root, paths or [], output))


@inventory_app.command("snapshot")
def inventory_snapshot(
    root: Root = None,
    site: SiteName = None,
    out: OutFile = None,
) -> None:
    """Export the virtual machines, nodes and volumes of the clusters, for offline commands.

    No secret is in it. A name that ends in .jsonl is written as JSON lines, which very large sites read best.
    """
    from reconciler.cli.actions.coverage import inventory_snapshot

    raise typer.Exit(inventory_snapshot(root, site, out))


@catalog_app.command("snapshot")
def catalog_snapshot(
    root: Root = None,
    site: SiteName = None,
    out: OutFile = None,
) -> None:
    """Export the groups, replicas and points of the servers, with the ledger, for offline plans.

    No secret is in it. A name that ends in .jsonl is written as JSON lines, which very large sites read best.
    """
    from reconciler.cli.actions.plan_from_files import catalog_snapshot

    raise typer.Exit(catalog_snapshot(root, site, out))


@app.command()
def schema(
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            autocompletion=names.kinds,
            help="Only this kind of document, SavedPlan or ActionEvent.",
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of policies or saved plans, for editors and other tools."""
    from reconciler.cli.actions.policy_files import schema

    raise typer.Exit(schema(kind))


@app.command()
def fmt(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Files or folders. Default: policies/.")
    ] = None,
    root: Root = None,
    output: Output = Format.text,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 2 when a file would change.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print every effective value and where it comes from.")
    ] = False,
) -> None:
    """Format policy files. Comments and meaning stay."""
    from reconciler.cli.actions.policy_files import fmt

    raise typer.Exit(fmt(root, paths or [], check=check, explain=explain))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new root. Default: this folder.")] = Path(),
    site: Annotated[str, typer.Option(metavar="NAME", help="The site's name.")] = "hq",
    time_zone: Annotated[str, typer.Option(metavar="ZONE", help="Time zone for schedules.")] = "UTC",
    cluster: Annotated[str, typer.Option(metavar="NAME", help="The cluster's name.")] = "hci-01",
    inventory: Annotated[str, typer.Option(metavar="DIR", help="Its folder, from the root.")] = "clusters/{cluster}",
    server: Annotated[str, typer.Option(metavar="NAME", help="The backup server's name.")] = "mabs-01",
    store: Annotated[str, typer.Option(metavar="DIR", help="The server's store, from the root.")] = "var/{server}",
    volume: Annotated[str, typer.Option(metavar="NAME", help="The volume's name.")] = "vol-a",
    capacity: Annotated[str, typer.Option(metavar="SIZE", help="How much the volume may hold.")] = "1 TB",
    group: Annotated[str, typer.Option(metavar="NAME", help="The first protection group's name.")] = "all-vms",
    machines: Annotated[str, typer.Option(metavar="PATTERNS", help="Names of its VMs, commas between.")] = "*",
    retention: Annotated[str, typer.Option(metavar="TIME", help="How long recovery points are kept.")] = "14d",
    synchronization: Annotated[str, typer.Option(metavar="TIME", help="How often changes are synchronized.")] = "1h",
    prune: Annotated[
        bool | None, typer.Option("--prune/--no-prune", help="Stop groups that are removed from the policies.")
    ] = None,
    sample: Annotated[
        bool | None,
        typer.Option(
            "--sample-cluster/--no-sample-cluster",
            help="Write a small cluster to try things out. Default: if the cluster's folder does not exist.",
        ),
    ] = None,
    ci: Annotated[
        str | None, typer.Option(metavar="SERVICE", help="Write the CI file of: github (default), azure, none.")
    ] = None,
    output: Output = Format.text,
) -> None:
    """Write a first site: policies, a guardrail with its test, a CI file, and a sample cluster.

    Asks in a terminal unless --prune or --no-prune is given.
    """
    from reconciler.cli.actions.init import init

    asked = {
        "site": site,
        "time_zone": time_zone,
        "cluster": cluster,
        "inventory": inventory,
        "server": server,
        "store": store,
        "volume": volume,
        "capacity": capacity,
        "group": group,
        "machines": machines,
        "retention": retention,
        "synchronization": synchronization,
    }
    raise typer.Exit(init(folder, asked, prune=prune, sample=sample, ci=ci))


@app.command("import")
def import_(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="NAME", autocompletion=names.servers, help="Only groups of this server."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write them here. Default: policies/imported.")
    ] = None,
) -> None:
    """Write policies for the groups that servers hold and no site owns. Changes no server."""
    from reconciler.cli.actions.policy_files import import_policies

    raise typer.Exit(import_policies(root, site, server, out))


@app.command()
def diff(
    older: Annotated[str, typer.Argument(metavar="A", help="A folder, a file, or a Git revision.")],
    newer: Annotated[str, typer.Argument(metavar="B", help="The same. Default: the working folder.")] = "",
    root: Root = None,
    output: ReportOutput = Report.text,
    report: Reports = None,
    inventory: Inventory = None,
    author: Annotated[
        list[str] | None,
        typer.Option(
            "--author", metavar="EMAIL", help="An author of the change besides those of the commits. Repeatable."
        ),
    ] = None,
    guard: Annotated[
        bool, typer.Option("--guard/--no-guard", help="Exit with 5 when a weakening change is not approved.")
    ] = True,
    detailed: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit with 2 when anything differs.")] = False,
) -> None:
    """Show what a change of the policies does to protection. Needs no server and no cluster.

    Weakening and destroying changes need an Approval (see `reconciler approve`): without one it exits with 5, and with
    4 where a guardrail denies it. With --inventory it shows which virtual machines gain or lose protection.
    """
    from reconciler.cli.actions.review import diff
    from reconciler.cli.report_files import Destinations

    to, authors = Destinations(output, report), tuple(author or ())
    raise typer.Exit(
        to.around(lambda: diff(root, older, newer, to, inventory, authors, guard=guard, detailed=detailed))
    )


@app.command()
def approve(
    older: Annotated[str, typer.Argument(metavar="A", help="As in `reconciler diff`.")] = "",
    newer: Annotated[str, typer.Argument(metavar="B", help="The same. Default: the working folder.")] = "",
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan", metavar="FILE", help="Approve a saved plan's weakening changes, instead of comparing A with B."
        ),
    ] = None,
    lost: Annotated[
        str,
        typer.Option(
            "--lost",
            metavar="SERVER",
            autocompletion=names.servers,
            help="Approve giving up the store of SERVER, which is gone for good.",
        ),
    ] = "",
    volume: Annotated[
        str | None,
        typer.Option(
            "--volume", metavar="V", autocompletion=names.volumes, help="With --lost: only this volume of it."
        ),
    ] = None,
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    by: Annotated[str, typer.Option("--by", metavar="EMAIL", help="Who approves: one of the site's approvers.")] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is approved.")] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="DATE", help="The last day on which the approval is valid.")
    ] = "",
    change: Annotated[
        list[str] | None, typer.Option("--change", metavar="HASH", help="Only this change. Repeatable.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Sign with this private SSH key, by ssh-keygen.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it here. Default: policies/approvals/NAME.yaml.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Approve what weakens protection. Writes an Approval to be committed.

    It names the hashes of the changes, so that any other change needs an approval of its own.
    """
    from reconciler.cli.actions.review import Consent, approve, approve_lost, approve_plan
    from reconciler.errors import UsageError

    if (plan is not None) + bool(older) + bool(lost) != 1 or (volume is not None and not lost):
        what = "give one of A, --plan FILE and --lost SERVER"
        raise UsageError("RCL0003", what, "See `reconciler approve --help`.")
    consent = Consent(by, reason, until, tuple(change or ()), key, out)
    if lost:
        raise typer.Exit(approve_lost(root, site, lost, volume, consent, yes=yes))
    if plan is not None:
        raise typer.Exit(approve_plan(root, plan, consent, yes=yes))
    raise typer.Exit(approve(root, older, newer, consent, yes=yes))


@app.command()
def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", autocompletion=names.codes, help="A code, such as RCL1007.")],
    output: Output = Format.text,
) -> None:
    """Explain a code and what to do about it."""
    from reconciler.cli.actions.validate import explain

    raise typer.Exit(explain(code, output))
