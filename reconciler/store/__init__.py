"""OUR MEMORY: journal, ledger, locks, jobs and marks of one site in one SQLite file, the evidence in a folder."""

from reconciler.store.copying import copy_database, keep_raw, put_database, replace_database
from reconciler.store.evidence_merge import Merged, count_and_head, merge_evidence
from reconciler.store.holder import holder_identity, lives
from reconciler.store.locks import lock_held
from reconciler.store.memory import SqliteMemory, open_memory

__all__ = [
    "Merged",
    "SqliteMemory",
    "copy_database",
    "count_and_head",
    "holder_identity",
    "keep_raw",
    "lives",
    "lock_held",
    "merge_evidence",
    "open_memory",
    "put_database",
    "replace_database",
]
