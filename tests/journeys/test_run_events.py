"""What `run` says, when: each event once, when it begins, happens or is over; as lines of text and of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.lease import holding
from reconciler.control.loop import loop
from reconciler.control.loop.narrator import Narrator
from reconciler.control.loop.summary import Summary
from reconciler.control.policy_folder import read_good
from reconciler.control.site import Site
from reconciler.model import UpdateGroup
from reconciler.model.run_events import Event, EventLevel
from reconciler.wiring import choose_site, open_site
from tests.drifting import put
from tests.fakes import SetClock
from tests.shop import Shop

T1 = ("--now", "2026-03-10T12:00Z")


class Heard:
    """The site, open, with a loop that works when it is told to; what its narrator told since it was asked last."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.clock = SetClock()
        self.site: Site = open_site(shop.root, choose_site(read_good(shop.root).policies, None), self.clock)
        self.events: list[Event] = []
        self._worker = loop._Worker(self.site, shop.root, Narrator(self.events.append, self.clock.now), Summary())

    def work(self, later: timedelta = timedelta()) -> list[Event]:
        """Ticks until nothing is left to do, `later` than before; what was told, but for whoever looks for a fault."""
        self.clock.forward(later)
        self.events.clear()
        self._worker.work()
        return [each for each in self.events if each.level is not EventLevel.DEBUG]

    def names(self) -> list[str]:
        return [str(each.event) for each in self.work()]

    def behind(self, path: str, value: Any) -> None:
        """Somebody else changes the group on the server."""
        with holding(self.site) as held:
            engine = self.site.engines["mabs-01"]
            (seen,) = engine.observe().groups
            engine.apply(UpdateGroup("mabs-01", seen.ref, seen.group, put(path, value)(seen.group)), held.fence)


@pytest.fixture
def heard(shop: Shop) -> Iterator[Heard]:
    assert shop("run", "--until-idle", *T1).code == 0
    heard = Heard(shop)
    assert heard.names() == []
    yield heard
    heard.site.close()


def test_changes_and_jobs_are_said_as_they_happen(shop: Shop) -> None:
    heard = Heard(shop)
    said = heard.work()
    heard.site.close()
    told = [str(each.event) for each in said]
    assert told[0] == "change.applied"
    assert (told.count("job.started"), told.count("job.succeeded")) == (2, 2)
    assert (said[0].group, said[0].server, bool(said[0].run)) == ("gold", "mabs-01", True)
    done = next(each for each in said if each.event == "job.succeeded")
    assert (done.virtual_machine in ("one", "two"), done.attempt, done.time) == (True, 1, heard.clock.now())


def test_policies_that_are_wrong_and_right_again(heard: Heard) -> None:
    broken = heard.shop.root / "policies" / "broken.yaml"
    broken.write_text("kind: [", encoding="utf-8")
    wrong, finding = heard.work()
    assert (wrong.event, wrong.level) == ("policies.wrong", "error")
    assert (finding.event, finding.code, finding.location is not None) == ("finding.raised", "RCL1005", True)
    assert heard.names() == []  # said once
    broken.unlink()
    assert heard.names() == ["policies.right"]


def test_policies_that_contradict_each_other_are_wrong_too(heard: Heard) -> None:
    more = heard.shop.root / "policies" / "more.yaml"
    text = (heard.shop.root / "policies" / "site.yaml").read_text(encoding="utf-8").partition("---")[2]
    more.write_text(text.replace("name: gold", "name: silver"), encoding="utf-8")
    assert heard.names()[0] == "policies.wrong"
    folder = heard.shop.cluster.folder
    folder.rename(folder.with_name("elsewhere"))
    assert "policies.right" not in heard.names()  # no plan was made, so nobody knows
    folder.with_name("elsewhere").rename(folder)
    more.unlink()
    assert heard.names() == ["policies.right", "cluster.reachable"]


def test_what_waits_for_an_approval_is_said_once_with_its_values(heard: Heard) -> None:
    heard.shop.policy("retention: 5d", "retention: 3d")
    (waits,) = [each for each in heard.work() if each.event == "waiting.started"]
    (change,) = waits.changes
    assert (waits.group, change.path, str(change.before), str(change.after)) == (
        "gold",
        "shortTerm.retention",
        "5d",
        "3d",
    )
    assert "shortTerm.retention 5d -> 3d" in waits.message
    assert "reconciler apply" in waits.help
    assert heard.names() == []
    heard.shop.policy("retention: 3d", "retention: 5d")
    assert heard.names() == ["waiting.ended"]


