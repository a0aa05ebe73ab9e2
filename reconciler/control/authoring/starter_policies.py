"""Starting: a few answers -> the first policy folder, with schemas for the editor."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import msgspec

from reconciler.parse.write import yaml_text

#: What the first line of a policy file says to editors; the path counts from policies/.
HEADER = "# yaml-language-server: $schema=../schemas/policy.schema.json\n"


class Answers(msgspec.Struct, frozen=True):
    """What a first site needs; every text as it is written in a policy."""

    site: str
    time_zone: str
    cluster: str
    inventory: str
    server: str
    store: str
    volume: str
    capacity: str
    group: str
    machines: tuple[str, ...]
    retention: str
    synchronization: str
    prune: bool


def ignored(answers: Answers) -> tuple[str, ...]:
    """What Git leaves alone: the state, the store and our notes, as lines of a ``.gitignore``. A store outside of the
    root needs none."""
    places = ["var", ".reconciler", *([answers.store] if not PurePosixPath(answers.store).is_absolute() else [])]
    lines = (f"/{PurePosixPath(place)}/" for place in places if ".." not in PurePosixPath(place).parts)
    return tuple(dict.fromkeys(line for line in lines if line == "/var/" or not line.startswith("/var/")))


def first_policies(answers: Answers) -> dict[str, str]:
    """File name below policies/ -> text."""
    site: dict[str, Any] = {
        "apiVersion": "reconciler/v1",
        "kind": "Site",
        "metadata": {"name": answers.site},
        "spec": {
            "timeZone": answers.time_zone,
            "prune": answers.prune,
            "state": {"sqlite": {"path": f"var/state/{answers.site}.db"}},
            "clusters": [{"name": answers.cluster, "inventory": {"directory": {"path": answers.inventory}}}],
            "servers": [
                {
                    "name": answers.server,
                    "engine": {"embedded": {"path": answers.store}},
                    "volumes": [{"name": answers.volume, "capacity": answers.capacity}],
                }
            ],
        },
    }
    group: dict[str, Any] = {
        "apiVersion": "reconciler/v1",
        "kind": "ProtectionGroup",
        "metadata": {"name": answers.group},
        "spec": {
            "site": answers.site,
            "server": answers.server,
            "members": [{"virtualMachines": {"cluster": answers.cluster, "names": list(answers.machines)}}],
            "shortTerm": {"retention": answers.retention, "synchronization": answers.synchronization},
            "consistencyCheck": {"whenInconsistent": True},
        },
    }
    prune = "is stopped, after consent" if answers.prune else "goes on as it is, with a warning"
    about = f"# Where things are. A group that vanishes from these files {prune}.\n"
    return {
        "site.yaml": HEADER + about + yaml_text(site),
        f"{answers.group}.yaml": HEADER
        + "# Which machines are protected, how often, and for how long.\n"
        + yaml_text(group),
    }
