"""Whole policy folders by chance: sites, groups, exclusions, presets as YAML text, over clusters that change.

Every folder is valid by construction. Machines belong to *lanes*; a machine's name begins with its lane and its label
`lane` says the same, so rules that choose by lanes never share a machine, whatever else they ask for.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any, NamedTuple

import yaml
from hypothesis import strategies as st
from msgspec import UNSET

from reconciler.model import ClusterSnapshot, DiskKind, ReplicationMode, VirtualDisk, VirtualMachine
from reconciler.model.cluster import PowerState, Replication
from reconciler.plan import IGNORABLE
from tests.fakes import NOON, machine_id

TODAY = NOON.date()
SYNCHRONIZATIONS = ("15min", "30min", "45min", "1h", "2h", "4h", "6h", "12h", "24h", "60min", "beforeRecoveryPoint")
RETENTIONS = ("1d", "24h", "36h", "1440min", "100000s", "5d", "14d", "2w", "12w", "1mo", "5mo", "12mo", "1y", "448d")
RPOS = ("1s", "90min", "2h", "25h", "3d", "1w", "1mo", "1y")
EXISTING = ("retain", "keepForever", "expireNow")
LANES = ("alpha", "bravo", "cargo", "delta", "ember", "fargo", "guild", "hotel")
NAMES = ("gold", "gold-vms", "silver", "bronze-2", "iron", "tin", "lead", "zinc")
DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
WEEKS = ("First", "Second", "Third", "Fourth", "Last")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LAST_DAYS = dict(zip(MONTHS, (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))
VOLUMES = ("vol-a", "vol-b", "vol-c")
_FIXED = {"apiVersion": "reconciler/v1"}
_SafeDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Clock(str):
    """A clock time; written in quotes, as the policy language wants it."""

    __slots__ = ()


class _Dumper(_SafeDumper):  # type: ignore[misc]
    pass


_Dumper.add_representer(
    Clock, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)


class Scene(NamedTuple):
    """A policy folder (file name -> bytes), the clusters as they are then, and what somebody does to the servers
    behind our back before it: (which group, what)."""

    texts: dict[str, bytes]
    clusters: tuple[ClusterSnapshot, ...]
    meddling: tuple[tuple[int, str], ...] = ()

    def __repr__(self) -> str:
        """Short enough for hypothesis, which refuses long ones."""
        texts = "\n".join(f"# {name}\n{text.decode()}" for name, text in self.texts.items())
        machines = [each.name for cluster in self.clusters for each in cluster.machines]
        return f"<{machines} {self.meddling}\n{texts[:6000]}>"


class Stage(NamedTuple):
    """What stays the same through a history: the names of the clusters, and the volumes of each server."""

    clusters: tuple[str, ...]
    servers: dict[str, tuple[str, ...]]


# --- Site --------------------------------------------------------------------------------------------------------


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    clusters = draw(st.sampled_from([("hci-01",), ("hci-01", "hci-02")]))
    count = draw(st.integers(1, 3))
    pools = st.sampled_from([VOLUMES[:1], VOLUMES[:2], VOLUMES[1:], VOLUMES])
    return Stage(clusters, {f"mabs-{number:02d}": draw(pools) for number in range(1, count + 1)})


def _site(draw: st.DrawFn, stage: Stage) -> dict[str, Any]:
    servers = []
    for name, volumes in stage.servers.items():
        server: dict[str, Any] = {
            "name": name,
            "engine": {"embedded": {"path": f"var/{name}"}},
            "volumes": [{"name": volume, "capacity": "80 TB"} for volume in volumes],
        }
        servers.append(server | draw(st.sampled_from([{}, {"bin": "2w"}, {"throughput": "400 MB/s"}])))
    spec: dict[str, Any] = {
        "timeZone": draw(st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Auckland"])),
        "prune": draw(st.sampled_from([True, True, False])),
        "state": {"sqlite": {"path": "var/hq.db"}},
        "clusters": [{"name": each, "inventory": {"directory": {"path": f"c/{each}"}}} for each in stage.clusters],
        "servers": servers,
    }
    if draw(st.booleans()):
        to = draw(st.sampled_from(sorted(stage.servers)))
        spec["placement"] = [{"labels": {"tier": "gold"}, "server": to}]
    return {**_FIXED, "kind": "Site", "metadata": {"name": "hq"}, "spec": spec}


# --- Groups ------------------------------------------------------------------------------------------------------

_some_days = st.lists(st.sampled_from(DAYS), unique=True, min_size=1, max_size=7)
_clock = st.builds(lambda h, m: Clock(f"{h:02d}:{m:02d}"), st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))


@st.composite
def times(draw: st.DrawFn) -> dict[str, Any]:
    """Clock times on days, in every way in which days can be written."""
    told: dict[str, Any] = {"times": draw(st.lists(_clock, min_size=1, max_size=3))}
    shape = draw(st.sampled_from(["", "days", "weeks", "months", "daysOfMonth", "yearly", "both"]))
    if shape in ("days", "weeks", "both"):
        told["days"] = draw(_some_days)
    if shape in ("weeks", "both"):
        told["weeks"] = draw(st.lists(st.sampled_from(WEEKS), min_size=1, max_size=3))
    if shape in ("months", "yearly", "both"):
        told["months"] = draw(st.lists(st.sampled_from(MONTHS), min_size=1, max_size=4))
    if shape in ("daysOfMonth", "yearly", "both"):
        last = max((LAST_DAYS[month] for month in told.get("months", ())), default=31)
        told["daysOfMonth"] = draw(st.lists(st.integers(1, last), min_size=1, max_size=3))
    return told


@st.composite
def short_terms(draw: st.DrawFn) -> dict[str, Any]:
    term: dict[str, Any] = {
        "retention": draw(st.sampled_from(RETENTIONS)),
        "synchronization": draw(st.sampled_from(SYNCHRONIZATIONS)),
    }
    if term["synchronization"] == "beforeRecoveryPoint":
        term["recoveryPoints"] = draw(times())
    elif draw(st.booleans()):
        term["expressFull"] = draw(times())
    if draw(st.booleans()):
        term["minimumPoints"] = draw(st.sampled_from([3, 4, 30, 448]))
    if draw(st.booleans()):
        term["rpo"] = draw(st.sampled_from(RPOS))
    return term


def selector(draw: st.DrawFn, cluster: str, lane: str) -> dict[str, Any]:
    """Machines of a lane, and of them as few as the other fields leave."""
    by = draw(st.sampled_from(["names", "labels", "both"]))
    told: dict[str, Any] = {"cluster": cluster}
    if by != "labels":
        shapes = [
            [f"{lane}-*"],
            [f"{lane.upper()}-*"],
            [f"{lane[0]}*"],
            [f"{lane}-?", f"{lane}-1?"],
            [f"{lane[:3]}??-*"],
        ]
        told["names"] = draw(st.sampled_from(shapes))
    if by != "names":
        told["labels"] = {"lane": lane} | draw(st.sampled_from([{}, {}, {"tier": "gold"}]))
    more: dict[str, list[Any]] = {
        "except": [[f"{lane}-1"], ["*-2", "*-3"], ["nobody"]],
        "nodes": [["n1"], ["N*"], ["n1", "n2"]],
        "volumes": [["csv-01"], ["csv-0?"]],
        "operatingSystems": [["windows"], ["Win*", "linux"], ["*2022*"]],
        "replicaRole": ["primary", "replica", "none"],
    }
    for field in draw(st.lists(st.sampled_from(sorted(more)), unique=True, max_size=2)):
        told[field] = draw(st.sampled_from(more[field]))
    return told


def _rules(draw: st.DrawFn, stage: Stage, lanes: list[str], volumes: tuple[str, ...]) -> list[dict[str, Any]]:
    rules = []
    for lane in lanes:
        for _ in range(draw(st.integers(1, 2))):
            rule: dict[str, Any] = {"virtualMachines": selector(draw, draw(st.sampled_from(stage.clusters)), lane)}
            extra = draw(st.sampled_from(["", "", "level", *(["storage"] if volumes else [])]))
            if extra == "level":
                rule["level"] = "host"
            elif extra == "storage":
                rule["storage"] = {"volume": draw(st.sampled_from(volumes))}
            rules.append(rule)
    return rules


def _group(draw: st.DrawFn, stage: Stage, name: str, lanes: list[str]) -> dict[str, Any]:
    server = draw(st.sampled_from([*stage.servers, "auto"]))
    shared = set(VOLUMES).intersection(*stage.servers.values())
    volumes = stage.servers.get(server) or tuple(sorted(shared))
    spec: dict[str, Any] = {
        "site": "hq",
        "server": server,
        "members": _rules(draw, stage, lanes, volumes),
        "shortTerm": draw(short_terms()),
    }
    optional: dict[str, Any] = {
        "colocate": st.just(False),
        "replicaCreation": st.just("now"),
        "consistencyCheck": checks(),
        "existingPoints": st.sampled_from(EXISTING),
        "deletionProtection": st.booleans(),
        "paused": st.builds(
            lambda until: {"reason": "the storage is moved", "owner": "ops@corp.example", "until": until},
            st.sampled_from([TODAY - timedelta(days=1), TODAY, TODAY + timedelta(days=30)]),
        ),
        "ignore": st.lists(ignores(), min_size=1, max_size=2),
    }
    if volumes:
        optional["storage"] = st.sampled_from([{"volume": volume} for volume in volumes])
    for field in draw(st.lists(st.sampled_from(sorted(optional)), unique=True, max_size=5)):
        spec[field] = draw(optional[field])
    metadata: dict[str, Any] = {"name": name}
    if draw(st.booleans()):
        metadata["labels"] = draw(st.sampled_from([{"tier": "gold"}, {"tier": "iron", "app": ""}]))
    return {**_FIXED, "kind": "ProtectionGroup", "metadata": metadata, "spec": spec}


@st.composite
def checks(draw: st.DrawFn) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if draw(st.booleans()):
        told["whenInconsistent"] = draw(st.booleans())
    if draw(st.booleans()):
        told["schedule"] = {"time": draw(_clock)} | draw(st.sampled_from([{}, {"maxHours": 1}, {"maxHours": 24}]))
    return told


@st.composite
def ignores(draw: st.DrawFn) -> dict[str, Any]:
    # A group whose displayName is ignored may go on under a name that another one is to have: that is refused, RCL3092.
    fields = sorted(set(IGNORABLE) - {"displayName"})
    rule: dict[str, Any] = {"field": draw(st.sampled_from(fields)), "reason": "moved by hand for now"}
    until = draw(st.sampled_from([None, TODAY - timedelta(days=1), TODAY, date(2027, 1, 31)]))
    return rule | ({"until": until} if until else {})


# --- Presets -----------------------------------------------------------------------------------------------------


def _extend(draw: st.DrawFn, group: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Moves some fields of a group into a preset that it extends; what the group writes itself wins over others."""
    spec = group["spec"]
    movable = [field for field in spec if field not in ("site", "server")]
    moved = draw(st.lists(st.sampled_from(movable), unique=True, max_size=3))
    if not moved:
        return None
    shared: dict[str, Any] = {}
    for field in moved:
        if field == "shortTerm" and draw(st.booleans()):
            shared[field] = {"retention": "7d", "minimumPoints": spec[field].get("minimumPoints", 3)}
        else:
            shared[field] = spec.pop(field)
    if "members" in shared:
        # A preset whose list is replaced shows that lists are not joined.
        shared, spec["members"] = shared | {"members": shared["members"][:1]}, shared["members"]
    group["extends"] = [name]
    return {**_FIXED, "kind": "Preset", "metadata": {"name": name}, "for": "ProtectionGroup", "spec": shared}


