"""Stores of servers: what our state has on record of them, and what they say of themselves -> whether they may be used.

What is missing, older or exchanged is never taken for new. State and store each keep the identity of the other one and
how far it had come, in two places that do not fail together.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path

import msgspec

from reconciler.control.approving.moved_endpoints import elsewhere_by_now
from reconciler.control.evidence.record import record_state
from reconciler.control.site import Site
from reconciler.control.state.points_on_record import note_points
from reconciler.errors import Diagnostic, ReconcilerError, Severity, Unreachable
from reconciler.model import KnownStore, LedgerEntry, Lineage, Presence, StoreLineage, VolumeImpact
from reconciler.protocols import Engine, Fence, KeepsStore, Rebuilds

#: The code of what is on record and is not there: a store whose database is gone, or a part of one. What lies on it is
#: not backed up meanwhile.
NOT_THERE = "RCL4021"


class Use(StrEnum):
    """What using the store would be. FIRST: nothing is there, and nothing was. NAMING: version 0.1 wrote it, it takes
    an identity. GOES_ON: it is ours, as far as we left it or further. FOREIGN: it is there, and this state has never
    used it: the state was lost, or is the wrong one."""

    FIRST = "first"
    NAMING = "naming"
    GOES_ON = "goesOn"
    FOREIGN = "foreign"


class ReadAlone(Unreachable):
    """A store that may be read, and nothing is written to it."""


class OlderCopy(ReadAlone):
    """The store that is there is an older copy of the one on record."""


class OlderState(ReadAlone):
    """The store is newer than our state, which is an older copy: what was done since then is not known."""


class StoreView(msgspec.Struct, frozen=True):
    """A server's store as it was found, and what using it would be."""

    server: str
    seen: StoreLineage
    use: Use


class OurSide(msgspec.Struct, frozen=True):
    """What our own memory knows when it judges a store: who the state is (None: of version 0.1, or none), what it has
    on record of the store, and its entries in the ledger."""

    state: Lineage | None
    known: KnownStore | None
    entries: tuple[LedgerEntry, ...] = ()


def keeper_of(engine: Engine) -> KeepsStore | None:
    """The engine as one that keeps a store of its own; None where it does not."""
    return engine if isinstance(engine, KeepsStore) else None


def views(site: Site) -> dict[str, StoreView | ReconcilerError]:
    """Every store of the site as it is now, or why it is not to be used. Only reads. A verdict against a store counts
    where the state did not move meanwhile: else what was read of the two is of two moments."""
    for _ in range(5):  # another process may write between the two
        before = site.memory.lineage()
        found = _views(site)
        if site.memory.lineage() == before or not any(isinstance(each, ReconcilerError) for each in found.values()):
            break
    return found


def _views(site: Site) -> dict[str, StoreView | ReconcilerError]:
    state, known = site.memory.lineage(), site.memory.stores.known()
    ledger = site.memory.ledger.entries()
    found: dict[str, StoreView | ReconcilerError] = {}
    seen: dict[str, StoreLineage] = {}
    for name, engine in site.engines.items():
        keeper = keeper_of(engine)
        if keeper is None:
            continue
        mine = tuple(entry for entry in ledger if entry.server == name)
        try:
            seen[name] = keeper.lineage()
            found[name] = judge_store(name, OurSide(state, known.get(name), mine), seen[name])
        except ReconcilerError as error:
            found[name] = error
    errors = {
        name: elsewhere_by_now(site, "server", name, error)
        for name, error in found.items()
        if isinstance(error, ReconcilerError)
    }
    return found | errors | _shared(site, seen, known, found)


def _shared(
    site: Site,
    seen: Mapping[str, StoreLineage],
    known: Mapping[str, KnownStore],
    found: Mapping[str, StoreView | ReconcilerError],
) -> dict[str, Unreachable]:
    """RCL5053 for each server whose store is another one's too, by its path, through a link or a mount, or by the
    identity that a copy has. Whoever has it on record alone goes on with it."""
    errors: dict[str, Unreachable] = {}
    for name, mine in seen.items():
        others = [other for other in seen if other != name]
        if name in known and isinstance(found[name], StoreView):
            others = [other for other in others if other in known and isinstance(found[other], StoreView)]
        else:
            for who, path in site.elsewhere:
                if _one_place(Path(mine.path), path):
                    errors[name] = _used_twice(name, mine, who, str(path))
        for other in others:
            theirs = seen[other]
            same = mine.store is not None and theirs.store is not None and mine.store.id == theirs.store.id
            if same or _one_place(Path(mine.path), Path(theirs.path)):
                errors[name] = _used_twice(name, mine, other, theirs.path)
    return errors


