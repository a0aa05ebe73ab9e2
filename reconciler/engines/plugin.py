"""A plugin's engine -> the same engine, which fails like one of ours: whatever it raises is about its server alone.

A package of somebody else may raise anything anywhere, end the process, or answer with something that no engine
answers. Other servers go on meanwhile, so all of that becomes an error of this server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

from reconciler.errors import OutcomeUnknown, ReconcilerError, Unreachable
from reconciler.model import Capabilities, CatalogSnapshot, JobHandle, JobStatus, StoreLineage
from reconciler.protocols import Engine, RecoveryPreview, StoreCheck, StoreRebuild

#: What each method of an engine, and of what it can do besides, answers with.
ANSWERS: Mapping[str, type] = {
    "observe": CatalogSnapshot,
    "apply": str,
    "start": JobHandle,
    "poll": JobStatus,
    "cancel": type(None),
    "close": type(None),
    "lineage": StoreLineage,
    "establish": StoreLineage,
    "note_state": StoreLineage,
    "declare_lost": tuple,
    "rebuild": StoreRebuild,
    "largest_token": int,
    "groups": tuple,
    "preview": RecoveryPreview,
    "unfinished": tuple,
    "check_store": StoreCheck,
}


def contained(engine: Engine, plugin: str, server: str) -> Engine:
    """The engine with the methods that it has of `ANSWERS`, and no others: which abilities it has stays as it is.
    Raises `Unreachable`, RCL4052, where it is another server's, or says nothing of what it can hold."""
    attempt = _Attempt(plugin, server)
    name = attempt.run("name", lambda: engine.name, str)
    if name != server:
        raise attempt.failed("name", f"it calls itself {name!r}")
    able = attempt.run("capabilities", lambda: engine.capabilities, Capabilities)
    methods = {each: attempt.method(each, getattr(engine, each)) for each in ANSWERS if hasattr(engine, each)}
    return cast("Engine", type("ContainedEngine", (), {**methods, "name": server, "capabilities": able})())


class _Attempt:
    """Calls into one plugin, for one server."""

    def __init__(self, plugin: str, server: str) -> None:
        self.plugin = plugin
        self.server = server

    def method(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The method as that of a class."""

        def called(_: object, /, *values: Any, **named: Any) -> Any:
            if name == "close":  # nothing is left to be done about it, and others are to be closed too
                with suppress(Exception, SystemExit):
                    call()
                return None
            answer = self.run(name, lambda: call(*values, **named), ANSWERS[name])
            if isinstance(answer, CatalogSnapshot) and answer.server != self.server:
                raise self.failed(name, f"it told of the server {answer.server!r}")
            return answer

        return called

    def run(self, name: str, call: Callable[[], Any], wanted: type) -> Any:
        """What the call answers with. Raises what engines raise; anything else as `Unreachable`, RCL4052, and as
        `OutcomeUnknown` where it may have changed the server."""
        try:
            answer = call()
        except ReconcilerError:
            raise
        except (Exception, SystemExit) as error:
            raise self.failed(name, f"{type(error).__name__}: {error}") from error
        if not isinstance(answer, wanted):
            raise self.failed(name, f"it answered with {type(answer).__name__}, not {wanted.__name__}")
        return answer

    def failed(self, name: str, why: str) -> ReconcilerError:
        """The error to raise."""
        what = f"the engine plugin {self.plugin} failed in {name} of {self.server}: {why}"
        remedy = "Check what it needs, and the version of the package that brings it. Other servers go on."
        kind = OutcomeUnknown if name in ("apply", "start") else Unreachable
        return kind("RCL4052", what, remedy, subject=self.server)
