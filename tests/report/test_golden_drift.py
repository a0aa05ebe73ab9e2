"""Golden text of drift. `pytest tests/report --snapshot-update` writes it anew; look at it then."""

from __future__ import annotations

from datetime import UTC, timedelta

import msgspec
from syrupy.assertion import SnapshotAssertion

from reconciler.errors import Diagnostic, Severity
from reconciler.model import DataSource
from reconciler.model.drift import Drift, DriftClass, DriftItem, InFlight
from reconciler.report import coloured, drift_text, plain
from reconciler.report.escape import json_text
from tests.drifting import NORMALISATION, Play, labels, on_volume, only, put, vm
from tests.worlds import NOW


def _everything() -> Drift:
    """Each class, with every kind of thing that it has."""
    play = Play(only("silver", put("shortTerm.retention", timedelta(days=21))))
    assert play.labels() == labels(NORMALISATION, "silver", "shortTerm.retention")
    play.write("gold", display_name="The \x1b[31mgold ones")
    play.behind("gold", put("shortTerm.expressFull", None))
    play.behind("gold", on_volume("vol-b"))
    play.write("silver", server="mabs-02")
    play.machines["born"] = vm(50, "born", "gold")
    del play.machines["g1"]
    play.machine("g2", node="n2", labels={"tier": "gold", "app": "sql"})
    items = play.items()
    first = items[0]
    assert first.klass is DriftClass.EXTERNAL
    left, seen = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    first = msgspec.structs.replace(first, after=left, first_seen=seen, first_live={"times": ["21:00"]})
    return Drift(
        site="hq",
        at=NOW + timedelta(hours=3),
        classes=tuple(DriftClass),
        items=(first, *items[1:]),
        in_flight=(
            InFlight("mabs-01", "iron", "20260310T150000Z-abcdef", "vault pid 812 started 95581", NOW),
            InFlight("mabs-01", "lead", "20260310T150000Z-abcdef", "", NOW),
            InFlight("mabs-01", "zinc"),
        ),
        names={str(DataSource("hci-01", each.id)): each.name for each in play.machines.values()},
        findings=(Diagnostic("RCL2001", Severity.ERROR, "nobody answers", "Check the server.", subject="mabs-03"),),
    )


def test_drift(snapshot: SnapshotAssertion) -> None:
    everything = _everything()
    assert drift_text(everything, UTC, plain) == snapshot
    assert msgspec.json.decode(json_text(everything)) == snapshot


def test_no_drift() -> None:
    nothing = Drift("hq", NOW, tuple(DriftClass), ())
    said = "Drift of site hq at 2026-03-10 12:00\n\nNo drift: 0 external, 0 pending, 0 normalisation, 0 churn.\n"
    assert drift_text(nothing, UTC, plain) == said
    assert "\x1b[1m" in drift_text(nothing, UTC, coloured)


def test_the_whole_of_a_group_is_named_so() -> None:
    item = DriftItem(DriftClass.EXTERNAL, "mabs-01", "gold", "", "Gold", "Gold", None, after=NOW)
    said = drift_text(Drift("hq", NOW, (DriftClass.EXTERNAL,), (item,)), UTC, plain)
    assert "gold on mabs-01: the whole group\n      desired Gold, last applied Gold, live none\n" in said
