"""Commands about the protection of single groups and virtual machines: their arguments and help."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.options import Format, Now, Output, Root, SiteName, app


@app.command()
def backup(
    names: Annotated[
        list[str], typer.Argument(metavar="VM|GROUP", help="Virtual machines or protection groups: names or ids.")
    ],
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the evidence.")] = "",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Leave it to the loop, and do not wait for it.")] = False,
    now: Now = None,
) -> None:
    """Make a recovery point now, of virtual machines or of all members of a group.

    It is made as the group's policy says, and kept as long as the group's other points. A loop that lives does it.
    """
    from reconciler.cli.actions.backup import backup

    raise typer.Exit(backup(root, site, now, names, output, reason=reason, wait=not no_wait))
