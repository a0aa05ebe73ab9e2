"""The contract suite: what every engine must do. A third party runs it with a `World` of its own."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler.errors import Refused, StaleFence, Unreachable
from reconciler.model import (
    Action,
    Adopt,
    CreateGroup,
    DataSource,
    ExistingPoints,
    Job,
    JobHandle,
    JobKind,
    JobState,
    JobStatus,
    Pause,
    Presence,
    Recovery,
    RecoveryTarget,
    RenameGroup,
    ReplicaState,
    StopProtection,
    UpdateGroup,
)
from reconciler.protocols import Engine, Fence, KeepsStore
from tests.fakes import STATE, DiskCluster, SetClock, first_use, group, job, recovery_of

F1, F2 = Fence(1), Fence(2)


class World(ABC):
    """A cluster with machines 1 and 2, and an engine over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SetClock()
        self.cluster = DiskCluster(folder / "cluster")
        self.one = self.cluster.add(1, "one")
        self.two = self.cluster.add(2, "two")
        self.engine = self.open()
        first_use(self.engine)

    @abstractmethod
    def open(self) -> Engine:
        """The engine, over what an earlier one left."""

    @abstractmethod
    def unused(self) -> Engine:
        """An engine over nothing: a server that was never used."""

    def reopen(self) -> None:
        self.engine.close()
        self.engine = self.open()

    def done(self, what: Job, fence: Fence = F1) -> JobStatus:
        """Runs a job to its end."""
        handle = self.engine.start(what, fence)
        deadline = time.monotonic() + 30
        while not (status := self.engine.poll(handle)).state.ended:
            assert time.monotonic() < deadline, "the job does not end"
            time.sleep(0.002)
        return status

    def protect(self, *sources: DataSource) -> str:
        return self.engine.apply(CreateGroup("mabs-01", group("gold", *sources)), F1)

    def points(self, source: DataSource) -> list[str]:
        return [point.id for point in self.engine.observe().points if point.source == source]

    def held(self) -> tuple[object, ...]:
        """What the server holds, but for the free space of its disk."""
        seen = self.engine.observe()
        return seen.groups, seen.replicas, seen.points, [each.used_bytes for each in seen.volumes]

    def make_points(self, source: DataSource, count: int) -> list[str]:
        """So many points, an hour apart."""
        kind = JobKind.INITIAL_REPLICA
        for number in range(count):
            assert self.done(job(kind, source, number)).state is JobState.SUCCEEDED
            self.clock.forward(timedelta(hours=1))
            kind = JobKind.SYNCHRONIZATION
        return self.points(source)


