"""drift."""

from __future__ import annotations

import sys
from pathlib import Path

from reconciler.cli.options import Format
from reconciler.cli.session import find_root, session
from reconciler.cli.terminal import out, paint_for, tell
from reconciler.control.approving.site_guard import ANOTHER_SITE
from reconciler.control.drift.detect import drift_now, settle_what_was_cut_off
from reconciler.control.observe import observe
from reconciler.control.planning.propose import state_lost
from reconciler.control.policy_folder import read_or_last_good
from reconciler.errors import ExitCode, UsageError, worst
from reconciler.model.drift import DriftClass
from reconciler.report import drift_text, json_text
from reconciler.state import Opening


def drift(root: Path | None, name: str | None, output: Format, classes: str | None, now: str | None) -> int:
    """Shows what does not agree; 3 where a server was changed by somebody else."""
    wanted = _classes(classes)
    place = find_root(root)
    policies = read_or_last_good(place, reading=True)
    with session(place, name, now, policies, Opening.NOTE) as site:
        settle_what_was_cut_off(site)
        observation = observe(site)
        found = drift_now(site, policies.policies, observation, wanted)
        if output is Format.json:
            out(json_text(found) + "\n")
        else:
            out(drift_text(found, site.zone, paint_for(sys.stdout)))
    tell(() if policies.current else policies.diagnostics, policies.seen)
    codes = [error.exit_code for error in observation.troubles]
    codes += [ExitCode.PRECONDITION_FAILED] if state_lost(observation) is not None else []
    codes += [ExitCode.PRECONDITION_FAILED for each in found.findings if each.code == ANOTHER_SITE]
    codes += [] if policies.current else [ExitCode.INVALID_POLICY]
    return worst([*codes, *([ExitCode.EXTERNAL_DRIFT] if found.external else [])])


def _classes(text: str | None) -> tuple[DriftClass, ...]:
    if text is None:
        return tuple(DriftClass)
    chosen = [each.strip() for each in text.split(",")]
    unknown = [each for each in chosen if each not in list(DriftClass)]
    if unknown:
        what = f"--class: {unknown[0]!r} is not a class of drift"
        raise UsageError("RCL0003", what, f"The classes are {', '.join(DriftClass)}.")
    return tuple(DriftClass(each) for each in chosen)
