"""Checking a store: what the catalogs say against what lies in the folders. Changes nothing."""

from __future__ import annotations

from reconciler.engines.embedded.blocks import decode
from reconciler.engines.embedded.packs import PackReader, pack_path, read_footer
from reconciler.engines.embedded.replica import ReplicaStore
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
    name = store.facts().machine_name or store.folder.name
    findings = [_finding("RCL4002", name, f"its catalog is damaged: {trouble}") for trouble in store.integrity()]
    counts.replicas += 1
    bad: set[bytes] = set(store.bad_blocks())
    for place, (pack, size) in enumerate(sorted(store.pack_sizes().items()), start=1):
        counts.packs += 1
        findings += _pack(store, name, pack, size)
        if part is not None and place % part[1] == part[0] % part[1]:
            bad |= _data(store, pack, counts)
    if bad:
        findings.append(_finding("RCL4004", name, f"{len(bad)} block(s) do not read back as they were written"))
    return findings + _points(store, name, bad, counts)


def _pack(store: ReplicaStore, name: str, pack: str, size: int) -> list[Diagnostic]:
    path = pack_path(store.packs, pack)
    try:
        found = path.stat().st_size
    except OSError:
        return [_finding("RCL4005", name, f"the pack {pack} is not there")]
    if found != size:
        return [_finding("RCL4005", name, f"the pack {pack} has {found} bytes, not {size}")]
    try:
        footer = read_footer(path)
    except Damaged as error:
        return [_finding("RCL4005", name, error.diagnostic.message)]
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


def _points(store: ReplicaStore, name: str, bad: set[bytes], counts: Counts) -> list[Diagnostic]:
    """Every block of every point must be in a pack, and a good one."""
    findings = []
    known: dict[bytes, bool] = {}
    for point in store.points():
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
    remedy = "Run `reconciler check` for the machine: what the source still holds is stored anew."
    return Diagnostic(code, Severity.ERROR, what, remedy, subject=subject)
