"""The commands for auditors: their arguments and help. They ask no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import Format, Machine, Output, Reports, Root, Sheets, SheetsOutput, SiteName, evidence_app

Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="Use exported evidence instead of the site's own."),
]
Key = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Sign the anchor with this private SSH key, by ssh-keygen.")
]


@evidence_app.command()
def verify(
    root: Root = None,
    site: SiteName = None,
    output: SheetsOutput = Sheets.text,
    report: Reports = None,
    folder: Folder = None,
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", metavar="FILE", help="A SHA256SUMS kept elsewhere. Default: the folder's own."),
    ] = None,
    signers: Annotated[
        Path | None,
        typer.Option("--signers", metavar="FILE", help="Allowed signers in OpenSSH's format: IDENTITY KEY lines."),
    ] = None,
    identity: Annotated[
        str,
        typer.Option("--identity", metavar="ID", help="Who must have signed the anchor; the signature is in FILE.sig."),
    ] = "",
) -> None:
    """Check the whole chain of records, and that it matches the anchor.

    Exits with 1 where it does not, and names the place.
    """
    from reconciler.cli.actions.evidence import Anchor, verify
    from reconciler.cli.report_files import Destinations

    to = Destinations(output, report)
    raise typer.Exit(to.around(lambda: verify(root, site, to, folder, Anchor(anchor, signers, identity))))


@evidence_app.command()
def seal(
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    key: Key = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Copy the anchor there as well, to be kept elsewhere.")
    ] = None,
) -> None:
    """Close the current segment and write the anchor.

    The anchor is a SHA256SUMS over all segments, signed with --key.
    """
    from reconciler.cli.actions.evidence import seal

    raise typer.Exit(seal(root, site, key, out))


@evidence_app.command()
def export(
    target: Annotated[Path, typer.Argument(metavar="DIR|FILE.tar", help="A new folder, or a new tar file.")],
    root: Root = None,
    site: SiteName = None,
    output: Output = Format.text,
    key: Key = None,
) -> None:
    """Export everything that an auditor needs. Seals what is not sealed yet."""
    from reconciler.cli.actions.evidence import export

    raise typer.Exit(export(root, site, target, key))


@evidence_app.command()
def query(
    machine: Machine,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="A time, or a date for the end of that day. Default: now."),
    ] = None,
    root: Root = None,
    site: SiteName = None,
    output: SheetsOutput = Sheets.text,
    report: Reports = None,
    folder: Folder = None,
) -> None:
    """Show what protected a virtual machine at a time, who approved it, and which points could have been recovered."""
    from reconciler.cli.actions.evidence import query
    from reconciler.cli.report_files import Destinations

    to = Destinations(output, report)
    raise typer.Exit(to.around(lambda: query(root, site, to, folder, machine, at)))