# --- Folders -----------------------------------------------------------------------------------------------------


def _documents(draw: st.DrawFn, stage: Stage) -> list[dict[str, Any]]:
    documents = [_site(draw, stage)]
    lanes = list(draw(st.permutations(LANES)))
    count = draw(st.integers(0, 6))
    names = list(draw(st.permutations(NAMES)))
    unused = names[count:]
    for number in range(count):
        both = draw(st.sampled_from(["", "two"]))
        mine = [lanes[number], lanes[6]] if number == 0 and both else [lanes[number]]
        group = _group(draw, stage, names[number], mine)
        if draw(st.sampled_from([False, False, True])):
            group["spec"]["displayName"] = (
                f"{draw(st.sampled_from(['The', 'Our 2']))} {names[number].replace('-', ' ')}"
            )
        if draw(st.booleans()) and unused:
            group["spec"]["renamedFrom"] = [unused.pop() for _ in range(min(len(unused), draw(st.integers(1, 2))))]
        preset = _extend(draw, group, f"shared-{number}") if draw(st.sampled_from([False, True])) else None
        documents += [preset, group] if preset is not None else [group]
    if draw(st.booleans()):
        spec = {
            "site": "hq",
            "virtualMachines": selector(draw, draw(st.sampled_from(stage.clusters)), lanes[7]),
            "reason": "rebuilt every night",
            "owner": "platform",
            "until": draw(st.sampled_from([TODAY - timedelta(days=1), date(2027, 3, 1)])),
        }
        documents.append({**_FIXED, "kind": "Exclusion", "metadata": {"name": "scratch"}, "spec": spec})
    return documents


