"""The commands for policy authors and reviewers: their arguments and help. They change no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import (
    Findings,
    Format,
    Inventory,
    Now,
    Output,
    Report,
    Root,
    SiteName,
    Yes,
    app,
    catalog_app,
    inventory_app,
    policy_app,
)


@app.command()
def validate(
    root: Root = None,
    output: Annotated[Findings, typer.Option("--format", help="What to print.")] = Findings.text,
    inventory: Inventory = None,
) -> None:
    """Show every mistake of the policy folder at once. Needs no server.

    Where the clusters can be seen, or with --inventory, the policies are compared with them too.
    """
    from reconciler.cli.actions.validate import validate

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
    from reconciler.cli.actions.coverage import members

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
    from reconciler.cli.actions.coverage import Thresholds, coverage

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
    from reconciler.cli.actions.coverage import preflight

    raise typer.Exit(preflight(root, site, output, inventory, every=every))


@policy_app.command("test")
def policy_test(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Files of cases; else tests/policies/*.yaml.")
    ] = None,
    root: Root = None,
    output: Output = Format.text,
) -> None:
    """Try guardrails on cases written in YAML: what each says, and whether that is what was expected."""
    from reconciler.cli.actions.validate import policy_test

    raise typer.Exit(policy_test(root, paths or [], output))


@inventory_app.command("snapshot")
def inventory_snapshot(
    root: Root = None,
    site: SiteName = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here, not to the terminal.")
    ] = None,
) -> None:
    """Write what the clusters show, for offline commands: machines, nodes, volumes, no secret.

    A name that ends in .jsonl is written as JSON lines, which very large sites read best.
    """
    from reconciler.cli.actions.coverage import inventory_snapshot

    raise typer.Exit(inventory_snapshot(root, site, output))


@catalog_app.command("snapshot")
def catalog_snapshot(
    root: Root = None,
    site: SiteName = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here, not to the terminal.")
    ] = None,
) -> None:
    """Write what the servers hold and our ledger of it, for offline plans: groups, replicas, points, no secret.

    A name that ends in .jsonl is written as JSON lines, which very large sites read best.
    """
    from reconciler.cli.actions.plan_from_files import catalog_snapshot

    raise typer.Exit(catalog_snapshot(root, site, output))


@app.command()
def schema(
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only this one; SavedPlan too.")] = None,
) -> None:
    """Print the JSON Schema of policy documents, or of a saved plan, for editors and other tools."""
    from reconciler.cli.actions.policy_files import schema

    raise typer.Exit(schema(kind))


@app.command()
def fmt(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Files or folders; else policies/.")
    ] = None,
    root: Root = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 2 when a file would change.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print every value that counts and where it comes from.")
    ] = False,
) -> None:
    """Lay policy files out in one way. Comments stay, and so does what the files mean."""
    from reconciler.cli.actions.policy_files import fmt

    raise typer.Exit(fmt(root, paths or [], check=check, explain=explain))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new root.")] = Path(),
    site: Annotated[str, typer.Option(help="The site's name.")] = "hq",
    time_zone: Annotated[str, typer.Option(help="Time zone for schedules.")] = "UTC",
    cluster: Annotated[str, typer.Option(help="The cluster's name.")] = "hci-01",
    inventory: Annotated[str, typer.Option(help="The cluster's folder, from the root.")] = "clusters/{cluster}",
    server: Annotated[str, typer.Option(help="The backup server's name.")] = "mabs-01",
    store: Annotated[str, typer.Option(help="The server's store, from the root.")] = "var/{server}",
    volume: Annotated[str, typer.Option(help="The volume's name.")] = "vol-a",
    capacity: Annotated[str, typer.Option(help="What the volume may hold.")] = "1 TB",
    group: Annotated[str, typer.Option(help="The first protection group's name.")] = "all-vms",
    machines: Annotated[str, typer.Option(help="Its machines, by name; commas between.")] = "*",
    retention: Annotated[str, typer.Option(help="How long points are kept.")] = "14d",
    synchronization: Annotated[str, typer.Option(help="How often changes are taken.")] = "1h",
    prune: Annotated[
        bool | None, typer.Option("--prune/--no-prune", help="May a group that vanishes from Git be stopped?")
    ] = None,
) -> None:
    """Write a first site and group. Asks in a terminal unless --prune or --no-prune is given."""
    from reconciler.cli.actions.policy_files import init, starting

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
    raise typer.Exit(init(folder, starting(asked, prune), asked))


@app.command("import")
def import_(
    root: Root = None,
    site: SiteName = None,
    server: Annotated[str | None, typer.Option("--server", metavar="NAME", help="Only from this server.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Else policies/imported.")
    ] = None,
) -> None:
    """Write the groups that servers hold and nobody owns as policies. Changes nothing on a server."""
    from reconciler.cli.actions.policy_files import import_policies

    raise typer.Exit(import_policies(root, site, server, output))


@app.command()
def diff(
    older: Annotated[str, typer.Argument(metavar="A", help="A folder, a file, or a Git revision.")],
    newer: Annotated[str, typer.Argument(metavar="B", help="The same; else the working folder.")] = "",
    root: Root = None,
    output: Annotated[Report, typer.Option("--format", help="What to print.")] = Report.text,
    inventory: Inventory = None,
    author: Annotated[
        list[str] | None,
        typer.Option("--author", metavar="EMAIL", help="Who wrote the change too, besides the authors of the commits."),
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
    from reconciler.cli.actions.review import diff

    raise typer.Exit(diff(root, older, newer, output, inventory, tuple(author or ()), guard=guard, detailed=detailed))


@app.command()
def approve(
    older: Annotated[str, typer.Argument(metavar="A", help="As in `reconciler diff`.")] = "",
    newer: Annotated[str, typer.Argument(metavar="B", help="The same; else the working folder.")] = "",
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan", metavar="FILE", help="Approve a saved plan's weakening changes, instead of comparing A with B."
        ),
    ] = None,
    lost: Annotated[
        str, typer.Option("--lost", metavar="SERVER", help="That its store, which is gone for good, is given up.")
    ] = "",
    volume: Annotated[
        str | None, typer.Option("--volume", metavar="V", help="With --lost: only this volume of it.")
    ] = None,
    root: Root = None,
    site: SiteName = None,
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
    from reconciler.cli.actions.review import Consent, approve, approve_lost, approve_plan
    from reconciler.errors import UsageError

    if (plan is not None) + bool(older) + bool(lost) != 1 or (volume is not None and not lost):
        what = "give one of A, --plan FILE and --lost SERVER"
        raise UsageError("RCL0003", what, "See `reconciler approve --help`.")
    consent = Consent(by, reason, until, tuple(change or ()), key, output)
    if lost:
        raise typer.Exit(approve_lost(root, site, lost, volume, consent, yes=yes))
    if plan is not None:
        raise typer.Exit(approve_plan(root, plan, consent, yes=yes))
    raise typer.Exit(approve(root, older, newer, consent, yes=yes))


@app.command()
def explain(code: Annotated[str, typer.Argument(metavar="CODE", help="Such as RCL1007.")]) -> None:
    """Say what a code means and what to do about it."""
    from reconciler.cli.actions.validate import explain

    raise typer.Exit(explain(code))
