"""Beside: the site that runs, the policies -> that other sites of them are run by nobody here."""

from __future__ import annotations

from pathlib import Path

from reconciler.control.site import Site
from reconciler.control.state.root_note import note_ran, ran_here
from reconciler.errors import Diagnostic, Severity
from reconciler.model.documents import PolicySet


def beside(site: Site, root: Path, policies: PolicySet) -> tuple[Diagnostic, ...]:
    """Remembers that this site is the one that is run here without its name, and says where others are beside it:
    nobody runs those."""
    if not site.unnamed:
        return ()
    note_ran(root, site.name)
    mine = {site.name, (site.written or site.document).metadata.name}
    others = sorted({each.document.metadata.name for each in policies.sites} - mine)
    if not others:
        return ()
    return (
        Diagnostic(
            "RCL0002",
            Severity.WARNING,
            f"the policies have another site: {', '.join(others)}. This continues with {site.name}, which was run here "
            "before, and with nothing else",
            f"Say which site is run here: `reconciler run --site {site.name}`. Each other one wants a run of its own.",
            subject="policies",
        ),
    )


def runs_this(root: Path, policies: PolicySet, site: str) -> None:
    """Who begins anew with another site says by that which one `run` takes here from now on."""
    if ran_here(root) not in {"", *(each.document.metadata.name for each in policies.sites)}:
        note_ran(root, site)
