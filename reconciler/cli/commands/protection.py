"""Commands about the protection of single groups and virtual machines: their arguments and help."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.completion import names
from reconciler.cli.options import Format, Now, Output, Root, SiteName, app
from reconciler.model import ExistingPoints

Group = Annotated[
    str, typer.Argument(metavar="GROUP", autocompletion=names.groups, help="A protection group, by name.")
]


@app.command()
def backup(
    wanted: Annotated[
        list[str],
        typer.Argument(
            metavar="VM|GROUP",
            autocompletion=names.machines_and_groups,
            help="Virtual machines or protection groups: names or ids.",
        ),
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

    raise typer.Exit(backup(root, site, now, wanted, reason=reason, wait=not no_wait))


@app.command()
def pause(
    group: Group,
    until: Annotated[
        str, typer.Option("--until", metavar="DATE", help="The last day of the pause: 2026-12-04, or 3d from today.")
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for approvers and auditors.")],
    owner: Annotated[
        str, typer.Option("--owner", metavar="WHO", help="Who answers for it. Default: Git's user.email.")
    ] = "",
    root: Root = None,
    output: Output = Format.text,
) -> None:
    """Write a pause into a group's document: no backups of it and no expiry, until a day.

    Only the policy file is changed, for you to commit. Backups are paused once that is approved and applied.
    """
    from reconciler.cli.actions.pause import pause

    raise typer.Exit(pause(root, group, until, reason, owner))


@app.command()
def unpause(group: Group, root: Root = None, output: Output = Format.text) -> None:
    """Take the pause out of a group's document, so that its backups go on.

    Only the policy file is changed, for you to commit and apply.
    """
    from reconciler.cli.actions.pause import unpause

    raise typer.Exit(unpause(root, group))


@app.command()
def stop(
    group: Group,
    existing: Annotated[
        ExistingPoints | None,
        typer.Option("--existing-points", help="What becomes of its recovery points. Default: as the policy says."),
    ] = None,
    root: Root = None,
    output: Output = Format.text,
) -> None:
    """Remove a group's document from the policies, which stops its protection once applied.

    Only the policy file is changed, for you to commit. What must be in force before is written first, as a step of its
    own: deletionProtection: false, another existingPoints.
    """
    from reconciler.cli.actions.pause import stop

    raise typer.Exit(stop(root, group, existing))