def _texts(draw: st.DrawFn, documents: list[dict[str, Any]]) -> dict[str, bytes]:
    """The documents in files, in any order, several to a file, in either style of YAML."""
    files: dict[str, list[bytes]] = {}
    for document in draw(st.permutations(documents)):
        name = draw(st.sampled_from(["a.yaml", "z.yml", "groups/b.yaml", "groups/deep/c.yaml"]))
        if draw(st.booleans()):
            text = yaml.dump(document, Dumper=_Dumper, sort_keys=False).encode()
        else:
            text = json.dumps(document, default=str).encode() + b"\n"
        files.setdefault(f"policies/{name}", []).append(text)
    return {name: b"---\n".join(files[name]) for name in sorted(files)}


# --- Clusters ----------------------------------------------------------------------------------------------------


def _machine(draw: st.DrawFn, number: int) -> VirtualMachine:
    lane = LANES[(number + draw(st.sampled_from([0, 0, 0, 1]))) % len(LANES)]
    look = draw(st.integers(0, 5))
    roles = (UNSET, ReplicationMode.NONE, ReplicationMode.NONE, ReplicationMode.PRIMARY, ReplicationMode.REPLICA)
    role = roles[draw(st.integers(0, 4))]
    disk = VirtualDisk(path="d.vhdx", kind=DiskKind.VHDX, volume="csv-01" if look % 2 else "csv-02", size_bytes=10**9)
    return VirtualMachine(
        id=machine_id(number),
        name=f"{lane}-{number}",
        node=("n1", "n2", "")[look % 3],
        power=PowerState.OFF,
        checkpoints=(),
        replication=UNSET if role is UNSET else Replication(mode=role),
        disks=(disk,) if look else (),
        guest_system=("windows", "linux", UNSET)[look % 3],
        guest_version="Windows Server 2022" if look % 3 == 0 else UNSET,
        labels={"lane": lane} | ({"tier": "gold"} if look > 2 else {}),
    )


