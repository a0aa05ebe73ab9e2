"""An engine in memory: for tests and for those who write engines. It can be told to fail in every allowed way."""

from reconciler.engines.memory.engine import MemoryEngine, open_engine
from reconciler.engines.memory.server import Behaviour, MemoryServer

__all__ = ["Behaviour", "MemoryEngine", "MemoryServer", "open_engine"]
