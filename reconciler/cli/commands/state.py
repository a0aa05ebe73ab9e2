"""lock and state, the commands that look after our own memory: their arguments and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.application import Application
from reconciler.cli.completion import names
from reconciler.cli.options import Format, Output, Root, SiteName, Yes, app, evidence_app, store_app

lock_app = Application(help="Show or take away the lease of the process that may change the site.")
app.add_typer(lock_app, name="lock")
state_app = Application(help="Back up or restore the state: ledger, journal and evidence.")
app.add_typer(state_app, name="state")


@lock_app.command("show")
def lock_show(root: Root = None, site: SiteName = None, output: Output = Format.text) -> None:
    """Show which process holds the lease of the site, since when, until when, and whether it is alive."""
    from reconciler.cli.actions.locks import show

    raise typer.Exit(show(root, site, output))


@lock_app.command("release")
def lock_release(root: Root = None, site: SiteName = None, output: Output = Format.text, yes: Yes = False) -> None:
    """Take the lease away from its holder, which can no longer write.

    It is recorded in the journal and the evidence.
    """
    from reconciler.cli.actions.locks import release

    raise typer.Exit(release(root, site, yes))


@state_app.command("backup")
def state_backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The tar file to write; one that exists is replaced whole.")
    ],
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
) -> None:
    """Save the state database and the evidence in one file, at any time."""
    from reconciler.cli.actions.state import backup

    raise typer.Exit(backup(root, site, file))


@state_app.command("restore")
def state_restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `reconciler state backup` wrote.")],
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    yes: Yes = False,
    another_state: Annotated[
        bool, typer.Option("--another-state", help="Confirm that the backup of another state is meant.")
    ] = False,
) -> None:
    """Replace the state by that of a backup. The present one is kept beside it."""
    from reconciler.cli.actions.state import restore

    raise typer.Exit(restore(root, site, file, yes, another=another_state))


@store_app.command("rebuild")
def store_rebuild(
    server: Annotated[
        str,
        typer.Argument(metavar="SERVER", autocompletion=names.servers, help="The server whose databases are rebuilt."),
    ],
    machine: Annotated[
        str | None,
        typer.Argument(metavar="VM", autocompletion=names.machines, help="Only the catalog of this virtual machine."),
    ] = None,
    even_if_sound: Annotated[bool, typer.Option("--even-if-sound", help="Rebuild sound catalogs as well.")] = False,
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
) -> None:
    """Rebuild the catalogs and the database of a server from its packs and copies of maps.

    It is recorded in the evidence.
    """
    from reconciler.cli.actions.rebuild import store_rebuild

    raise typer.Exit(store_rebuild(root, site, server, machine, sound_too=even_if_sound))


@store_app.command("declare-lost")
def store_declare_lost(
    server: Annotated[
        str,
        typer.Argument(
            metavar="SERVER", autocompletion=names.servers, help="The server whose store will not come back."
        ),
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is lost; the evidence keeps it.")],
    volume: Annotated[
        str | None, typer.Option("--volume", metavar="V", autocompletion=names.volumes, help="Only this volume.")
    ] = None,
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    yes: Yes = False,
) -> None:
    """Give up a store or a volume that is gone for good.

    A new one can be made in its place then. It is recorded in the evidence.
    """
    from reconciler.cli.actions.declare_lost import store_lost

    raise typer.Exit(store_lost(root, site, server, volume, reason, yes))


@evidence_app.command("declare-lost")
def evidence_declare_lost(
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is lost; the new chain keeps it.")],
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    yes: Yes = False,
) -> None:
    """Give up evidence that is gone for good, and begin a new chain that says so."""
    from reconciler.cli.actions.declare_lost import chain_lost

    raise typer.Exit(chain_lost(root, site, reason, yes))


@app.command()
def cancel(
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB|VM", autocompletion=names.machines, help="A job's id, or the id of a virtual machine."
        ),
    ],
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
) -> None:
    """Cancel a running job at its next block. What was stored before stays as it was."""
    from reconciler.cli.actions.requests import cancel

    raise typer.Exit(cancel(root, site, job))
