"""Applying against a server that misbehaves: what was done is known, what was not is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from reconciler.control.applying.apply import Authority, apply, begin
from reconciler.control.applying.ledger_update import refresh_ledger
from reconciler.control.applying.settle_interrupted import settle
from reconciler.control.approving.budget_gate import spent_today
from reconciler.control.error_boundary import Bounds
from reconciler.control.jobs.dispatch import jobs_due, poll, run_jobs, start
from reconciler.control.lease import HeldLease, holding
from reconciler.control.loop.tick import tick
from reconciler.control.observe import observe_whole
from reconciler.control.planning.propose import check_state, propose
from reconciler.control.policy_folder import Policies, read_good, read_or_last_good
from reconciler.control.site import Site
from reconciler.engines.memory import MemoryServer, open_engine
from reconciler.errors import Interrupted, PolicyError, Refused, StaleFence
from reconciler.model import CreateGroup, JobState, Outcome, OutcomeState, ProtectionGroup
from reconciler.model.audit import Confirmation
from reconciler.protocols import Fence
from reconciler.state import open_memory
from reconciler.wiring import choose_site
from tests.fakes import DiskCluster, SetClock, first_use, setup_for
from tests.kill.test_kill import write_policies


class Desk:
    """A site over a server in memory, with the lease held."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = SetClock()
        self.cluster = DiskCluster(root / "cluster")
        self.cluster.add(1, "one")
        self.cluster.add(2, "two")
        self.server = MemoryServer()
        write_policies(root, "one, two", "5d")
        self.site = self.open()

    def open(self) -> Site:
        engine = open_engine(setup_for(self.root / "store", self.cluster, self.clock), self.server)
        return Site(
            document=choose_site(self.policies().policies, None),
            folder=self.root,
            zone=ZoneInfo("UTC"),
            inventories={"hci-01": self.cluster.inventory(self.clock)},
            engines={"mabs-01": engine},
            memory=open_memory(self.root / "var" / "hq.db"),
            clock=self.clock,
            holder="here pid 0 started 0",
        )

    def policies(self) -> Policies:
        return read_good(self.root)

    def plan(self) -> int:
        return len(propose(self.site, self.policies().policies, observe_whole(self.site)).plan.steps)

    def apply(self, held: HeldLease) -> list[OutcomeState]:
        proposal = propose(self.site, self.policies().policies, observe_whole(self.site))
        return [each.state for each in apply(self.site, proposal.plan, held, Authority("apply")).outcomes]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.site.close()


def test_a_step_that_fails_is_left_and_tried_again(desk: Desk) -> None:
    desk.server.behaviour.fail_applies = 1
    with holding(desk.site) as held:
        assert desk.apply(held) == [OutcomeState.FAILED]
        assert desk.site.memory.journal.runs()[0].ended_as == "partial"
        assert desk.apply(held) == [OutcomeState.DONE]
    assert desk.plan() == 0


@pytest.mark.parametrize(("before", "state"), [(False, OutcomeState.ALREADY), (True, OutcomeState.UNKNOWN)])
def test_an_answer_that_was_lost_is_looked_up(desk: Desk, before: bool, state: OutcomeState) -> None:
    desk.server.behaviour.lose_answers = 1
    desk.server.behaviour.lose_before = before
    with holding(desk.site) as held:
        assert desk.apply(held) == [state]
        assert desk.plan() == (0 if state is OutcomeState.ALREADY else 1)
        desk.apply(held)
    assert desk.plan() == 0


def test_what_a_server_makes_of_a_value_is_told_at_once_and_not_planned_for_ever(desk: Desk) -> None:
    def weeks(given: ProtectionGroup) -> ProtectionGroup:
        term = msgspec.structs.replace(given.short_term, retention=timedelta(weeks=1))
        return msgspec.structs.replace(given, short_term=term)

    desk.server.behaviour.rounds = weeks
    with holding(desk.site) as held:
        proposal = propose(desk.site, desk.policies().policies, observe_whole(desk.site))
        applied = apply(desk.site, proposal.plan, held, Authority("apply"))
    (outcome,) = applied.unheld
    assert outcome.code == "RCL3048"
    assert "shortTerm.retention was applied as 5d, and is shown as 7d" in outcome.reason
    (entry,) = desk.site.memory.ledger.entries()
    assert entry.observed is not None
    assert entry.observed.short_term.retention == timedelta(weeks=1)
    again = propose(desk.site, desk.policies().policies, observe_whole(desk.site)).plan
    assert again.steps == ()
    assert "RCL3080" in {finding.code for finding in again.findings}


