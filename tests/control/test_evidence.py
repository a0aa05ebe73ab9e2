"""What is on record of a site's life, and that the records alone tell what the server held at every moment."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from reconciler import files
from reconciler.control.error_boundary import Bounds
from reconciler.control.evidence.audit import protection, sources_of
from reconciler.control.evidence.record import (
    job_recorded,
    record_approvals,
    record_drift,
    record_end,
    record_glass,
    record_lock,
    record_run,
    record_state,
    record_step,
    recorded,
)
from reconciler.control.jobs.dispatch import jobs_due, poll, run_jobs, start
from reconciler.control.jobs.recovery import RecoveryRequest, prepare, recover
from reconciler.control.lease import HeldLease, holding
from reconciler.control.observe import observe_whole
from reconciler.control.planning.propose import PlanRequest, propose
from reconciler.control.site import Site, actor
from reconciler.control.status import names_of
from reconciler.engines.embedded import open_engine
from reconciler.errors import UsageError
from reconciler.model import (
    Approved,
    CatalogSnapshot,
    EvidenceKind,
    FieldChange,
    Job,
    JobKind,
    JobState,
    LedgerEntry,
    Outcome,
    OutcomeState,
    ProtectionGroup,
    Record,
    StopProtection,
)
from reconciler.model.audit import Confirmation
from reconciler.model.plans import Direction
from reconciler.plan import group_hash
from reconciler.protocols import Lease, Run
from reconciler.state import EvidenceFolder, check_chain
from tests.control.test_apply import Desk
from tests.fakes import NOON, first_use, machine_id, setup_for

ONE = f"hci-01/{machine_id(1)}/host"
TWO = f"hci-01/{machine_id(2)}/host"
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


class Life(Desk):
    """A site that does its steps and records them as apply does, an hour at a time."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.runs = 0
        self.site.close()
        self.write("gold", "one, two", "5d")
        self.site = self.open()

    def open(self) -> Site:
        """With the embedded engine: it can recover."""
        engine = open_engine(setup_for(self.root / "store", self.cluster, self.clock))
        return dataclasses.replace(super().open(), engines={"mabs-01": engine})

    def write(self, group: str, names: str, retention: str, *, formerly: str = "", prune: bool = True) -> None:
        path = self.root / "policies" / "site.yaml"
        head, _, _ = path.read_text(encoding="utf-8").partition("---\n")
        head = head.replace("prune: false", f"prune: {str(prune).lower()}")
        renamed = f"  renamedFrom: [{formerly}]\n" if formerly else ""
        body = (
            f"---\napiVersion: reconciler/v1\nkind: ProtectionGroup\nmetadata: {{name: {group}}}\nspec:\n"
            f"  site: hq\n  server: mabs-01\n{renamed}"
            f"  members: [{{virtualMachines: {{cluster: hci-01, names: [{names}]}}}}]\n"
            f"  shortTerm: {{retention: {retention}, synchronization: 1h}}\n"
        )
        path.write_text(head + (body if names else ""), encoding="utf-8")

    def act(self, held: HeldLease, approvals: tuple[Approved, ...] = (), glass: str = "") -> Run:
        """Plans and does everything, by hand: what is shown here is the calls, not apply."""
        self.runs += 1
        site, seen = self.site, observe_whole(self.site)
        policies = self.policies().policies
        plan = propose(site, policies, seen, PlanRequest(glass=True)).plan  # the last group goes too
        run = Run(f"run-{self.runs}", "apply", "ann", "vault", site.now(), 1, commit=f"c0ffee{self.runs}", glass=glass)
        record_run(site, run, plan.plan_hash, Confirmation.TERMINAL)
        if glass:
            record_glass(site, run)
        record_approvals(site, run.id, approvals)
        for step in plan.steps:
            first_use(site.engines["mabs-01"], site.memory.lineage())
            ref = site.engines["mabs-01"].apply(step.action, held.fence)
            shown = next((each.group for each in self.catalog().groups if each.ref == ref), None)
            done = Outcome(step.id, OutcomeState.DONE, site.now(), ref)
            record_step(site, run.id, step, done, shown, names_of(seen))
            if isinstance(step.action, StopProtection):
                site.memory.ledger.forget("mabs-01", step.action.before.name)
            elif step.change.after is not None:
                entry = LedgerEntry("mabs-01", ref, step.change.after, site.now(), run.id, step.remember.members)
                formerly = step.change.before.name if step.change.before is not None else ""
                site.memory.ledger.record(entry, formerly=formerly if formerly != entry.group else "")
        record_end(site, run.id, "done", len(plan.steps), 0)
        return run

    def live(self, held: HeldLease, hours: int) -> None:
        for _ in range(hours):
            self.clock.forward(HOUR)
            while jobs := jobs_due(self.site, observe_whole(self.site), Bounds(self.site.folder), prune=True):
                run_jobs(self.site, jobs, held, "")

    def catalog(self) -> CatalogSnapshot:
        return self.site.engines["mabs-01"].observe()

    def records(self) -> list[Record]:
        return list(self.site.memory.evidence.records())

    def kinds(self) -> list[EvidenceKind]:
        return [record.kind for record in self.records()]


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    life = Life(tmp_path)
    yield life
    life.site.close()