class EngineContract:
    """Subclass it with a fixture `world`."""

    # --- Groups ------------------------------------------------------------------------------------------

    def test_a_created_group_is_read_back_as_it_was_given(self, world: World) -> None:
        wanted = group("gold", world.one, world.two)
        ref = world.engine.apply(CreateGroup("mabs-01", wanted), F1)
        seen = world.engine.observe()
        assert [(each.ref, each.group) for each in seen.groups] == [(ref, wanted)]
        assert {replica.state for replica in seen.replicas} == {ReplicaState.PENDING}

    def test_the_groups_alone_are_those_of_the_whole(self, world: World) -> None:
        world.protect(world.one)
        read = getattr(world.engine, "groups", None)
        if read is None:
            pytest.skip("this engine shows its groups with everything else only")
        assert read() == world.engine.observe().groups

    def test_adopting_changes_nothing_and_looks(self, world: World) -> None:
        ref = world.protect(world.one)
        before = world.held()
        (seen,) = world.engine.observe().groups
        assert world.engine.apply(Adopt("mabs-01", ref, seen.group), F1) == ref
        assert world.held() == before
        other = msgspec.structs.replace(seen.group, display_name="Other")
        with pytest.raises(Refused) as refused:
            world.engine.apply(Adopt("mabs-01", ref, other), F1)
        assert refused.value.diagnostic.code == "RCL3010"
        with pytest.raises(StaleFence):
            world.engine.apply(Adopt("mabs-01", ref, seen.group), Fence(0))

    def test_points_that_are_not_wanted_any_more_expire_without_floors(self, world: World) -> None:
        ref = world.protect(world.one)
        ids = world.make_points(world.one, 4)
        (seen,) = world.engine.observe().groups
        refused = world.done(job(JobKind.PRUNING, world.one, 8, points=tuple(ids)))
        assert (refused.state, refused.code) == (JobState.FAILED, "RCL4011")
        world.engine.apply(StopProtection("mabs-01", ref, seen.group, ExistingPoints.EXPIRE_NOW), F1)
        assert world.points(world.one) == ids  # nothing goes before the schedule says so
        assert world.done(job(JobKind.PRUNING, world.one, 9, points=tuple(ids))).state is JobState.SUCCEEDED
        assert world.points(world.one) == []

    def test_applying_twice_is_applying_once(self, world: World) -> None:
        before = group("gold", world.one)
        after = msgspec.structs.replace(before, display_name="Gold")
        create = CreateGroup("mabs-01", before)
        ref = world.engine.apply(create, F1)
        assert world.engine.apply(create, F1) == ref
        actions: list[Action] = [
            UpdateGroup("mabs-01", ref, before, after),
            StopProtection("mabs-01", ref, after, ExistingPoints.RETAIN),
        ]
        for action in actions:
            world.engine.apply(action, F1)
            once = world.held()
            world.engine.apply(action, F1)
            assert world.held() == once

    def test_a_group_that_changed_meanwhile_is_refused(self, world: World) -> None:
        before = group("gold", world.one)
        ref = world.engine.apply(CreateGroup("mabs-01", before), F1)
        mine = msgspec.structs.replace(before, display_name="Mine")
        theirs = msgspec.structs.replace(before, display_name="Theirs")
        world.engine.apply(UpdateGroup("mabs-01", ref, before, theirs), F1)
        with pytest.raises(Refused) as refused:
            world.engine.apply(UpdateGroup("mabs-01", ref, before, mine), F1)
        assert refused.value.diagnostic.code == "RCL3010"
        assert world.engine.observe().groups[0].group == theirs

    def test_one_machine_is_never_in_two_groups(self, world: World) -> None:
        world.protect(world.one)
        with pytest.raises(Refused):
            world.engine.apply(CreateGroup("mabs-01", group("silver", world.one)), F1)
        assert [each.group.name for each in world.engine.observe().groups] == ["gold"]

    def test_a_rename_keeps_reference_replicas_and_points(self, world: World) -> None:
        ref = world.protect(world.one)
        made = world.make_points(world.one, 2)
        before = world.engine.observe().groups[0].group
        after = msgspec.structs.replace(before, name="platinum", display_name="Platinum")
        assert world.engine.apply(RenameGroup("mabs-01", ref, before, after), F1) == ref
        assert world.points(world.one) == made
        assert world.engine.observe().replicas[0].group == "platinum"

    def test_stopping_keeps_the_points_and_says_how(self, world: World) -> None:
        ref = world.protect(world.one)
        made = world.make_points(world.one, 2)
        before = world.engine.observe().groups[0].group
        world.engine.apply(StopProtection("mabs-01", ref, before, ExistingPoints.KEEP_FOREVER), F1)
        replica = world.engine.observe().replicas[0]
        assert (replica.group, replica.existing_points) == (None, ExistingPoints.KEEP_FOREVER)
        assert world.points(world.one) == made

    def test_a_member_that_comes_back_finds_its_points(self, world: World) -> None:
        ref = world.protect(world.one, world.two)
        made = world.make_points(world.two, 2)
        both = world.engine.observe().groups[0].group
        alone = group("gold", world.one)
        world.engine.apply(UpdateGroup("mabs-01", ref, both, alone), F1)
        assert {each.group for each in world.engine.observe().replicas} == {"gold", None}
        world.engine.apply(UpdateGroup("mabs-01", ref, alone, both), F1)
        assert {each.group for each in world.engine.observe().replicas} == {"gold"}
        assert world.points(world.two) == made

    # --- The store ---------------------------------------------------------------------------------------

    def test_a_server_that_was_never_used_is_absent_and_takes_nothing(self, world: World) -> None:
        engine = world.unused()
        if not isinstance(engine, KeepsStore):
            pytest.skip("this engine keeps no store of its own")
        assert engine.lineage().presence is Presence.ABSENT
        assert engine.observe().groups == ()
        for act in (
            lambda: engine.note_state(STATE, F1),
            lambda: engine.apply(CreateGroup("mabs-01", group("gold", world.one)), F1),
        ):
            with pytest.raises(Unreachable):
                act()
        assert engine.lineage().presence is Presence.ABSENT
        engine.close()

    def test_the_first_use_gives_an_identity_for_good(self, world: World) -> None:
        engine = world.unused()
        if not isinstance(engine, KeepsStore):
            pytest.skip("this engine keeps no store of its own")
        made = engine.establish(STATE, F1)
        assert (made.presence, made.state, made.token) == (Presence.PRESENT, STATE, 1)
        assert made.store is not None
        again = engine.establish(STATE, F1)
        assert again.store is not None
        assert again.store.id == made.store.id
        engine.close()

    def test_the_generation_grows_with_every_write_and_the_state_is_noted(self, world: World) -> None:
        if not isinstance(world.engine, KeepsStore):
            pytest.skip("this engine keeps no store of its own")
        seen = [world.engine.lineage().store]
        world.protect(world.one)
        seen.append(world.engine.lineage().store)
        assert world.done(job(JobKind.INITIAL_REPLICA, world.one)).state is JobState.SUCCEEDED
        seen.append(world.engine.lineage().store)
        later = msgspec.structs.replace(STATE, generation=STATE.generation + 1)
        assert world.engine.note_state(later, F2).state == later
        seen.append(world.engine.lineage().store)
        world.reopen()
        assert isinstance(world.engine, KeepsStore)
        now = world.engine.lineage()
        assert (now.store, now.state, now.token) == (seen[-1], later, 2)
        lineages = [each for each in seen if each is not None]
        assert len({each.id for each in lineages}) == 1
        generations = [each.generation for each in lineages]
        assert generations == sorted(set(generations))
        with pytest.raises(StaleFence):
            world.engine.note_state(STATE, F1)
        assert world.engine.lineage().state == later

    def test_tokens_of_two_leases_are_never_compared(self, world: World) -> None:
        world.protect(world.one)
        first = job(JobKind.INITIAL_REPLICA, world.one)
        assert world.done(first, Fence(9, "replica")).state is JobState.SUCCEEDED
        assert world.done(job(JobKind.SYNCHRONIZATION, world.one, 2), Fence(2)).state is JobState.SUCCEEDED
        with pytest.raises(StaleFence):
            world.engine.start(job(JobKind.SYNCHRONIZATION, world.one, 3), Fence(8, "replica"))

    # --- The fence ---------------------------------------------------------------------------------------

    def test_an_older_token_is_refused_for_good(self, world: World) -> None:
        world.engine.apply(CreateGroup("mabs-01", group("gold", world.one)), F2)
        with pytest.raises(StaleFence):
            world.engine.apply(CreateGroup("mabs-01", group("silver", world.two)), F1)
        with pytest.raises(StaleFence):
            world.engine.start(job(JobKind.INITIAL_REPLICA, world.one), F1)
        world.reopen()
        with pytest.raises(StaleFence):
            world.engine.apply(CreateGroup("mabs-01", group("silver", world.two)), F1)
        assert len(world.engine.observe().groups) == 1

    # --- Jobs --------------------------------------------------------------------------------------------

    def test_the_initial_replica_makes_it_valid_and_the_first_point(self, world: World) -> None:
        world.protect(world.one)
        status = world.done(job(JobKind.INITIAL_REPLICA, world.one))
        assert status.state is JobState.SUCCEEDED
        seen = world.engine.observe()
        assert seen.replicas[0].state is ReplicaState.VALID
        assert [point.id for point in seen.points] == [status.result.point if status.result else ""]

    def test_nothing_runs_before_the_initial_replica(self, world: World) -> None:
        world.protect(world.one)
        status = world.done(job(JobKind.SYNCHRONIZATION, world.one))
        assert (status.state, status.code) == (JobState.FAILED, "RCL4010")
        assert not world.points(world.one)

    def test_a_known_job_does_nothing_twice(self, world: World) -> None:
        world.protect(world.one)
        first = job(JobKind.INITIAL_REPLICA, world.one)
        world.done(first)
        made = world.points(world.one)
        assert world.done(first).state is JobState.SUCCEEDED
        world.reopen()
        assert world.engine.poll(JobHandle("mabs-01", first.id)).state is JobState.SUCCEEDED
        assert world.done(first).state is JobState.SUCCEEDED
        assert world.points(world.one) == made

    def test_a_job_that_nobody_knows_is_interrupted(self, world: World) -> None:
        assert world.engine.poll(JobHandle("mabs-01", "nobody")).state is JobState.INTERRUPTED

    def test_only_members_are_backed_up(self, world: World) -> None:
        with pytest.raises(Refused) as refused:
            world.engine.start(job(JobKind.INITIAL_REPLICA, world.one), F1)
        assert refused.value.diagnostic.code == "RCL4012"

    @pytest.mark.parametrize(
        ("stated", "code"),
        [
            ({"checkpoints": [{"name": "before the update"}]}, "RCL2101"),
            ({"replication": {"mode": "replica"}}, "RCL2102"),
            ({"disks": [{"path": "x", "kind": "passThrough"}]}, "RCL2103"),
            ({"disks": [{"path": "gone.vhdx"}]}, "RCL2104"),
            ({"disks": []}, "RCL2107"),
        ],
    )
    def test_what_cannot_be_backed_up_rightly_is_refused(self, world: World, stated: dict[str, Any], code: str) -> None:
        three = world.cluster.add(3, "three", **stated)
        world.protect(three)
        status = world.done(job(JobKind.INITIAL_REPLICA, three))
        assert (status.state, status.code) == (JobState.FAILED, code)
        assert not world.points(three)

    def test_a_machine_that_is_gone_fails_and_loses_nothing(self, world: World) -> None:
        world.protect(world.one)
        made = world.make_points(world.one, 2)
        world.cluster.remove(1)
        status = world.done(job(JobKind.SYNCHRONIZATION, world.one, 9))
        assert (status.state, status.code) == (JobState.FAILED, "RCL2010")
        assert world.points(world.one) == made

    def test_points_of_the_future_are_no_floor_under_those_that_are_there(self, world: World) -> None:
        """The clock was ahead for two points, and is right again."""
        world.protect(world.one)
        made = world.make_points(world.one, 4)
        right = world.clock.at
        world.clock.forward(timedelta(days=3650))
        for number in (20, 21):
            world.clock.forward(timedelta(hours=1))
            assert world.done(job(JobKind.SYNCHRONIZATION, world.one, number)).state is JobState.SUCCEEDED
        world.clock.at = right + timedelta(days=6)
        status = world.done(job(JobKind.PRUNING, world.one, 30, points=tuple(made[:2])))
        assert (status.state, status.code) == (JobState.FAILED, "RCL4011")
        assert world.done(job(JobKind.PRUNING, world.one, 31, points=(made[0],))).state is JobState.SUCCEEDED
        assert len(world.points(world.one)) == 5

    def test_pruning_keeps_the_newest_and_the_floor(self, world: World) -> None:
        world.protect(world.one)
        made = world.make_points(world.one, 5)
        young = world.done(job(JobKind.PRUNING, world.one, 6, points=tuple(made[:2])))
        assert (young.state, young.code) == (JobState.FAILED, "RCL4011")
        world.clock.forward(timedelta(days=6))
        for number, wanted in enumerate([[made[-1]], made[:3]]):
            status = world.done(job(JobKind.PRUNING, world.one, number, points=tuple(wanted)))
            assert (status.state, status.code) == (JobState.FAILED, "RCL4011")
        assert world.points(world.one) == made
        status = world.done(job(JobKind.PRUNING, world.one, 7, points=tuple(made[:2])))
        assert status.result is not None
        assert status.result.points_expired == 2
        assert world.points(world.one) == made[2:]

    def test_while_a_group_is_paused_nothing_of_it_expires(self, world: World) -> None:
        """Whoever asks. A job that a person asks for runs; a pause that has ended holds nothing."""
        if not world.engine.capabilities.pauses:
            pytest.skip("this engine says that it has no pause")
        ref = world.protect(world.one)
        made = world.make_points(world.one, 5)
        world.clock.forward(timedelta(days=6))
        (before,) = world.engine.observe().groups
        ends_at = world.clock.at + timedelta(hours=9)
        pause = Pause("the storage is moved", "ops@corp.example", world.clock.at.date(), ends_at)
        after = msgspec.structs.replace(before.group, paused=pause)
        world.engine.apply(UpdateGroup("mabs-01", ref, before.group, after), F1)
        world.reopen()
        assert [seen.group for seen in world.engine.observe().groups] == [after]
        status = world.done(job(JobKind.PRUNING, world.one, 6, points=tuple(made[:2])))
        assert (status.state, status.code) == (JobState.FAILED, "RCL4011")
        assert world.points(world.one) == made
        assert world.done(job(JobKind.SYNCHRONIZATION, world.one, 7)).state is JobState.SUCCEEDED
        world.clock.at = ends_at
        assert world.done(job(JobKind.PRUNING, world.one, 8, points=tuple(made[:2]))).state is JobState.SUCCEEDED
        assert world.points(world.one)[:3] == made[2:]

    def test_a_pause_ends_with_its_group(self, world: World) -> None:
        """What leaves a group that is paused lives under the rules alone."""
        if not world.engine.capabilities.pauses:
            pytest.skip("this engine says that it has no pause")
        pause = Pause("the storage is moved", "ops@corp.example", date(2026, 12, 31), datetime(2027, 1, 1, tzinfo=UTC))
        mine = group("gold", world.one, paused=pause)
        ref = world.engine.apply(CreateGroup("mabs-01", mine), F1)
        made = world.make_points(world.one, 4)
        world.engine.apply(StopProtection("mabs-01", ref, mine, ExistingPoints.EXPIRE_NOW), F1)
        assert world.done(job(JobKind.PRUNING, world.one, 9, points=tuple(made))).state is JobState.SUCCEEDED
        assert world.points(world.one) == []

    # --- Recovery ----------------------------------------------------------------------------------------

    def test_every_point_comes_back_byte_for_byte(self, world: World) -> None:
        world.protect(world.one)
        held = []
        for number in range(4):
            held.append(world.cluster.disk(1).read_bytes())
            kind = JobKind.SYNCHRONIZATION if number else JobKind.INITIAL_REPLICA
            assert world.done(job(kind, world.one, number)).state is JobState.SUCCEEDED
            world.clock.forward(timedelta(hours=1))
            world.cluster.change(1, number % 3, seed=number)
        for number, point in enumerate(world.points(world.one)):
            folder = world.folder / f"out-{number}"
            recovery = Recovery(point, RecoveryTarget.FOLDER, folder=str(folder))
            assert world.done(recovery_of(world.one, recovery, number)).state is JobState.SUCCEEDED
            assert (folder / "disk.raw").read_bytes() == held[number]
            assert (folder / "vm.json").exists()

    def test_the_original_place_gets_bytes_modes_and_times_back(self, world: World) -> None:
        world.protect(world.one)
        disk = world.cluster.disk(1)
        disk.chmod(0o640)
        before, status = disk.read_bytes(), disk.stat()
        world.done(job(JobKind.INITIAL_REPLICA, world.one))
        disk.write_bytes(b"ruined")
        recovery = Recovery(world.points(world.one)[0], RecoveryTarget.ORIGINAL, keep_original=True)
        assert world.done(recovery_of(world.one, recovery)).state is JobState.SUCCEEDED
        after = disk.stat()
        assert disk.read_bytes() == before
        assert (after.st_mode, after.st_mtime_ns) == (status.st_mode, status.st_mtime_ns)
        assert [each.read_bytes() for each in disk.parent.glob("disk.raw.original-*")] == [b"ruined"]

    def test_a_machine_that_is_on_is_not_recovered_over(self, world: World) -> None:
        world.protect(world.one)
        world.done(job(JobKind.INITIAL_REPLICA, world.one))
        world.cluster.role(1, power="running")
        world.cluster.change(1, 0, seed=5)
        now = world.cluster.disk(1).read_bytes()
        recovery = Recovery(world.points(world.one)[0], RecoveryTarget.ORIGINAL)
        status = world.done(recovery_of(world.one, recovery))
        assert (status.state, status.code) == (JobState.FAILED, "RCL7008")
        assert world.cluster.disk(1).read_bytes() == now

    # --- Lasting -----------------------------------------------------------------------------------------

    def test_everything_is_there_after_a_restart(self, world: World) -> None:
        world.protect(world.one, world.two)
        world.make_points(world.one, 3)
        before = world.held()
        world.reopen()
        assert world.held() == before

    def test_what_is_observed_is_sorted(self, world: World) -> None:
        world.engine.apply(CreateGroup("mabs-01", group("zinc", world.two)), F1)
        world.engine.apply(CreateGroup("mabs-01", group("gold", world.one)), F1)
        world.make_points(world.two, 2)
        world.make_points(world.one, 2)
        seen = world.engine.observe()
        assert [each.group.name for each in seen.groups] == ["gold", "zinc"]
        assert [each.source for each in seen.replicas] == sorted(each.source for each in seen.replicas)
        keys = [(point.source, point.time) for point in seen.points]
        assert keys == sorted(keys)