def _one_place(one: Path, other: Path) -> bool:
    """Whether two paths lead to one place, through links and mounts."""
    if not one.is_absolute() or not other.is_absolute():
        return False  # no path at all: a store in memory
    try:
        return os.path.realpath(one) == os.path.realpath(other) or one.samefile(other)
    except OSError:
        return False


def judge_store(server: str, ours: OurSide, seen: StoreLineage) -> StoreView:
    """What using the store would be. Raises `Unreachable`: RCL5043 where it is missing, RCL5044 where it is another one
    or an older copy, RCL5045 where our state is the older copy."""
    known = ours.known
    if seen.presence is Presence.ABSENT:
        if known is not None or ours.entries:
            raise _missing(server, ours, seen)
        return StoreView(server, seen, Use.FIRST)
    if seen.store is None:
        if known is not None:
            raise _other(server, known, seen, "an older copy of it, of before it took its identity, is there")
        return StoreView(server, seen, Use.NAMING if ours.entries else Use.FOREIGN)
    mine = ours.state is not None and seen.state is not None and seen.state.id == ours.state.id
    if mine and seen.state is not None and ours.state is not None and seen.state.generation > ours.state.generation:
        raise _older_state(server, ours.state, seen.state, seen)
    if known is None and seen.state is None and ours.entries:
        return StoreView(server, seen, Use.NAMING)  # cut off between its taking an identity and our note of it
    if known is None:
        return StoreView(server, seen, Use.GOES_ON if mine else Use.FOREIGN)
    if seen.store.id != known.store.id:
        raise _other(server, known, seen, f"another one is there, {seen.store.id[:8]}: it was swapped")
    if seen.store.generation < known.store.generation:
        behind = f"generation {seen.store.generation} is there, and {known.store.generation} was seen"
        raise _older_copy(server, known, seen, f"an older copy of it is there: {behind}")
    if mine and seen.state is not None and ours.state is not None and not _knows_mark(known, seen.state.mark):
        raise _older_state(server, ours.state, seen.state, seen)
    if not mine and seen.state is not None:
        raise _other(server, known, seen, "another state has written to it since")
    return StoreView(server, seen, Use.GOES_ON)


def foreign(found: Mapping[str, StoreView]) -> tuple[StoreView, ...]:
    """The stores that this state has never used."""
    return tuple(view for view in found.values() if view.use is Use.FOREIGN)


def said_of(found: Mapping[str, StoreView], root: Path) -> tuple[Diagnostic, ...]:
    """What a plan says of stores: which are about to be used for the first time, and which are not ours. Paths are told
    as they are seen from the root."""
    told = []
    for view in found.values():
        place = Path(view.seen.path)
        if view.use is Use.FIRST:
            shown = place.relative_to(root) if place.is_relative_to(root) else place
            what = f"this is the first use of the server: a store is made in {shown}"
            remedy = "If a store should be there, mount its disk first."
            told.append(Diagnostic("RCL5046", Severity.ADVICE, what, remedy, subject=view.server))
        elif view.use is Use.FOREIGN:
            told.append(foreign_store(view))
    return tuple(told)


def first_volumes(found: Mapping[str, StoreView], volumes: Iterable[VolumeImpact]) -> tuple[Diagnostic, ...]:
    """What a plan says of volumes that it would use for the first time, of stores that are there."""
    told = []
    for each in volumes:
        view = found.get(each.server)
        if view is None or view.use is not Use.GOES_ON or each.volume in view.seen.volumes or not each.added_bytes:
            continue
        what = f"this is the first use of the volume {each.volume} of {each.server}: a folder is made for it"
        remedy = "If a disk is to be its folder, mount it first."
        told.append(Diagnostic("RCL5046", Severity.ADVICE, what, remedy, subject=f"{each.server} {each.volume}"))
    return tuple(told)