def test_a_stale_object_keeps_the_whole_plan_from_being_begun(desk: Desk) -> None:
    path = desk.root / "policies" / "site.yaml"
    _, _, group = path.read_text().partition("---\n")
    other = group.replace("name: gold", "name: silver").replace("[one, two]", "[two]")
    path.write_text(path.read_text().replace("[one, two]", "[one]") + "---\n" + other)
    with holding(desk.site) as held:
        plan = propose(desk.site, desk.policies().policies, observe_whole(desk.site)).plan
        taken = plan.steps[1].action
        assert isinstance(taken, CreateGroup)
        mine = msgspec.structs.replace(taken.group, display_name="Made by hand")
        first_use(desk.site.engines["mabs-01"], desk.site.memory.lineage())
        desk.site.engines["mabs-01"].apply(CreateGroup("mabs-01", mine), held.fence)
        with pytest.raises(Refused) as refused:
            apply(desk.site, plan, held, Authority("apply"))
    assert (refused.value.exit_code, refused.value.diagnostic.code) == (6, "RCL3010")
    assert "displayName is Made by hand, the plan would make it silver" in refused.value.diagnostic.message
    assert [each.group.name for each in desk.site.engines["mabs-01"].observe().groups] == ["silver"]
    assert desk.site.memory.journal.runs() == ()


def test_a_run_is_on_record_from_its_commit_to_what_the_server_showed(desk: Desk) -> None:
    with holding(desk.site) as held:
        plan = propose(desk.site, desk.policies().policies, observe_whole(desk.site)).plan
        apply(desk.site, plan, held, Authority("apply", Confirmation.OPTION, commit="c0ffee"))
    run, first, step, ended = desk.site.memory.evidence.records()
    assert [each.kind for each in (run, first, step, ended)] == ["run", "state", "step", "runEnded"]
    assert first.body["what"] == "firstUse"
    assert (run.body["commit"], run.body["consent"], run.body["planHash"]) == ("c0ffee", "--yes", plan.plan_hash)
    assert step.body["shownHash"] == plan.steps[0].desired_hash
    assert ended.body["done"] == 1


def test_what_a_server_cannot_show_is_compared_with_what_was_applied(desk: Desk) -> None:
    desk.server.behaviour.unreadable = frozenset({"existingPoints"})
    path = desk.root / "policies" / "site.yaml"
    path.write_text(path.read_text() + "  existingPoints: keepForever\n")
    with holding(desk.site) as held:
        desk.apply(held)
    assert desk.plan() == 0
    path.write_text(path.read_text().replace("keepForever", "retain"))
    proposal = propose(desk.site, desk.policies().policies, observe_whole(desk.site))
    (field,) = proposal.plan.steps[0].change.fields
    assert (field.before, field.after, field.assumed) == ("keepForever", "retain", True)


@pytest.mark.parametrize("applied", [True, False])
def test_a_run_that_died_is_settled_by_what_the_server_shows(desk: Desk, applied: bool) -> None:
    with holding(desk.site) as held:
        proposal = propose(desk.site, desk.policies().policies, observe_whole(desk.site))
        run = begin(desk.site, proposal.plan, held, Authority("apply"))
        (step,) = proposal.plan.steps
        desk.site.memory.journal.started(run, step.id, desk.clock.now())
        if applied:
            first_use(desk.site.engines["mabs-01"], desk.site.memory.lineage())
            desk.site.engines["mabs-01"].apply(step.action, held.fence)
        assert settle(desk.site) == (run,)
        assert [entry.group for entry in desk.site.memory.ledger.entries()] == (["gold"] if applied else [])
        assert desk.plan() == (0 if applied else 1)
        assert settle(desk.site) == ()


def test_a_lease_that_was_lost_stops_everything(desk: Desk) -> None:
    with holding(desk.site) as held:
        first_use(desk.site.engines["mabs-01"], desk.site.memory.lineage())
        desk.site.engines["mabs-01"].apply(  # somebody else has worked on the server since
            propose(desk.site, desk.policies().policies, observe_whole(desk.site)).plan.steps[0].action, Fence(99)
        )
        desk.server.groups.clear()
        with pytest.raises(StaleFence):
            desk.apply(held)
    assert desk.site.memory.journal.runs()[0].ended_as == "RCL5004"


def test_somebody_who_asks_to_stop_is_heard_between_two_steps(desk: Desk) -> None:
    with holding(desk.site) as held:
        desk.site.stop.ask()
        with pytest.raises(Interrupted) as interrupted:
            desk.apply(held)
    assert interrupted.value.exit_code == 130
    assert interrupted.value.diagnostic.subject == desk.site.memory.journal.runs()[0].id


def test_an_empty_state_is_not_believed_over_a_full_server(desk: Desk) -> None:
    with holding(desk.site) as held:
        desk.apply(held)
    desk.site.memory.ledger.forget("mabs-01", "gold")
    with pytest.raises(Refused) as refused:
        check_state(observe_whole(desk.site))
    assert (refused.value.diagnostic.code, refused.value.exit_code) == ("RCL3012", 6)


