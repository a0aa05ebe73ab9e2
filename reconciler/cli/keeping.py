"""lock and state, the commands that look after our own memory: their arguments and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import Format, Output, Root, SiteName, Yes, app

lock_app = typer.Typer(help="Who may change the site.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(lock_app, name="lock")
state_app = typer.Typer(
    help="Look after the state: ledger, journal and evidence.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(state_app, name="state")


@lock_app.command("show")
def lock_show(root: Root = None, site: SiteName = None, output: Output = Format.text) -> None:
    """Show who holds the site's lease, since when, until when, and whether that process lives."""
    from reconciler.cli.locks import show

    raise typer.Exit(show(root, site, output))


@lock_app.command("release")
def lock_release(root: Root = None, site: SiteName = None, yes: Yes = False) -> None:
    """Take the lease away from its holder, who then writes nothing more. Is kept in the journal and the evidence."""
    from reconciler.cli.locks import release

    raise typer.Exit(release(root, site, yes))


@state_app.command("backup")
def state_backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to put it: one tar file, replaced whole.")],
    root: Root = None,
    site: SiteName = None,
) -> None:
    """Copy the state database and the evidence into one file. May be done at any time."""
    from reconciler.cli.state import backup

    raise typer.Exit(backup(root, site, file))


@state_app.command("restore")
def state_restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `reconciler state backup` wrote.")],
    root: Root = None,
    site: SiteName = None,
    yes: Yes = False,
) -> None:
    """Put the state of a backup in the place of the present one, which is kept beside it."""
    from reconciler.cli.state import restore

    raise typer.Exit(restore(root, site, file, yes))
