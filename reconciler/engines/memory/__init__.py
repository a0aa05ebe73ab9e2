"""An engine in memory: for tests and for those who write engines. It can be told to fail in every allowed way."""

from reconciler.engines.memory.engine import Behaviour, MemoryEngine, MemoryServer, open_engine

__all__ = ["Behaviour", "MemoryEngine", "MemoryServer", "open_engine"]
