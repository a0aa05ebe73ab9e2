"""lock show, lock release."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.cli.confirm import confirm
from reconciler.cli.options import Format
from reconciler.cli.session import find_root
from reconciler.cli.terminal import note, out, paint_for, say
from reconciler.cli.terminal import show as show_value
from reconciler.control import lease_admin
from reconciler.control.policy_folder import read_or_last_good
from reconciler.control.site import Site
from reconciler.errors import ExitCode
from reconciler.model.audit import Confirmation
from reconciler.report import LeaseView, json_text, lease_text
from reconciler.report.action_events import ActionEvent, ActionEventName
from reconciler.state import Opening
from reconciler.wiring import SystemClock, choose_site, open_state


def show(root: Path | None, name: str | None, output: Format) -> int:
    """Shows the lease."""
    with _opened(find_root(root), name, Opening.READ) as (site, shown):
        out(json_text(shown) + "\n" if output is Format.json else lease_text(shown, site.zone, paint_for(sys.stdout)))
    return ExitCode.SUCCESS


def release(root: Path | None, name: str | None, yes: bool) -> int:
    """Names the holder, asks, takes the lease away."""
    with _opened(find_root(root), name, Opening.WRITE) as (site, shown):
        holder = shown.lease.holder if shown.lease is not None else ""
        event = ActionEvent(event=ActionEventName.LEASE_SHOWN, message="the lease", subject=holder, value=shown)
        show_value(event, lambda: lease_text(shown, site.zone, paint_for(sys.stdout)))
        if shown.lease is None and not shown.others:
            return ExitCode.SUCCESS
        how = Confirmation.UNHELD
        if shown.held or shown.others:
            note(_warning(shown))
            how = confirm("\nRelease its lease?", "RCL5007", "the lease was not released", yes=yes)
        run = lease_admin.release(site, shown, how)
    holders = sorted({lease.holder for lease in (shown.lease, *shown.others) if lease is not None})
    _say_released(run, f"Released (run {run}). {', '.join(holders)} can no longer write.")
    return ExitCode.SUCCESS


def _say_released(run: str, text: str) -> None:
    say(ActionEvent(event=ActionEventName.LEASE_RELEASED, message=text, result="released", run=run))


def _warning(shown: LeaseView) -> str:
    if shown.alive:
        return (
            "Its process is running on this host. It is not ended, but whatever it still tries to write is "
            "refused, and "
            "its run stays unfinished until `reconciler resume`. To end it cleanly, stop it with Ctrl-C or SIGTERM."
        )
    return "Make sure that it is not at work: whatever it still tries to write is refused from then on."


@contextmanager
def _opened(root: Path, name: str | None, opening: Opening) -> Iterator[tuple[Site, LeaseView]]:
    """The site's memory alone and its lease: servers and clusters need not answer."""
    document = choose_site(read_or_last_good(root, reading=True).policies, name)
    site = open_state(root, document, SystemClock(), opening=opening)
    try:
        yield site, lease_admin.look(site)
    finally:
        site.close()