def _clusters(draw: st.DrawFn, stage: Stage, homes: list[int]) -> tuple[ClusterSnapshot, ...]:
    """The clusters now; some machines may be gone, moved or changed since the last time."""
    away = draw(st.sets(st.integers(0, 9), max_size=6))
    seen = []
    for index, cluster in enumerate(stage.clusters):
        here = [n for n, home in enumerate(homes) if n not in away and home in (index, 2)]
        machines = sorted((_machine(draw, number) for number in here), key=lambda each: each.id)
        seen.append(ClusterSnapshot(name=cluster, taken_at=NOON, machines=tuple(machines)))
    return tuple(seen)


@st.composite
def histories(draw: st.DrawFn, most: int = 4, *, meddled: bool = True) -> tuple[Stage, list[Scene]]:
    """One to `most` folders, one after the other, on the same servers."""
    stage = draw(stages())
    homes = draw(st.lists(st.sampled_from([0, 0, 1, 2]), max_size=10))
    scenes: list[Scene] = []
    for _ in range(draw(st.integers(1, most))):
        texts = _texts(draw, _documents(draw, stage))
        what = st.tuples(st.integers(0, 5), st.sampled_from(["retention", "title", "member", "stop", "points"]))
        meddling = tuple(draw(st.lists(what, max_size=2))) if scenes and meddled else ()
        scenes.append(Scene(texts, _clusters(draw, stage, homes), meddling))
    return stage, scenes
