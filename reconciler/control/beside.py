"""Beside: the site that runs, the policies -> that other sites of them are run by nobody here."""

from __future__ import annotations

from pathlib import Path

from reconciler.control.begun import note_ran
from reconciler.control.site import Site
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
            f"the policies have another site: {', '.join(others)}. This goes on with {site.name}, which was run here "
            "before, and with nothing else",
            f"Say which site is run here: `reconciler run --site {site.name}`. Each other one wants a run of its own.",
            subject="policies",
        ),
    )