def seen_now(life: Life) -> dict[str, tuple[ProtectionGroup | None, list[str]]]:
    """What the server itself says of each machine: its group, and its points, newest first."""
    catalog = life.catalog()
    told = {}
    for source in (ONE, TWO):
        group = next((g.group for g in catalog.groups if any(str(s) == source for s in g.group.sources)), None)
        points = [point.id for point in catalog.points if str(point.source) == source]
        told[source] = (group, sorted(points, reverse=True))
    return told


def test_the_records_alone_tell_what_the_server_held_at_every_moment(life: Life) -> None:
    moments: list[tuple[datetime, dict[str, tuple[ProtectionGroup | None, list[str]]]]] = []

    def note() -> None:
        moments.append((life.site.now(), seen_now(life)))
        life.clock.forward(SECOND)

    with holding(life.site) as held:
        note()
        life.write("gold", "one, two", "1d")
        life.act(held)
        note()
        life.live(held, 3)
        note()
        life.write("gold", "one", "1d")
        life.act(held)
        note()
        life.live(held, 26)
        note()
        life.write("platinum", "one", "9d", formerly="gold")
        life.act(held)
        note()
        life.write("platinum", "one, two", "9d")
        life.act(held)
        life.live(held, 2)
        note()
        life.write("", "", "")
        life.act(held)
        note()
    expired = [each for record in life.records() for each in record.body.get("points", ())]
    assert expired, "nothing expired, so nothing was shown of it"
    for at, told in moments:
        for source, (group, points) in told.items():
            answer = protection(life.records(), source, at)
            assert answer.group == group, (at, source)
            assert [each.id for each in answer.points] == points, (at, source)
            assert all(each.time <= at for each in answer.points)
    assert moments[-1][1][ONE][0] is None, "it was not stopped, so nothing was shown of it"
    renamed = protection(life.records(), ONE, moments[-2][0])
    assert (renamed.group.name if renamed.group else "", renamed.since) == ("platinum", moments[0][0] + SECOND)
    stopped = protection(life.records(), ONE, moments[-1][0])
    assert stopped.joined is not None
    assert (stopped.joined.verb, stopped.since) == ("stop", moments[-1][0])
    assert check_chain(EvidenceFolder(life.root / "var" / "hq.evidence"), {}).findings == ()


def test_who_approved_it_and_since_when(life: Life) -> None:
    with holding(life.site) as held:
        life.act(held)
        joined = life.site.now()
        life.clock.forward(HOUR)
        life.write("gold", "one, two", "2d")
        plan = propose(life.site, life.policies().policies, observe_whole(life.site)).plan
        (field,) = plan.steps[0].change.fields
        assert field.direction is Direction.WEAKENS
        approval = Approved("less-gold", "bob", "disks are full", date(2026, 4, 1), (field.change_hash,))
        record_approvals(life.site, "other-run", (Approved("other", "eve", "else", date(2026, 4, 1), ()),))
        life.act(held, (approval,), glass="the volume is full and nobody answers")
    answer = protection(life.records(), ONE, life.site.now())
    assert answer.name == "one"
    assert (answer.server, answer.since) == ("mabs-01", joined)
    assert answer.group is not None
    assert answer.group.short_term.retention == timedelta(days=2)
    latest, first = answer.decisions
    assert (latest.actor, latest.host, latest.commit, latest.run) == ("ann", "vault", "c0ffee2", "run-2")
    assert (latest.verb, latest.direction, latest.plan_hash) == ("update", "weakens", plan.plan_hash)
    assert latest.fields[0]["path"] == "shortTerm.retention"
    assert (latest.fields[0]["before"], latest.fields[0]["after"]) == ("5d", "2d")
    assert latest.fields[0]["place"].startswith("policies/site.yaml:")
    assert latest.glass == "the volume is full and nobody answers"
    assert answer.joined == first
    assert first.glass == ""
    before = protection(life.records(), ONE, joined - HOUR)
    assert (before.group, before.since, before.decisions) == (None, None, ())