def test_what_waits_for_its_window_says_until_when(shop: Shop) -> None:
    shop.policy("prune: false", "prune: false\n  changeWindows: [{allow: {days: [Sa], from: '20:00', to: '23:00'}}]")
    heard = Heard(shop)
    (waits,) = heard.work()
    assert (waits.event, waits.level, waits.until) == (
        "waiting.started",
        "info",
        datetime.fromisoformat("2026-03-14T20:00Z"),
    )
    assert heard.names() == []
    assert heard.work(timedelta(days=4, hours=8, minutes=1))[0].event == "change.applied"
    heard.site.close()


def test_drift_that_is_corrected_names_group_field_and_values(heard: Heard) -> None:
    heard.behind("shortTerm.retention", timedelta(days=3))
    (corrected,) = heard.work()
    (change,) = corrected.changes
    assert (corrected.event, corrected.group, corrected.server) == ("drift.corrected", "gold", "mabs-01")
    assert (change.path, str(change.before), str(change.after)) == ("shortTerm.retention", "3d", "5d")
    assert heard.names() == []


def test_drift_whose_correction_weakens_waits_and_is_said_until_it_is_over(heard: Heard) -> None:
    heard.behind("shortTerm.retention", timedelta(days=9))
    assert sorted(heard.names()) == ["drift.found", "waiting.started"]
    assert heard.names() == []
    heard.behind("shortTerm.retention", timedelta(days=5))
    assert sorted(heard.names()) == ["drift.ended", "waiting.ended"]


def test_a_cluster_that_goes_and_comes_back(heard: Heard) -> None:
    folder = heard.shop.cluster.folder
    folder.rename(folder.with_name("elsewhere"))
    (gone,) = heard.work()
    assert (gone.event, gone.cluster, gone.code) == ("cluster.unreachable", "hci-01", "RCL2001")
    assert heard.names() == []
    folder.with_name("elsewhere").rename(folder)
    (back,) = heard.work()
    assert (back.event, back.cluster) == ("cluster.reachable", "hci-01")


def test_a_store_that_goes_and_comes_back(heard: Heard) -> None:
    store = heard.shop.root / "var" / "mabs-01"
    store.rename(store.with_name("elsewhere"))
    gone = heard.work()
    assert (gone[0].event, gone[0].server, gone[0].code) == ("server.unreachable", "mabs-01", "RCL4021")
    assert heard.names() == []
    store.with_name("elsewhere").rename(store)
    assert heard.names()[0] == "server.reachable"


def test_a_job_that_fails_says_why_and_when_it_is_tried_again(heard: Heard) -> None:
    disk = heard.shop.cluster.disk(1)
    disk.rename(disk.with_name("away"))
    failed = next(each for each in heard.work(timedelta(hours=2)) if each.event == "job.failed")
    assert (failed.virtual_machine, failed.level, failed.code[:3]) == ("one", "error", "RCL")
    assert failed.help


def test_a_clock_that_jumps_pauses_pruning(heard: Heard) -> None:
    said = heard.work(timedelta(days=3))
    assert "pruning.paused" in [each.event for each in said]
    assert "pruning.paused" not in heard.names()
    heard.events.clear()
    heard._worker.work(confirm_clock=True)
    assert "pruning.resumed" in [each.event for each in heard.events]


def test_lines_of_json_for_collectors(shop: Shop) -> None:
    said = shop("run", "--until-idle", "--log-format", "json", *T1)
    assert (said.code, said.err) == (0, "")
    told = [json.loads(line) for line in said.out.splitlines()]
    assert [told[0]["event"], told[-1]["event"]] == ["run.started", "run.stopped"]
    for each in told:
        assert list(each)[:4] == ["time", "level", "event", "message"]
        assert (each["time"], each["site"]) == ("2026-03-10T12:00:00Z", "hq")
    started = next(each for each in told if each["event"] == "job.started")
    assert (started["jobKind"], started["source"]["cluster"]) == ("initialReplica", "hci-01")


