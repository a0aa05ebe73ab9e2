"""The commands for auditors: their arguments and help. They ask no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import Format, Machine, Output, Root, SiteName, evidence_app

Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="Evidence that was exported, instead of the site's own."),
]
Key = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="A private SSH key that signs the anchor, with ssh-keygen.")
]


@evidence_app.command()
def verify(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    folder: Folder = None,
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", metavar="FILE", help="A SHA256SUMS that was kept elsewhere. Else: the folder's own."),
    ] = None,
    signers: Annotated[
        Path | None, typer.Option("--signers", metavar="FILE", help="OpenSSH's allowed signers: IDENTITY KEY lines.")
    ] = None,
    identity: Annotated[
        str, typer.Option("--identity", metavar="ID", help="Who is to have signed the anchor; FILE.sig is read.")
    ] = "",
) -> None:
    """Check the whole chain, and that it is as the anchor says. Exit 1 where it is not, with the place."""
    from reconciler.cli.actions.evidence import Anchor, verify

    raise typer.Exit(verify(root, site, output, folder, Anchor(anchor, signers, identity)))


@evidence_app.command()
def seal(
    root: Root = None,
    site: SiteName = None,
    key: Key = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Copy the anchor there too: keep that one elsewhere.")
    ] = None,
) -> None:
    """Close the segment and write the anchor: SHA256SUMS over all segments, signed with --key."""
    from reconciler.cli.actions.evidence import seal

    raise typer.Exit(seal(root, site, key, out))


@evidence_app.command()
def export(
    target: Annotated[Path, typer.Argument(metavar="DIR|FILE.tar", help="A new folder, or a new tar file.")],
    root: Root = None,
    site: SiteName = None,
    key: Key = None,
) -> None:
    """Write everything that an auditor needs. Seals first what is not sealed yet."""
    from reconciler.cli.actions.evidence import export

    raise typer.Exit(export(root, site, target, key))


@evidence_app.command()
def query(
    machine: Machine,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="A time, or a date for the end of that day. Else: now.")
    ] = None,
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    folder: Folder = None,
) -> None:
    """Show what protected a machine then, who approved it, and which points could have been recovered."""
    from reconciler.cli.actions.evidence import query

    raise typer.Exit(query(root, site, output, folder, machine, at))
