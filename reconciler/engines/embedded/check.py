"""Checking a store: what the catalogs say against what lies in the folders. Changes nothing."""

from __future__ import annotations

from reconciler.engines.embedded import copies
from reconciler.engines.embedded.blocks import decode
from reconciler.engines.embedded.packs import PackReader, pack_path, read_footer
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.engines.embedded.sealed import seal
from reconciler.engines.embedded.upgrade import UNNAMED
from reconciler.errors import Damaged, Diagnostic, Severity


class Counts:
    """What was looked at."""

    def __init__(self) -> None:
        self.replicas = 0
        self.points = 0
        self.packs = 0
        self.blocks = 0
        self.read_bytes = 0


def check_replica(store: ReplicaStore, part: tuple[int, int] | None, counts: Counts) -> list[Diagnostic]:
    """Everything wrong with one replica store. `part` (n, m): the data of every pack whose place is n modulo m is
    read and hashed too."""
    findings = check_catalog(store, counts)
    name = _name(store)
    bad: set[bytes] = set(store.bad_blocks())
    for place, (pack, size) in enumerate(sorted(store.pack_sizes().items()), start=1):
        counts.packs += 1
        findings += _pack(store, name, pack, size)
        if part is not None and place % part[1] == part[0] % part[1]:
            bad |= _data(store, pack, counts)
    if bad:
        findings.append(_finding("RCL4004", name, f"{len(bad)} block(s) do not read back as they were written"))
    return findings + _points(store, name, bad, counts)


def check_catalog(store: ReplicaStore, counts: Counts) -> list[Diagnostic]:
    """Everything wrong with the catalog itself, and with the copies of the maps."""
    counts.replicas += 1
    folder = store.folder.name
    findings = [_finding("RCL4002", folder, f"its catalog is damaged: {trouble}") for trouble in store.integrity()]
    findings += [error.diagnostic for error in store.lineage_faults()]
    findings += [store.rows.fault(fault).diagnostic for fault in _rows(store)]
    unsaid = store.identity_fault()
    findings += [unsaid] if unsaid is not None else []
    return findings + _copies(store, _name(store))


def _pack(store: ReplicaStore, name: str, pack: str, size: int) -> list[Diagnostic]:
    path = pack_path(store.packs, pack)
    try:
        found = path.stat().st_size
    except OSError:
        return [_finding("RCL4005", name, f"the pack {pack} is missing")]
    if found != size:
        return [_finding("RCL4005", name, f"the pack {pack} has {found} bytes, not {size}")]
    try:
        footer = read_footer(path)
    except Damaged as error:
        return [_finding("RCL4005", name, error.diagnostic.message)]
    if footer.pack != pack or not store.is_mine(footer):
        return [_finding("RCL4005", name, f"the pack {pack} is not one of this replica store: it says {footer.head}")]
    wrong = [block for block_name, block in store.blocks_of_pack(pack) if footer.blocks.get(block_name) != block]
    if wrong:
        return [_finding("RCL4005", name, f"the footer of pack {pack} contradicts the catalog on {len(wrong)} blocks")]
    return []


def _data(store: ReplicaStore, pack: str, counts: Counts) -> set[bytes]:
    bad = set()
    with PackReader(store.packs) as reader:
        for block_name, block in store.blocks_of_pack(pack):
            counts.blocks += 1
            counts.read_bytes += block.length
            try:
                decode(block_name, block.encoding, reader.payload(block), block.block_length)
            except Damaged:
                bad.add(block_name)
    return bad


def _name(store: ReplicaStore) -> str:
    try:
        return store.facts().machine_name or store.folder.name
    except Damaged:
        return store.folder.name


def _rows(store: ReplicaStore) -> list[str]:
    """Every row of the catalog that is not as it was written, and tables that lack some."""
    rows = store.rows
    try:
        kinds = rows.kinds()
    except Damaged:
        return []
    faults = [fault for kind in sorted(kinds - {"machine_map", "stored_block"}) for fault in rows.all(kind).faults]
    for table, values in (
        ("machine_map", ("id", "base", "depth", "body")),
        ("stored_block", ("name", "pack", "offset", "length", "block_length", "encoding", "base")),
    ):
        faults += _table(store, table, values)
    return faults


def _table(store: ReplicaStore, table: str, columns: tuple[str, ...]) -> list[str]:
    count = total = wrong = 0
    identity = store.rows.store
    for row in store.rows.db.execute(f"SELECT {', '.join(columns)}, seal FROM {table}"):
        *values, mark = row
        count += 1
        wanted = seal(identity, table, *values)
        wrong += wanted != mark
        total += int.from_bytes(wanted, "big")
    if wrong:
        return [f"{wrong} rows of {table} are not as they were written"]
    return store.rows.tally_faults(table, count, total)


def _copies(store: ReplicaStore, name: str) -> list[Diagnostic]:
    """The copies of maps, against the catalog: each must be there, read, and be of this store."""
    if store.rows.store == UNNAMED:
        return []
    findings = []
    there: dict[int, bytes] = {}
    for each in copies.named(store.points_folder):
        try:
            copy = copies.read(each.path)
        except Damaged as error:
            findings.append(error.diagnostic)
            continue
        if copy.store != store.rows.store or (copy.number, copy.generation) != each[:2]:
            what = f"the copy {each.path.name} is of {copy.source} in the replica store {copy.store}"
            findings.append(_finding("RCL4023", name, what))
        else:
            there[copy.number] = copy.body
    for row in store.rows.db.execute("SELECT id, body FROM machine_map ORDER BY id"):
        if row["id"] not in there:
            findings.append(_finding("RCL4024", name, f"the copy of the map {row['id']} is missing or damaged"))
        elif there[row["id"]] != row["body"]:
            findings.append(_finding("RCL4024", name, f"the map {row['id']} and its copy differ"))
    return findings


def _points(store: ReplicaStore, name: str, bad: set[bytes], counts: Counts) -> list[Diagnostic]:
    """Every block of every point must be in a pack, and a good one."""
    findings = []
    known: dict[bytes, bool] = {}
    for point in store.point_records()[0]:
        if point.binned_at is not None:
            continue
        counts.points += 1
        try:
            machine = store.map_of(point.id)
        except Damaged as error:
            findings.append(_finding("RCL4006", name, f"point {point.id}: {error.diagnostic.message}"))
            continue
        lost = 0
        for block_name in machine.names() if machine else ():
            if block_name not in known:
                known[block_name] = block_name not in bad and store.block(block_name) is not None
            lost += not known[block_name]
        if lost:
            findings.append(
                _finding("RCL4006", name, f"point {point.id} cannot be recovered whole: {lost} lost blocks")
            )
    return findings


def _finding(code: str, subject: str, what: str) -> Diagnostic:
    remedy = "Run `reconciler check` for the virtual machine: what the source still holds is stored again."
    return Diagnostic(code, Severity.ERROR, what, remedy, subject=subject)