def test_an_approval_counts_where_a_field_names_it(life: Life) -> None:
    with holding(life.site) as held:
        life.act(held)
        life.write("gold", "one, two", "2d")
        seen = observe_whole(life.site)
        (step,) = propose(life.site, life.policies().policies, seen).plan.steps
        approvals = tuple(Approved(name, "bob", f"for {name}", date(2026, 4, 1), ("h",)) for name in ("yes", "no"))
        record_approvals(life.site, "r", approvals)
        fields = tuple(msgspec.structs.replace(field, approved_by="yes") for field in step.change.fields)
        covered = msgspec.structs.replace(step, change=msgspec.structs.replace(step.change, fields=fields))
        record_step(life.site, "r", covered, Outcome(step.id, OutcomeState.DONE, NOON, "g"), None, {})
    (consent,) = protection(life.records(), TWO, life.site.now()).decisions[0].approvals
    assert (consent.name, consent.by, consent.reason, consent.until) == ("yes", "bob", "for yes", "2026-04-01")


def test_a_step_says_what_was_seen_before_wanted_and_shown(life: Life) -> None:
    seen = observe_whole(life.site)
    (step,) = propose(life.site, life.policies().policies, seen).plan.steps
    after = step.change.after
    assert after is not None
    rounded = msgspec.structs.replace(after, display_name="as the server rounds it")
    names = names_of(seen) | {"hci-01/somebody-else/host": "not of this step"}
    done = Outcome(step.id, OutcomeState.DONE, NOON, "g1")
    record_step(life.site, "r1", step, done, rounded, names)
    body = life.records()[-1].body
    assert body["afterHash"] == group_hash(after)
    assert body["shownHash"] == group_hash(rounded)
    assert "beforeHash" not in body
    assert msgspec.convert(body["after"], ProtectionGroup) == after
    assert msgspec.convert(body["shown"], ProtectionGroup) == rounded
    assert body["names"] == {ONE: "one", TWO: "two"}
    failed = Outcome(step.id, OutcomeState.FAILED, NOON, code="RCL3010", reason="changed meanwhile")
    record_step(life.site, "r2", step, failed, None, names)
    assert life.records()[-1].body["code"] == "RCL3010"
    assert recorded(life.site, "r1") == {step.id}
    assert recorded(life.site, "r") == set()
    assert protection(life.records()[1:], ONE, life.site.now()).decisions == (), "a step that failed protects nobody"


def test_what_happens_around_runs_is_told(life: Life) -> None:
    lease = Lease("site:hq", "vault pid 1 started 2", 4, NOON, NOON + HOUR, took_over="attic pid 3 started 4")
    record_lock(life.site, "takenOver", lease)
    change = FieldChange("shortTerm.retention", "5d", "2d", Direction.WEAKENS)
    record_drift(life.site, "mabs-01", "gold", "external", (change,), (NOON - HOUR, NOON))
    record_state(life.site, "backup", "r1", file="hq.backup", bytes=17)
    lock, drift, state = life.records()
    assert lock.body["tookOver"] == "attic pid 3 started 4"
    assert lock.body["actor"] == actor()
    assert drift.body["fields"][0]["after"] == "2d"
    assert drift.body["differsSince"] == "2026-03-10T12:00:00Z"
    assert (state.run, state.body["file"], state.body["bytes"]) == ("r1", "hq.backup", 17)


# --- Jobs ------------------------------------------------------------------------------------------------------


def test_points_recoveries_and_checks_are_told(life: Life, tmp_path: Path) -> None:
    with holding(life.site) as held:
        life.act(held)
        life.live(held, 1)
        seen = observe_whole(life.site)
        made = [record for record in life.records() if record.kind is EvidenceKind.POINT]
        points = {str(point.source): point for point in seen.catalogs["mabs-01"].points}
        assert len(made) == 2
        for record in made:
            point = points[record.body["source"]]
            assert record.body["point"] == point.id
            assert datetime.fromisoformat(record.body["time"]) == point.time
            assert (record.body["group"], record.body["kind"]) == ("gold", "initialReplica")
            assert record.body["name"] == point.machine_name
        prepared = prepare(life.site, seen, RecoveryRequest("one", folder=str(tmp_path / "out")))
        assert recover(life.site, prepared, "r9", lambda record: None).status.state is JobState.SUCCEEDED
        told, ended = life.records()[-2:]
        assert (told.kind, told.run, told.body["state"]) == (EvidenceKind.RECOVERY, "r9", "succeeded")
        assert (ended.kind, ended.run, ended.body["endedAs"]) == (EvidenceKind.RUN_ENDED, "r9", "succeeded")
        assert (told.body["askedBy"], told.body["folder"]) == (actor(), str(tmp_path / "out"))
        assert set(told.body["files"]) == {"disk.raw", "vm.json"}
        check = Job("check-1", JobKind.CONSISTENCY_CHECK, "mabs-01", prepared.job.source, life.site.now(), "gold")
        run_jobs(life.site, (check,), held, "")
        assert (life.kinds()[-1], life.records()[-1].body["state"]) == (EvidenceKind.VERIFICATION, "succeeded")
    answer = protection(life.records(), ONE, life.site.now())
    assert (answer.recoveries[0].asked_by, answer.recoveries[0].files) == (actor(), 2)
    assert answer.verified is not None
    assert protection(life.records(), TWO, life.site.now()).recoveries == ()