def test_lines_of_text_have_a_time_too(shop: Shop) -> None:
    said = shop("run", "--once", "--log-format", "text", *T1)
    assert all(line.startswith("2026-03-10T12:00:00Z ") for line in said.out.splitlines())
    assert "job.succeeded" in said.out


def test_a_name_from_a_stranger_does_nothing_to_a_terminal(shop: Shop, tmp_path: Path) -> None:
    shop.cluster.add(1, "o\x1b[31mne\n2026-01-01T00:00:00Z error")
    shop.policy("names: [one, two]", 'names: ["*"]')
    for form in ("text", "json"):
        said = shop("run", "--once", "--log-format", form, *T1)
        assert "\x1b" not in said.out
        assert all(line.startswith(("2026-03-10T12", '{"time"')) for line in said.out.splitlines())


# --- What `status` shows of the same ---------------------------------------------------------------------------


def shown(heard: Heard) -> dict[str, Any]:
    said = heard.shop("status", "-o", "json", "--now", f"{heard.clock.now():%Y-%m-%dT%H:%MZ}")
    told: dict[str, Any] = json.loads(said.out)
    return told


def text(heard: Heard) -> list[str]:
    said = heard.shop("status", "--now", f"{heard.clock.now():%Y-%m-%dT%H:%MZ}")
    return said.out.splitlines()


def test_status_says_that_all_is_well(heard: Heard) -> None:
    told = shown(heard)
    assert (told["drift"], told["waiting"], told["pruningPaused"], told["lastFailure"]) == ([], [], None, None)
    lines = text(heard)
    for line in ("Drift: none", "Waiting: none", "Pruning: not paused", "Last failure: none"):
        assert line in lines


def test_status_agrees_with_what_run_says_of_drift_and_what_waits(heard: Heard) -> None:
    heard.behind("shortTerm.retention", timedelta(days=9))
    said = heard.work()
    told = shown(heard)
    (waits,) = told["waiting"]
    (begun,) = [each for each in said if each.event == "waiting.started"]
    assert begun.message == f"{waits['because']}."
    assert (waits["kind"], waits["group"], waits["changes"][0]["after"]) == ("approval", "gold", "5d")
    (found,) = told["drift"]
    assert (found["group"], found["path"], found["live"]) == ("gold", "shortTerm.retention", "9d")
    lines = text(heard)
    assert "Drift: gold on mabs-01: shortTerm.retention is 9d, and 5d was applied" in lines
    assert f"Waiting: {waits['because']}" in lines


def test_status_says_that_pruning_is_paused(heard: Heard) -> None:
    heard.work(timedelta(days=3))
    assert shown(heard)["pruningPaused"]["code"] == "RCL6010"
    assert any(line.startswith("Pruning: paused, the clock went forward") for line in text(heard))


def test_status_names_the_last_failure_and_whether_it_went_well_since(heard: Heard) -> None:
    disk = heard.shop.cluster.disk(1)
    disk.rename(disk.with_name("away"))
    failed = next(each for each in heard.work(timedelta(hours=2)) if each.event == "job.failed")
    last = shown(heard)["lastFailure"]
    assert (last["code"], last["mended"], last["at"]) == (failed.code, False, "2026-03-10T14:00:00Z")
    assert "of one on mabs-01" in last["what"]
    disk.with_name("away").rename(disk)
    heard.work(timedelta(hours=2))
    assert shown(heard)["lastFailure"]["mended"] is True
    assert any("(it succeeded since)" in line for line in text(heard))


def test_status_does_not_guess_where_no_plan_can_be_made(heard: Heard) -> None:
    folder = heard.shop.cluster.folder
    folder.rename(folder.with_name("elsewhere"))
    told = shown(heard)
    assert (told["drift"], told["waiting"]) == (None, None)
    assert "Waiting: unknown, since no plan can be made now" in text(heard)


def test_a_heartbeat_is_for_who_asks_for_more(shop: Shop) -> None:
    words = ("run", "--once", "--log-format", "json", *T1)
    assert "run.ticked" not in shop(*words).out
    assert "run.ticked" in shop(*words, "--verbose").out
