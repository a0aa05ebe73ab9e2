"""Every engine that ships passes the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.engines import embedded, memory
from reconciler.engines.memory import MemoryServer
from reconciler.protocols import Engine
from tests.contract.suite import EngineContract, World
from tests.fakes import setup_for


class EmbeddedWorld(World):
    def open(self) -> Engine:
        return embedded.open_engine(setup_for(self.folder / "store", self.cluster, self.clock))

    def unused(self) -> Engine:
        return embedded.open_engine(setup_for(self.folder / "unused", self.cluster, self.clock))


class MemoryWorld(World):
    def __init__(self, folder: Path) -> None:
        self.server = MemoryServer()
        super().__init__(folder)

    def open(self) -> Engine:
        return memory.open_engine(setup_for(self.folder / "store", self.cluster, self.clock), self.server)

    def unused(self) -> Engine:
        return memory.open_engine(setup_for(self.folder / "unused", self.cluster, self.clock), MemoryServer())


class TestEmbedded(EngineContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        world = EmbeddedWorld(tmp_path)
        yield world
        world.engine.close()


class TestMemory(EngineContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        world = MemoryWorld(tmp_path)
        yield world
        world.engine.close()