def test_a_recovery_that_failed_is_told_too(life: Life) -> None:
    with holding(life.site) as held:
        life.act(held)
        life.live(held, 1)
        prepared = prepare(life.site, observe_whole(life.site), RecoveryRequest("one"))
        life.cluster.role(1, power="running")
        assert recover(life.site, prepared, "r9", lambda record: None).status.state is JobState.FAILED
    (told,) = (each for each in life.records() if each.kind is EvidenceKind.RECOVERY)
    assert (told.body["state"], told.body["target"]) == ("failed", "original")


def test_an_end_that_was_recorded_and_not_noted_is_not_recorded_twice(life: Life) -> None:
    """The process dies between the record and its own note of the job."""
    with holding(life.site) as held:
        life.act(held)
        job = jobs_due(life.site, observe_whole(life.site), Bounds(life.site.folder), prune=True)[0]
        start(life.site, job, held, "")
        with files.watch(_dies_at_commit):
            _poll_until_it_dies(life.site)
        assert life.kinds().count(EvidenceKind.POINT) == 1
        assert [each.job.id for each in life.site.memory.jobs.running()] == [job.id]
        life.site.started.clear()
        while life.site.memory.jobs.running():
            poll(life.site)
    assert life.kinds().count(EvidenceKind.POINT) == 1


def _poll_until_it_dies(site: Site) -> None:
    with suppress(SystemExit):
        while site.memory.jobs.running():
            poll(site)


def _dies_at_commit(step: files.Step) -> None:
    if step.kind == "commit" and step.path.endswith("hq.db"):
        raise SystemExit


def test_what_cannot_be_recorded_now_is_recorded_before_all_else(life: Life) -> None:
    def full(step: files.Step) -> None:
        if ".evidence" in step.path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with holding(life.site) as held:
        life.act(held)
        job = jobs_due(life.site, observe_whole(life.site), Bounds(life.site.folder), prune=True)[0]
        with files.watch(full):
            (ended,) = run_jobs(life.site, (job,), held, "")
        assert ended.status.state is JobState.SUCCEEDED
        assert life.kinds().count(EvidenceKind.POINT) == 0
        assert job_recorded(life.site, ended), "it is owed, so nobody tells it a second time"
        record_lock(life.site, "released", held.lease)
    kinds = life.kinds()
    assert kinds.index(EvidenceKind.POINT) + 1 == kinds.index(EvidenceKind.LOCK)


# --- Names -----------------------------------------------------------------------------------------------------


def test_a_machine_is_found_by_the_names_that_it_had(life: Life) -> None:
    with holding(life.site) as held:
        life.act(held)
        before = life.site.now()
        life.cluster.add(1, "first")
        life.clock.forward(HOUR)
        life.write("gold", "first, two", "9d")
        life.act(held)
    for word in ("one", "ONE", "first", machine_id(1), ONE):
        assert sources_of(life.records(), word) == (ONE,)
    assert protection(life.records(), ONE, before).name == "one"
    assert protection(life.records(), ONE, life.site.now()).name == "first"
    with pytest.raises(UsageError) as unknown:
        sources_of(life.records(), "nobody")
    assert unknown.value.diagnostic.code == "RCL5029"


def test_a_name_that_two_machines_had_is_asked_back(life: Life) -> None:
    with holding(life.site) as held:
        life.act(held)
        life.cluster.add(1, "gone")
        life.cluster.add(2, "one")
        life.write("gold", "one, gone", "9d")
        life.act(held)
    with pytest.raises(UsageError) as several:
        sources_of(life.records(), "one")
    assert several.value.diagnostic.code == "RCL5030"
    assert machine_id(1) in str(several.value)
    assert machine_id(2) in str(several.value)
