"""How old databases are: a server's database and the catalogs of its replica stores -> which of them is an older copy,
the marks by which they know each other, and how a job may open what it works on.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from reconciler.engines.embedded.making import begun
from reconciler.engines.embedded.records import Assignment, KnownReplica
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.engines.embedded.server import ServerStore
from reconciler.errors import Damaged, Diagnostic, ReconcilerError, Refused, TemporaryError
from reconciler.model import Job, Presence, RecoveryTarget
from reconciler.protocols import Fence
from reconciler.system_errors import cannot_write


def older_among(findings: Iterable[Diagnostic], server: ServerStore) -> Damaged | None:
    """What says that the server's own database is older than it was; None where nothing does."""
    path = str(server.path / "server.db")
    said = next((each for each in findings if each.code == "RCL4025" and each.subject == path), None)
    return Damaged(said.code, said.message, said.remedy, subject=said.subject) if said is not None else None


def older_database(server: ServerStore) -> Damaged | None:
    """The same, without a whole observation."""
    if server.presence() is Presence.ABSENT:
        return None
    for _, place in server.places():
        if begun(place.folder):
            try:
                with ReplicaStore(place) as store:
                    found = older_among((each.diagnostic for each in store.lineage_faults()), server)
            except ReconcilerError:
                continue  # an observation says what is wrong with it
            if found is not None:
                return found
    return None


def older_than(server: ServerStore, assignment: Assignment) -> bool:
    """Whether the databases are older than they were: the job is refused, or only reads, and leaves no trace."""
    place = server.place(assignment)
    if not begun(place.folder):
        return False
    try:
        with ReplicaStore(place) as store:
            return bool(store.lineage_faults())
    except ReconcilerError:
        return False  # the job says it


def store_for(server: ServerStore, job: Job, assignment: Assignment, fence: Fence) -> ReplicaStore:
    """The replica store, opened for the job: for reading alone where a recovery to a folder is asked for, and the
    disk that the store lies on is full or read-only, or one of the databases is older than it was."""
    place = server.place(assignment)
    if of_copy(job):
        return ReplicaStore(place)
    try:
        return ReplicaStore(place, fence)
    except (TemporaryError, Refused, OSError) as error:
        if not reads_alone(job) or not cannot_write(error):
            raise
        return ReplicaStore(place)
    except Damaged as error:
        if not reads_alone(job) or error.diagnostic.code != "RCL4025":
            raise
        return ReplicaStore(place)


def tell(server: ServerStore, assignment: Assignment, store: ReplicaStore, fence: Fence) -> None:
    """Gives the job a mark to leave in the catalog, which is written down here first: an older copy of the server's
    database does not know it, however often that was written to since. Killed anywhere in between, the database
    knows every mark that the catalog can have heard."""
    seen, mark = store.lineage(), secrets.token_hex(8)
    known = KnownReplica(seen.id, seen.generation, told=store.heard(), telling=mark)
    server.note_replica(assignment.source, known, fence)
    store.under(mark)


def note(server: ServerStore, assignment: Assignment, store: ReplicaStore, fence: Fence) -> None:
    """Notes how far the replica store has come; where that fails, the next job's opening notes it."""
    try:
        seen = store.lineage()
        known = KnownReplica(seen.id, seen.generation, told=store.heard())
        server.note_replica(assignment.source, known, fence)
    except (ReconcilerError, OSError):
        return


def of_age(store: ReplicaStore, job: Job) -> list[str]:
    """What a person should know who recovers to a folder from databases of which one is older than it was."""
    faults = store.lineage_faults() if reads_alone(job) else []
    return [f"read alone, for {each.diagnostic.message}; what it does not know is missing here" for each in faults]


def reads_alone(job: Job) -> bool:
    """Whether the job can do without writing to the store: nothing of a machine is replaced."""
    return job.recovery is not None and job.recovery.target is RecoveryTarget.FOLDER


def of_copy(job: Job) -> bool:
    """Whether the store is an older copy of the one on record: nothing of it is written."""
    return reads_alone(job) and job.recovery is not None and job.recovery.copy
