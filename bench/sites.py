"""Sites of any size for benchmarks: policies, an exported inventory, and an exported catalog with its ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from reconciler.control.observe import Observation
from reconciler.control.planning.from_files import situation_then
from reconciler.control.policy_folder import FOLDER, read_good
from reconciler.model import (
    CatalogSnapshot,
    ClusterSnapshot,
    LedgerEntry,
    ObservedGroup,
    PoolVolume,
    Replica,
    ReplicaState,
    ServerFacts,
)
from reconciler.model.cluster import ClusterVolume, DiskKind, Node, Replication, VirtualDisk, VirtualMachine
from reconciler.plan import DesiredGroup, desired_state
from reconciler.snapshots import ExportedCatalog, write_catalog, write_inventory
from reconciler.wiring import choose_site

NOW = datetime(2026, 3, 10, 20, 0, tzinfo=UTC)
GROUPS = 200
#: A backup server protects 800 machines; half of it leaves room.
ON_A_SERVER = 500
CLUSTER = "hci-01"
_VOLUMES = 8
_SITE = """apiVersion: reconciler/v1
kind: Site
metadata: {name: hq}
spec:
  timeZone: Europe/Berlin
  prune: false
  state: {sqlite: {path: var/hq.db}}
  clusters: [{name: hci-01, inventory: {directory: {path: clusters/hci-01}}, churn: {default: 3%/d}}]
  servers:
"""
_SERVER = "    - {name: SERVER, engine: {embedded: {path: var/SERVER}}, volumes: [{name: vol-a, capacity: 75 TB}]}\n"
_GROUP = """# What application NUMBER runs: a point every four hours, kept for RETENTION days.
apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: app-NUMBER, labels: {tier: gold}}
spec:
  displayName: Application NUMBER
  site: hq
  server: SERVER
  members:
    - virtualMachines: {cluster: hci-01, labels: {app: app-NUMBER}, except: ["*-scratch"]}
      storage: {volume: vol-a}
  shortTerm: {retention: RETENTIONd, synchronization: 4h, expressFull: {times: ["22:00"], days: [Sa]}}
  consistencyCheck: {whenInconsistent: true}
