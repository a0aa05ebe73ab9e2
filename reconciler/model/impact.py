"""What a change does to recovery points, to the room on volumes, and what it costs of a day's budget."""

from __future__ import annotations

from datetime import datetime

import msgspec

from reconciler.model.identity import DataSource


class PointFate(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A recovery point whose end a change moves. `before` is when it would expire without the change, `after` when
    with it (UTC, by the schedule that makes newer points); None: not as long as nothing else changes.

    Exactly: it expires at the first pruning after `by_age`, once `needs` newer points were made than there are now.
    `by_age` None: never by age; the point's own time: at the first pruning that comes. `before` and `after` may be the
    same: then the end moves only if the schedule is not kept.
    """

    point: str
    source: DataSource
    time: datetime
    stored_bytes: int
    before: datetime | None
    after: datetime | None
    by_age: datetime | None = None
    needs: int = 0


class MachineImpact(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One data source of a change: how many points it has, how many of them the change makes expire at once, sooner
    (but not at once), or later than they would; the oldest and the newest point (UTC) before and after the first
    pruning that follows, None where there is none; and bytes of what expires at once.

    `expires_after_pause` are those that would expire at once, by this change, if the group were not paused: to end the
    pause needs nobody's approval, so who approves this approves that they go."""

    source: DataSource
    points: int
    expires_now: int = 0
    expires_sooner: int = 0
    expires_later: int = 0
    oldest_before: datetime | None = None
    oldest_after: datetime | None = None
    newest_before: datetime | None = None
    newest_after: datetime | None = None
    freed_bytes: int = 0
    expires_after_pause: int = 0


class Impact(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What one step does to recovery points: each machine that is touched, and each point whose end moves.

    `exact` False: the server prunes by itself and this is what its documentation says it would do.
    """

    machines: tuple[MachineImpact, ...] = ()
    fates: tuple[PointFate, ...] = ()
    exact: bool = True

    @property
    def expires_now(self) -> int:
        return sum(each.expires_now for each in self.machines)

    @property
    def expires_after_pause(self) -> int:
        return sum(each.expires_after_pause for each in self.machines)

    @property
    def lets_expire(self) -> int:
        """How many points the change gives up: at once, or once a pause no longer holds them. Approvals and budgets
        count these."""
        return self.expires_now + self.expires_after_pause

    @property
    def expires_sooner(self) -> int:
        return sum(each.expires_sooner for each in self.machines)

    @property
    def expires_later(self) -> int:
        return sum(each.expires_later for each in self.machines)

    @property
    def freed_bytes(self) -> int:
        return sum(each.freed_bytes for each in self.machines)


class VolumeImpact(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A volume of a server's pool before and after a plan, in bytes. `added` is what first copies are expected to
    take, `freed` what expiring points give back at most."""

    server: str
    volume: str
    capacity_bytes: int
    used_before: int
    added_bytes: int = 0
    freed_bytes: int = 0

    @property
    def free_before(self) -> int:
        return max(0, self.capacity_bytes - self.used_before)

    @property
    def free_after(self) -> int:
        return max(0, self.capacity_bytes - self.used_before - self.added_bytes + self.freed_bytes)


class Cost(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a step takes of the site's budgets: members that it adds, bytes of their first copies, points that expire
    at once, and members whose protection it weakens."""

    new_members: int = 0
    initial_bytes: int = 0
    expired_points: int = 0
    weakened_members: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.new_members + other.new_members,
            self.initial_bytes + other.initial_bytes,
            self.expired_points + other.expired_points,
            self.weakened_members + other.weakened_members,
        )
