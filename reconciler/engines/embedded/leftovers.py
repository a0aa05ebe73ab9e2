"""Leftovers: what recoveries that never ended left beside a machine's disks -> removed, said, or in the way of a job.

A backup job reads the machine's files. While some of them are of a recovery point and others are not, no state of the
machine is there to be read, and no point is made of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from reconciler.engines.embedded import cutover
from reconciler.engines.embedded.backup import Work
from reconciler.engines.embedded.catalog import Catalog
from reconciler.engines.embedded.intent import Phase, decode, moved, token_of
from reconciler.engines.embedded.look import target_of
from reconciler.errors import Damaged, Diagnostic, Refused, Severity
from reconciler.model import RecoveryTarget
from reconciler.protocols import Disks

#: The code of files of a recovery of which nothing is on record.
UNKNOWN = "RCL7030"

#: So many of them are named.
_NAMED = 4


def before_reading(work: Work) -> None:
    """What is to be done before a job reads the machine, under the lock of its replica store: what a recovery staged
    that died before it had staged everything is removed. Raises `Refused`, RCL7022 or RCL7030, where the files that are
    there are a mixture, or may be one."""
    for job, body in work.store.cut_overs().items():
        intent = decode(body)
        target = target_of(intent.target, intent.folder, work.disks)
        if intent.phase is Phase.STAGING:
            cutover.withdraw(work, job, target, intent)
        elif intent.phase is Phase.READY and intent.target is RecoveryTarget.ORIGINAL and moved(target, intent):
            because = "no point is made of what is half of the one and half of the other"
            said = cutover.half_done(target, intent, because).diagnostic
            raise Refused(said.code, said.message, said.remedy, subject=said.subject)
    found = unknown(work.store, work.disks)
    if found is not None:
        raise Refused(found.code, found.message, found.remedy, subject=found.subject)


def unknown(store: Catalog, disks: Disks) -> Diagnostic | None:
    """That files of recoveries lie beside the machine's, which the catalog knows nothing of because it was made anew
    without: one of them may be half done. Whatever this catalog knows of is left out."""
    facts = store.facts()
    if facts.unknown_since is None:
        return None
    tokens = {token_of(job) for job in (*store.cut_overs(), *store.jobs())}
    tokens |= {decode(body).token for body in store.cut_overs().values()}
    found: list[str] = []
    for path in _paths(store, disks):
        try:
            found += [each for each, token in disks.beside(path) if token not in tokens]
        except Refused:
            continue  # a path that is no place any more has nothing of ours
    if not found:
        return None
    name = facts.machine_name or store.source.machine
    return Diagnostic(
        UNKNOWN,
        Severity.ERROR,
        f"a recovery of {name!r} may be half done: its catalog was rebuilt at {facts.unknown_since:%Y-%m-%d %H:%M} "
        f"UTC without what was known of recoveries, and beside its files lie {_listed(found)}",
        "`.original-...` is what a file was before a recovery replaced it, `.staged` what was to replace one. Shut the "
        "virtual machine down, put back what is wanted, and move the others away: until then no backup of it is made. "
        "Or recover it to a folder (--to FOLDER).",
        subject=name,
    )


def _paths(store: Catalog, disks: Disks) -> tuple[str, ...]:
    """Where the machine's files lie, now and when the replica was renewed last."""
    paths: set[str] = set()
    with suppress(Refused):  # the cluster may not know it any more, and its files lie there all the same
        paths |= set(cutover.files_of(disks.machine(store.source.machine)))
    with suppress(Damaged):
        current = store.current()
        paths |= {file.path for file in current.files} if current is not None else set()
    return tuple(sorted(paths))


def _listed(paths: Iterable[str]) -> str:
    names = sorted(set(paths))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(repr(each) for each in names[:_NAMED]) + more
