"""The command for drift: its arguments and help."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.options import Format, Now, Output, Root, SiteName, app


@app.command()
def drift(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    classes: Annotated[
        str | None,
        typer.Option("--class", metavar="CLASS[,CLASS]", help="Only these: external, pending, normalisation, churn."),
    ] = None,
    now: Now = None,
) -> None:
    """Show where policies, servers and virtual machines differ, and which is ahead. Changes no server.

    Exits with 3 for external drift: a server was changed outside reconciler. With --class, only if that is asked for.
    """
    from reconciler.cli.actions.drift import drift

    raise typer.Exit(drift(root, site, output, classes, now))
