"""A sample: answers about a first site -> the files of a small cluster on disk, with a virtual machine for each pattern
of its first protection group."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import msgspec

from reconciler.control.authoring.starter_files import Answers

#: Bytes of a sample disk. What is in it looks like data: a third of it does not compress.
_DISK = 4 * 2**20
_NODE = "node-01"
_VOLUME = "csv-01"


def sample_cluster(answers: Answers) -> dict[str, bytes]:
    """Path from the cluster's folder -> bytes. The same answers give the same files."""
    chance = random.Random(f"{answers.site}/{answers.cluster}")
    volume = {"name": _VOLUME, "sizeBytes": 10**11, "freeBytes": 9 * 10**10, "fileSystem": "CSVFS_ReFS"}
    found = {
        "cluster.json": _json({"name": answers.cluster, "functionalLevel": "12", "volumes": [volume]}),
        f"nodes/{_NODE}.json": _json({"name": _NODE, "agent": {"state": "working"}, "maintenance": False}),
    }
    for name in _names(answers):
        guid = str(UUID(int=chance.getrandbits(128), version=4))
        home = f"volumes/{_VOLUME}/{guid}"
        role = {"ownerNode": _NODE, "folder": home, "resourceGroup": name, "power": "running"}
        found[f"roles/{guid}.json"] = _json(role)
        stated: dict[str, Any] = {
            "id": guid,
            "name": name,
            "generation": 2,
            "guestSystem": "linux",
            "integrationState": "upToDate",
            "replication": {"mode": "none"},
            "checkpoints": [],
            "disks": [{"path": "disk-0.raw"}],
        }
        found[f"{home}/vm.json"] = _json(stated)
        found[f"{home}/disk-0.raw"] = (chance.randbytes(_DISK // 3) + b"sample data. " * _DISK)[:_DISK]
    return found


def _names(answers: Answers) -> list[str]:
    """A name that each pattern of the group matches, once."""
    names = []
    for number, pattern in enumerate(answers.machines, start=1):
        names.append(f"sample-{number:02}" if pattern == "*" else pattern.replace("*", "01").replace("?", "1"))
    return list(dict.fromkeys(names)) or ["sample-01"]


def _json(stated: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(stated), indent=2) + b"\n"
