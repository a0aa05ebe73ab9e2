"""Ordering: nobody takes a machine or a name before another group lets go of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Change, DataSource, Direction, ProtectionGroup, Reason, Verb
from reconciler.plan.difference.dependencies import members_added, members_removed, names_freed, names_taken
from reconciler.plan.rollout.order import order
from tests.fakes import group, machine_id


def source(number: int) -> DataSource:
    return DataSource("hci-01", machine_id(number))


def change(before: ProtectionGroup | None, after: ProtectionGroup | None, direction: Direction | None = None) -> Change:
    """A change without fields, whose direction is weakening where members are lost."""
    verb = Verb.CREATE if before is None else Verb.STOP if after is None else Verb.UPDATE
    if before is not None and after is not None and before.name != after.name:
        verb = Verb.RENAME
    named = after or before
    assert named is not None
    made = Change("mabs-01", named.name, verb, Reason.POLICY_CHANGED, Direction.NEUTRAL, before=before, after=after)
    given_direction = direction or (Direction.WEAKENS if members_removed(made) else Direction.STRENGTHENS)
    return msgspec.structs.replace(made, direction=given_direction, ref="" if before is None else f"ref-{before.name}")


def holds(ordered: Sequence[Change]) -> bool:
    """Plays the changes as a server would: no machine and no name in two groups at any time."""
    groups = {each.before.name: each.before for each in ordered if each.before is not None}
    started = {each.before.name for each in ordered if each.before is not None}
    assert len(groups) == len(started)
    for each in ordered:
        if each.before is not None:
            groups.pop(each.before.name)
        if each.after is not None:
            for other in groups.values():
                if other.sources & each.after.sources or other.display_name == each.after.display_name:
                    return False
                if other.name == each.after.name:
                    return False
            groups[each.after.name] = each.after
    return True


def test_a_display_name_is_free_before_another_group_takes_it() -> None:
    old = group("a", source(1), display_name="Gold")
    moved = msgspec.structs.replace(old, display_name="Old gold")
    ordered = order([change(None, group("b", source(2), display_name="Gold")), change(old, moved)])
    assert [each.group for each in ordered] == ["a", "b"]
    assert holds(ordered)
    stopped = order([change(None, group("b", source(2), display_name="Gold")), change(old, None)])
    assert [each.verb for each in stopped] == [Verb.STOP, Verb.CREATE]


def test_groups_that_swap_display_names_are_left_to_the_server() -> None:
    a, b = group("a", source(1), display_name="A"), group("b", source(2), display_name="B")
    swap = [
        change(a, msgspec.structs.replace(a, display_name="B")),
        change(b, msgspec.structs.replace(b, display_name="A")),
    ]
    assert len(order(swap)) == 2


@st.composite
def moves(draw: st.DrawFn) -> list[Change]:
    """Groups that had machines and shall have others; some are new, some end."""
    before = draw(st.lists(st.sampled_from([None, "a", "b", "c", "d"]), min_size=6, max_size=6))
    after = draw(st.lists(st.sampled_from([None, "a", "b", "c", "d", "e"]), min_size=6, max_size=6))
    made = []
    for name in "abcde":
        old = [source(number) for number, holder in enumerate(before) if holder == name]
        new = [source(number) for number, holder in enumerate(after) if holder == name]
        if (old or new) and old != new:
            one = group(name, *old) if old else None
            other = group(name, *new) if new else None
            made.append(change(one, other))
    return made


@given(moves(), st.randoms(use_true_random=False))
def test_no_machine_is_ever_in_two_groups(changes: list[Change], chance: object) -> None:
    ordered = order(changes)
    assert holds(ordered)
    shuffled = list(changes)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert order(shuffled) == ordered
    for place, each in enumerate(ordered):
        wanted = members_added(each) | names_taken(each)
        for later in ordered[place + 1 :]:
            assert not wanted & (members_removed(later) | names_freed(later))


def test_what_strengthens_comes_first() -> None:
    term = group("a", source(1)).short_term
    a, b = group("a", source(1)), group("b", source(2))
    shorter = msgspec.structs.replace(term, retention=timedelta(days=1))
    longer = msgspec.structs.replace(term, retention=timedelta(days=9))
    weak = change(a, msgspec.structs.replace(a, short_term=shorter), Direction.WEAKENS)
    strong = change(b, msgspec.structs.replace(b, short_term=longer), Direction.STRENGTHENS)
    assert order([weak, strong]) == (strong, weak)