"""


class BenchSite(NamedTuple):
    """The root of a site with its files."""

    root: Path
    inventory: Path
    catalog: Path


def groups_for(count: int) -> int:
    """How many groups protect `count` machines: 200, more where a server's 800 machines need them."""
    return max(GROUPS, -(-count // ON_A_SERVER))


def write_site(root: Path, count: int, *, lines: bool, changed: bool = False) -> BenchSite:
    """A site whose servers are as its policies say; with `changed` one machine in a hundred is newer than that."""
    groups = groups_for(count)
    _write_policies(root / FOLDER, count, groups)
    form = "jsonl" if lines else "json"
    site = BenchSite(root, root / f"inventory.{form}", root / f"catalog.{form}")
    machines = tuple(_machine(number, groups) for number in range(count))
    nodes = tuple(Node(name=f"n{number:02d}", integration_version="10.0") for number in range(16))
    volumes = tuple(
        ClusterVolume(name=f"csv-{number:02d}", free_bytes=2**60, deduplicated=False) for number in range(_VOLUMES)
    )
    cluster = ClusterSnapshot(name=CLUSTER, taken_at=NOW, nodes=nodes, volumes=volumes, machines=machines)
    write_inventory(site.inventory, [cluster])
    older = tuple(machine for number, machine in enumerate(machines) if not (changed and number % 100 == 0))
    before = msgspec.structs.replace(cluster, machines=older)
    write_catalog(site.catalog, _held(root, before))
    return site


def _write_policies(folder: Path, count: int, groups: int) -> None:
    folder.mkdir(parents=True)
    servers = sorted({_server(number, count, groups) for number in range(groups)})
    (folder / "site.yaml").write_text(_SITE + "".join(_SERVER.replace("SERVER", name) for name in servers))
    for number in range(groups):
        text = _GROUP.replace("NUMBER", f"{number:05d}").replace("RETENTION", str(5 + number % 30))
        (folder / f"app-{number:05d}.yaml").write_text(text.replace("SERVER", _server(number, count, groups)))


def _server(group: int, count: int, groups: int) -> str:
    return f"mabs-{group * max(1, -(-count // ON_A_SERVER)) // groups:04d}"


def _machine(number: int, groups: int) -> VirtualMachine:
    app = number % groups
    # One guest in twenty runs Linux, which is advised about.
    system, version = ("linux", "12") if number % 20 == 0 else ("windows", ("2019", "2022")[number % 2])
    volume = f"csv-{number % _VOLUMES:02d}"
    folder = f"{volume}/vm-{number:07d}"
    return VirtualMachine(
        id=str(UUID(int=number << 64)),
        name=f"vm-{number:07d}",
        node=f"n{number % 16:02d}",
        guest_system=system,
        guest_version=version,
        replication=Replication(),
        checkpoints=(),
        labels={
            "app": f"app-{app:05d}",
            "tier": ("gold", "silver")[number % 2],
            "owner": f"team-{number % 50:02d}",
            "env": ("prod", "test", "dev")[number % 3],
            "ticket": f"C{number:07d}",
        },
        disks=tuple(
            VirtualDisk(
                path=f"{folder}/{name}.vhdx",
                kind=DiskKind.VHDX,
                volume=volume,
                allocated_bytes=size,
            )
            for name, size in (("c", 16 * 2**30), ("d", 24 * 2**30))
        ),
    )


def _held(root: Path, cluster: ClusterSnapshot) -> ExportedCatalog:
    """What the servers hold when everything was applied to what the cluster shows."""
    policies = read_good(root).policies
    document = choose_site(policies, None)
    observation = Observation(NOW, {cluster.name: cluster}, {}, ())
    desired = desired_state(policies, situation_then(document, observation))
    by_server: dict[str, list[DesiredGroup]] = {server.name: [] for server in document.spec.servers}
    for group in desired.groups:
        by_server[group.server].append(group)
    catalogs = {server: _catalog(server, groups) for server, groups in by_server.items()}
    return ExportedCatalog("hq", catalogs, tuple(_entry(group) for group in desired.groups))


def _catalog(server: str, groups: list[DesiredGroup]) -> CatalogSnapshot:
    replicas = [
        Replica(
            source=member.source,
            volume="vol-a",
            state=ReplicaState.VALID,
            group=group.group.name,
            machine_name=known.name,
            node=known.node,
            retention=group.group.short_term.retention,
            source_bytes=40 * 2**30,
            stored_bytes=52 * 2**30,
            synchronized_at=NOW - timedelta(hours=1),
        )
        for group in groups
        for member, known in zip(group.group.members, group.known, strict=True)
    ]
    replicas.sort(key=lambda replica: replica.source)
    return CatalogSnapshot(
        server=server,
        taken_at=NOW,
        facts=ServerFacts(engine="embedded", version="1"),
        groups=tuple(ObservedGroup(f"ref-{each.group.name}", each.group) for each in groups),
        replicas=tuple(replicas),
        volumes=(PoolVolume("vol-a", 75 * 10**12, 30 * 10**12),),
    )


def _entry(group: DesiredGroup) -> LedgerEntry:
    ref, at = f"ref-{group.group.name}", NOW - timedelta(days=1)
    return LedgerEntry(
        group.server, ref, group.group, at, "run", group.known, group.selectors, group.labels, group.document
    )


# --- The same records for octoDNS ------------------------------------------------------------------------------


def write_zones(root: Path, count: int, *, changed: bool = False) -> Path:
    """As many records as machines, in YAML on both sides; with `changed` one in a hundred differs. Returns the
    configuration."""
    for side in ("source", "target"):
        (root / side).mkdir(parents=True)
        text = "".join(_records(count, changed=changed and side == "source"))
        (root / side / "example.com.yaml").write_text("---\n" + text)
    config: dict[str, Any] = {
        "providers": {
            "source": {"class": "octodns.provider.yaml.YamlProvider", "directory": str(root / "source")},
            "target": {"class": "octodns.provider.yaml.YamlProvider", "directory": str(root / "target")},
        },
        "zones": {"example.com.": {"sources": ["source"], "targets": ["target"]}},
    }
    path = root / "config.yaml"
    path.write_text(json.dumps(config))
    return path


def _records(count: int, *, changed: bool) -> Iterator[str]:
    for number in range(count):
        ttl = 600 if changed and number % 100 == 0 else 300
        octets = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        yield f"vm-{number:07d}:\n  ttl: {ttl}\n  type: A\n  value: {octets}\n"
