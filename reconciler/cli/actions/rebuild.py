"""store rebuild."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from reconciler.cli.session import find_root, session
from reconciler.cli.terminal import paint_for, show
from reconciler.control.lease import holding
from reconciler.control.observe import observe
from reconciler.control.state.missing_points import with_missing
from reconciler.control.state.rebuild_store import begin_above, is_left, rebuild
from reconciler.control.virtual_machines import find_machine
from reconciler.errors import ExitCode
from reconciler.report import store_rebuild_text
from reconciler.report.action_events import ActionEvent, ActionEventName
from reconciler.state import Opening, missing_state
from reconciler.wiring import state_path

_PATIENCE = timedelta(seconds=30)


def store_rebuild(root: Path | None, name: str | None, server: str, machine: str | None, *, sound_too: bool) -> int:
    """Makes anew what is damaged or gone, and says what was taken over."""
    found = find_root(root)
    with session(found, name, None, opening=Opening.READ, adopting=True) as site:
        if not is_left(site, server):
            raise missing_state(state_path(site.folder, site.document))
    with session(found, name, None, opening=Opening.CREATE, adopting=True) as site:
        source = find_machine(observe(site), machine) if machine is not None else None
        begin_above(site)
        with holding(site, _PATIENCE) as held:
            done = with_missing(site, rebuild(site, server, source, held, sound_too=sound_too))
    event = ActionEvent(
        event=ActionEventName.STORE_REBUILT, message=f"the store of {server} was rebuilt", subject=server, value=done
    )
    show(event, lambda: store_rebuild_text(done, paint_for(sys.stdout)))
    return ExitCode.FAILURE if done.findings else ExitCode.SUCCESS
