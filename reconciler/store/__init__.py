"""OUR MEMORY: journal, ledger, locks, jobs and marks of one site, in one SQLite file."""

from reconciler.store.holder import holder_identity
from reconciler.store.memory import SqliteMemory, open_memory

__all__ = ["SqliteMemory", "holder_identity", "open_memory"]
