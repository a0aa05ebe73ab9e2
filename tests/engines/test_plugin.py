"""A plugin's engine: whatever it raises or answers with is an error of its server, and its abilities stay."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reconciler.engines import contained
from reconciler.engines.plugin import ANSWERS
from reconciler.errors import OutcomeUnknown, ReconcilerError, TemporaryError, Unreachable
from reconciler.model import EMBEDDED
from reconciler.protocols import (
    ChecksStore,
    Engine,
    GivesUp,
    KeepsStore,
    ReadsGroups,
    Rebuilds,
    Recovers,
)
from tests.plan.pruned import catalog

ABILITIES: tuple[Any, ...] = (KeepsStore, GivesUp, Rebuilds, ReadsGroups, Recovers, ChecksStore)


class Shelf:
    """An engine whose methods all do the same: raise, or answer."""

    name = "mabs-01"
    capabilities = EMBEDDED

    def __init__(self, does: Any) -> None:
        self.does = does

    def _do(self, *values: Any, **named: Any) -> Any:
        if isinstance(self.does, BaseException):
            raise self.does
        return self.does

    observe = apply = start = poll = cancel = close = _do


class Whole(Shelf):
    """One that can do everything."""

    lineage = establish = note_state = declare_lost = rebuild = largest_token = Shelf._do
    groups = preview = unfinished = check_store = Shelf._do


def _methods(kind: Any) -> set[str]:
    return {name for name, each in vars(kind).items() if callable(each) and not name.startswith("_")}


def test_every_method_of_an_engine_and_of_an_ability_is_contained() -> None:
    assert set(ANSWERS) == set().union(*map(_methods, (Engine, *ABILITIES)))


def test_it_can_do_what_it_could() -> None:
    for shelf, able in ((Shelf(None), False), (Whole(None), True)):
        engine = contained(shelf, "shelf", "mabs-01")
        assert isinstance(engine, Engine)
        assert [isinstance(engine, each) for each in ABILITIES] == [able] * len(ABILITIES)
        assert (engine.name, engine.capabilities) == ("mabs-01", EMBEDDED)


@pytest.mark.parametrize("does", [RuntimeError("no shelf"), SystemExit(3), object()])
@pytest.mark.parametrize("name", sorted(set(ANSWERS) - {"close"}))
def test_whatever_it_does_is_an_error_of_its_server(name: str, does: Any) -> None:
    engine = contained(Whole(does), "shelf", "mabs-01")
    wanted = OutcomeUnknown if name in ("apply", "start") else Unreachable
    with pytest.raises(wanted) as raised:
        getattr(engine, name)()
    assert isinstance(raised.value, ReconcilerError)
    assert (raised.value.diagnostic.code, raised.value.diagnostic.subject) == ("RCL4052", "mabs-01")


def test_what_engines_raise_comes_through_and_closing_never_fails() -> None:
    error = TemporaryError("RCL4001", "busy", "Wait.")
    with pytest.raises(TemporaryError):
        contained(Shelf(error), "shelf", "mabs-01").observe()
    for does in (error, RuntimeError("stuck"), SystemExit(1)):
        contained(Shelf(does), "shelf", "mabs-01").close()


def test_it_tells_of_its_own_server_alone() -> None:
    seen = catalog([], [], [])
    assert contained(Shelf(seen), "shelf", "mabs-01").observe() == seen
    with pytest.raises(Unreachable, match="other"):
        contained(Shelf(msgspec.structs.replace(seen, server="other")), "shelf", "mabs-01").observe()
    with pytest.raises(Unreachable, match="calls itself"):
        contained(Shelf(seen), "shelf", "mabs-02")