def foreign_store(view: StoreView) -> Diagnostic:
    """RCL3012: a store that this state has never used."""
    what = f"the state does not know the store of {view.server} in {view.seen.path}: it was lost, or is the wrong one"
    remedy = (
        "Restore the state with `reconciler state restore`, correct `state` in the site, or adopt the groups with "
        "`reconciler apply --adopt NAME` ('*' for all). Nothing was changed."
    )
    return Diagnostic("RCL3012", Severity.ERROR, what, remedy, subject=view.server)


# --- Writing ---------------------------------------------------------------------------------------------------


def use_stores(site: Site, servers: frozenset[str], fence: Fence, run: str, *, adopting: bool) -> None:
    """The first use of stores that a run is about to write to, on record: made, named or taken over. Raises what
    `judge_store` raises."""
    known = site.memory.stores.known()
    for name, view in views(site).items():
        if name not in servers:
            continue
        if isinstance(view, ReconcilerError):
            raise view
        if (view.use is Use.GOES_ON and name in known) or (view.use is Use.FOREIGN and not adopting):
            continue
        state, keeper = site.memory.lineage(), keeper_of(site.engines[name])
        if state is None or keeper is None:
            continue
        _record_volumes(site, view, known.get(name), run)
        made = tell(site, view.seen, name, partial(keeper.establish, fence=fence))
        _record_first(site, view, made, run)


def note_stores(site: Site, fence: Fence) -> None:
    """Tells each store that is ours how far our state has come, and notes how far the store has; one of version 0.1
    takes its identity here, whatever the first command is that holds the lease. Raises nothing: what keeps a store from
    being noted shows at the next look."""
    known = site.memory.stores.known()
    for name, view in views(site).items():
        state, keeper = site.memory.lineage(), keeper_of(site.engines[name])
        if isinstance(view, ReconcilerError) or state is None or keeper is None:
            continue
        if view.use not in (Use.GOES_ON, Use.NAMING):
            continue
        say = keeper.establish if view.use is Use.NAMING else keeper.note_state
        _record_volumes(site, view, known.get(name), "")
        try:
            made = tell(site, view.seen, name, partial(say, fence=fence))
        except ReconcilerError:
            continue
        if name not in known:
            _record_first(site, view, made, "")


def largest_token(site: Site) -> int:
    """The largest fencing token that any part of any store of the site has seen; 0 for none."""
    found = 0
    for engine in site.engines.values():
        keeper = keeper_of(engine)
        with suppress(ReconcilerError):
            found = max(found, keeper.lineage().token if keeper is not None else 0)
        if isinstance(engine, Rebuilds):
            found = max(found, engine.largest_token())
    return found


def _record_first(site: Site, view: StoreView, made: StoreLineage, run: str) -> None:
    """That a store was noted for the first time. One that goes on was made by a process that was cut off before it
    could note it."""
    what = {Use.NAMING: "identityTaken", Use.FOREIGN: "storeAdopted"}.get(view.use, "firstUse")
    identity = made.store.id if made.store is not None else ""
    record_state(site, what, run, server=view.server, path=made.path, store=identity)
    note_points(site, view.server, run)


def _record_volumes(site: Site, view: StoreView, known: KnownStore | None, run: str) -> None:
    """That volumes were used for the first time. Those of a store that is named or taken over go with it."""
    if known is None and view.use is not Use.GOES_ON:
        return
    for volume in sorted(set(view.seen.volumes) - set(known.volumes if known is not None else ())):
        record_state(site, "firstUse", run, server=view.server, path=view.seen.path, volume=volume)


def tell(site: Site, found: StoreLineage, server: str, say: Callable[[Lineage], StoreLineage]) -> StoreLineage:
    """Tells a store who our state is and how far it has come, with a new mark, and notes what the store says of itself.
    `found` is the store as it was before. The mark is written down here first: killed anywhere in between, our state
    knows every mark that the store can have heard."""
    stores, mark = site.memory.stores, secrets.token_hex(8)
    known = stores.known().get(server)
    heard = found.state.mark if found.state is not None else ""
    if known is not None:
        stores.note(msgspec.structs.replace(known, told=heard, telling=mark))
    state = site.memory.lineage()
    assert state is not None
    seen = say(msgspec.structs.replace(state, mark=mark))
    if seen.store is not None:
        now = site.now()
        first = known.first_used_at if known is not None and known.store.id == seen.store.id else now
        stores.note(KnownStore(server, seen.store, seen.path, first, now, told=mark, volumes=found.volumes))
    return seen


