"""What an engine cannot hold, as it says itself once it is opened."""

from __future__ import annotations

import msgspec

from reconciler.model import EMBEDDED, Lack, Pause
from reconciler.plan import DesiredGroup, DesiredState
from reconciler.plan.checks.engine_limits import fit
from tests.fakes import NOON, group
from tests.plan.pruned import SERVER, SOURCES
from tests.worlds import Nowhere


def test_a_pause_on_an_engine_that_has_none_is_an_error_and_never_silent() -> None:
    unable = msgspec.structs.replace(EMBEDDED, lacks=(*EMBEDDED.lacks, Lack("paused", "it has none")))
    assert (EMBEDDED.pauses, unable.pauses) == (True, False)
    resting = group("gold", SOURCES[0], paused=Pause("r", "o", NOON.date(), NOON))
    desired = DesiredState((DesiredGroup(SERVER, resting, Nowhere("g.yaml")),))
    assert fit(desired, {SERVER: EMBEDDED}) == ()
    assert [(each.code, each.severity) for each in fit(desired, {SERVER: unable})] == [("RCL1114", "error")]
    awake = msgspec.structs.replace(resting, paused=None)
    assert fit(DesiredState((DesiredGroup(SERVER, awake, Nowhere("g.yaml")),)), {SERVER: unable}) == ()
