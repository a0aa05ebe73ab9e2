"""Answers that were lost: what a step did is looked up, and it is never sent again before that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.control.applying.apply import Authority, apply, begin, end
from reconciler.control.applying.resume import unfinished
from reconciler.control.applying.settle_interrupted import settle
from reconciler.control.lease import holding
from reconciler.control.observe import observe_whole
from reconciler.control.planning.propose import propose
from reconciler.engines.memory import MemoryEngine
from reconciler.model import Action, CatalogSnapshot, ObservedGroup, OutcomeState
from reconciler.model.audit import Confirmation
from reconciler.protocols import Fence
from tests.control.test_apply import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.site.close()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the server is asked, in order: `sent` and `looked`."""
    made: list[str] = []
    send, look, read = MemoryEngine.apply, MemoryEngine.observe, MemoryEngine.groups

    def sent(self: MemoryEngine, action: Action, fence: Fence) -> str:
        made.append("sent")
        return send(self, action, fence)

    def looked(self: MemoryEngine) -> CatalogSnapshot:
        made.append("looked")
        return look(self)

    monkeypatch.setattr(MemoryEngine, "apply", sent)

    def read_groups(self: MemoryEngine) -> tuple[ObservedGroup, ...]:
        made.append("looked")
        return read(self)

    monkeypatch.setattr(MemoryEngine, "observe", looked)
    monkeypatch.setattr(MemoryEngine, "groups", read_groups)
    return made


def test_a_step_that_was_done_without_an_answer_is_sent_once(desk: Desk, calls: list[str]) -> None:
    desk.server.behaviour.lose_answers = 1
    with holding(desk.site) as held:
        assert desk.apply(held) == [OutcomeState.ALREADY]
        assert calls.count("sent") == 1
        assert calls.index("sent") < len(calls) - 1
        assert calls[calls.index("sent") + 1] == "looked"
        assert settle(desk.site) == ()
    assert [entry.group for entry in desk.site.memory.ledger.entries()] == ["gold"]
    assert unfinished(desk.site, None).left.steps == ()
    assert calls.count("sent") == 1


def test_a_step_that_was_not_done_is_looked_at_before_it_is_sent_again(desk: Desk, calls: list[str]) -> None:
    desk.server.behaviour.lose_answers = 1
    desk.server.behaviour.lose_before = True
    with holding(desk.site) as held:
        assert desk.apply(held) == [OutcomeState.UNKNOWN]
        assert calls.count("sent") == 1
        assert "looked" in calls[calls.index("sent") :]
        left = unfinished(desk.site, None).left
        assert len(left.steps) == 1
        assert calls.count("sent") == 1
        assert [each.state for each in apply(desk.site, left, held, Authority("resume")).outcomes] == [
            OutcomeState.DONE
        ]
    assert calls.count("sent") == 2
    second = [place for place, call in enumerate(calls) if call == "sent"][1]
    assert calls[second - 1] == "looked"


def test_what_a_person_applied_is_found_however_often_the_loop_tried_since(desk: Desk) -> None:
    desk.server.behaviour.lose_answers = 1
    desk.server.behaviour.lose_before = True
    with holding(desk.site) as held:
        assert desk.apply(held) == [OutcomeState.UNKNOWN]
        asked = unfinished(desk.site, None)
        for _ in range(300):
            end(desk.site, begin(desk.site, None, held, Authority("run", Confirmation.AUTOMATIC)), "partial")
    assert unfinished(desk.site, None) == asked
    assert unfinished(desk.site, asked.run.id) == asked


def test_an_answer_lost_by_a_process_that_died_is_looked_up_by_the_next(desk: Desk, calls: list[str]) -> None:
    """The step was sent and done; the process died before it knew. Nothing is sent by settling or by resuming."""
    plan = propose(desk.site, desk.policies().policies, observe_whole(desk.site)).plan
    real = desk.site.memory.journal.finished

    def died(run: str, outcome: object) -> None:
        raise KeyboardInterrupt

    desk.site.memory.journal.finished = died  # type: ignore[method-assign]
    desk.server.behaviour.lose_answers = 1
    with holding(desk.site) as held:
        with pytest.raises(KeyboardInterrupt):
            apply(desk.site, plan, held, Authority("apply"))
        desk.site.memory.journal.finished = real  # type: ignore[method-assign]
        assert calls.count("sent") == 1
        (run,) = settle(desk.site)
        assert unfinished(desk.site, run).left.steps == ()
    assert calls.count("sent") == 1
    (noted,) = desk.site.memory.journal.steps(run)
    assert noted.outcome is not None
    assert noted.outcome.state in (OutcomeState.DONE, OutcomeState.ALREADY)