def _knows_mark(known: KnownStore, heard: str) -> bool:
    """Whether our state gave the store the mark that it heard last, or cannot tell."""
    ours = {known.told, known.telling} - {""}
    return not ours or not heard or heard in ours


# --- Errors ----------------------------------------------------------------------------------------------------

_AWAY = (
    "If its disk is not mounted, mount it. If it was lost: `reconciler store rebuild` where packs are left, or "
    "`reconciler store declare-lost {server} --reason TEXT`, which says so on record and lets a new one begin. Nothing "
    "was concluded or written."
)


def _used_twice(server: str, seen: StoreLineage, other: str, path: str) -> Unreachable:
    return Unreachable(
        "RCL5053",
        f"the store of {server} in {seen.path} is the store of {other} in {path} too: one leads to the other by a link "
        "or a mount, or is a copy of it",
        "Give each server of each site a store of its own: correct `path` in the Site, or remove the link. Nothing was "
        "concluded or written.",
        subject=server,
    )


def _missing(server: str, ours: OurSide, seen: StoreLineage) -> Unreachable:
    what = f"the store of {server} is not in {seen.path}: {_was(ours)}, and nothing is there now"
    return Unreachable("RCL5043", what, _AWAY.format(server=server), subject=server)


def _was(ours: OurSide) -> str:
    groups = len(ours.entries)
    held = f"{groups} group{'' if groups == 1 else 's'} in the ledger"
    known = ours.known
    if known is None:
        since = min(entry.applied_at for entry in ours.entries)
        return f"{held}, the first applied at {_minute(since)}"
    moved = "" if known.path == "" else f" in {known.path}"
    return (
        f"the store {known.store.id[:8]} was there{moved} since {_minute(known.first_used_at)}, last seen "
        f"{_minute(known.last_seen_at)} with generation {known.store.generation}; {held}"
    )


def _other(server: str, known: KnownStore, seen: StoreLineage, what: str) -> Unreachable:
    return Unreachable(
        "RCL5044",
        f"the store of {server} in {seen.path} is not the one on record ({known.store.id[:8]}, last seen "
        f"{_minute(known.last_seen_at)}): {what}",
        "Put back what was there, or mount the right disk. If the one on record is lost: `reconciler store "
        f"declare-lost {server} --reason TEXT`, then `reconciler apply --adopt NAME`. Nothing was concluded or "
        "written.",
        subject=server,
    )


def _older_copy(server: str, known: KnownStore, seen: StoreLineage, what: str) -> OlderCopy:
    said = _other(server, known, seen, what).diagnostic
    remedy = (
        "Put back what was there. Until then it is read alone: `reconciler points`, `reconciler recover VM --to "
        f"FOLDER`. If the newer one is lost: `reconciler store declare-lost {server} --reason TEXT` continues "
        "with this copy, and `reconciler apply --adopt NAME` ('*' for all) adopts its groups. Nothing was written."
    )
    return OlderCopy(said.code, said.message, remedy, subject=server)


def _older_state(server: str, ours: Lineage, noted: Lineage, seen: StoreLineage) -> OlderState:
    since = f"under generation {noted.generation} of a newer one"
    if noted.generation <= ours.generation:
        since = f"by another copy of it, of generation {noted.generation}, which this one knows nothing of"
    return OlderState(
        "RCL5045",
        f"the state is an older copy: it has generation {ours.generation}, and {server} in {seen.path} was written to "
        f"{since}",
        "Put the newest state back. Where that is lost, `reconciler state restore BACKUP` makes an older "
        "one continue, on "
        "record. Until then the store is read alone: `reconciler points`, `reconciler recover VM --to FOLDER`. Nothing "
        "was concluded or written.",
        subject=server,
    )


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