def test_the_ledger_learns_new_names_and_labels(desk: Desk) -> None:
    with holding(desk.site) as held:
        desk.apply(held)
    desk.cluster.add(1, "one", notes="tier: gold")
    proposal = propose(desk.site, desk.policies().policies, observe_whole(desk.site))
    refresh_ledger(desk.site, proposal)
    (entry,) = desk.site.memory.ledger.entries()
    assert [member.labels for member in entry.members] == [{"tier": "gold"}, {}]


def test_a_job_is_recorded_before_it_is_started(desk: Desk) -> None:
    with holding(desk.site) as held:
        desk.apply(held)
        (first, second) = jobs_due(desk.site, observe_whole(desk.site), Bounds(desk.site.folder), prune=True)
        start(desk.site, first, held, "")
        desk.site.engines["mabs-01"].close()  # the process dies
        desk.site = desk.open()
        assert [record.status.state for record in poll(desk.site)] == [JobState.INTERRUPTED]
        again = jobs_due(desk.site, observe_whole(desk.site), Bounds(desk.site.folder), prune=True)
        assert set(again) == {first, second}
        ended = run_jobs(desk.site, again, held, "")
    assert [record.status.state for record in ended] == [JobState.SUCCEEDED] * 2
    assert {record.attempt for record in ended} == {1, 2}


def test_a_tick_after_a_tick_does_nothing(desk: Desk) -> None:
    with holding(desk.site) as held:
        done = tick(desk.site, desk.policies(), held)
        run_jobs(desk.site, done.jobs, held, "")
        again = tick(desk.site, desk.policies(), held)
    assert (again.applied, again.jobs, again.waits_for_consent) == (None, (), False)


def test_the_last_good_policies_are_kept_and_used_for_jobs_alone(desk: Desk) -> None:
    good = read_or_last_good(desk.root)
    assert good.current
    (desk.root / "policies" / "broken.yaml").write_text("kind: [")
    kept = read_or_last_good(desk.root)
    assert not kept.current
    assert [each.document for each in kept.policies.groups] == [each.document for each in good.policies.groups]
    with holding(desk.site) as held:
        assert tick(desk.site, kept, held).applied is None
    for path in (desk.root / ".reconciler").glob("last-good*"):
        path.rename(path.with_name("lost"))
        break
    (desk.root / ".reconciler" / "last-good").unlink(missing_ok=True)
    with pytest.raises(PolicyError):
        read_or_last_good(desk.root)


SILVER = """---
apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: silver}
spec:
  site: hq
  server: mabs-01
  members: [{virtualMachines: {cluster: hci-01, names: [NAMES]}}]
  shortTerm: {retention: 5d, synchronization: 1h}
"""


def two_groups(desk: Desk, gold: str, silver: str) -> None:
    write_policies(desk.root, gold, "5d")
    path = desk.root / "policies" / "site.yaml"
    path.write_text(path.read_text(encoding="utf-8") + SILVER.replace("NAMES", silver), encoding="utf-8")


def test_a_step_that_waits_for_a_yes_is_not_done_and_none_that_builds_on_it(desk: Desk) -> None:
    """A machine moves from one group to the other: it joins the second when the first has let it go."""
    desk.cluster.add(3, "three")
    desk.cluster.add(4, "four")
    two_groups(desk, "one, two", "three")
    with holding(desk.site) as held:
        assert desk.apply(held) == [OutcomeState.DONE, OutcomeState.DONE]
        two_groups(desk, "one", "three, two")
        plan = propose(desk.site, desk.policies().policies, observe_whole(desk.site)).plan
        releases, gains = plan.steps
        assert (releases.change.group, gains.change.group) == ("gold", "silver")
        asked = Authority("apply", withheld=frozenset({releases.id}))
        kept = apply(desk.site, plan, held, asked)
        assert kept.outcomes == ()
        assert [each.because for each in kept.waiting] == [
            "it waits for an approval",
            f"step {releases.id} comes first, and was not done",
        ]
        assert [each.state for each in apply(desk.site, plan, held, Authority("apply")).outcomes] == [
            OutcomeState.DONE,
            OutcomeState.DONE,
        ]


def test_a_run_over_midnight_spends_of_each_day_what_it_did_on_it(desk: Desk) -> None:
    desk.cluster.add(3, "three")
    two_groups(desk, "one, two", "three")
    desk.clock.at = desk.clock.at.replace(hour=23, minute=50)
    with holding(desk.site) as held:
        plan = propose(desk.site, desk.policies().policies, observe_whole(desk.site)).plan
        run = begin(desk.site, plan, held, Authority("apply"))
        for step in plan.steps:
            desk.site.memory.journal.started(run, step.id, desk.clock.now())
            desk.site.memory.journal.finished(run, Outcome(step.id, OutcomeState.DONE, desk.clock.now(), "ref"))
            desk.clock.forward(timedelta(minutes=20))
        first, second = (step.cost for step in plan.steps)
        assert first != second
        assert spent_today(desk.site) == second
