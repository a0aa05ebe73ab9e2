"""Starting: a few answers -> the files of a first site: policies, a guardrail and its test, a file for CI."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from reconciler import __version__, files
from reconciler.parse.write import yaml_text

#: Where each CI service looks for its file. What is in it stands in `ci/`, beside this module.
CI_FILES = {"github": ".github/workflows/policies.yml", "azure": "azure-pipelines.yml"}

_TEMPLATES = Path(__file__).parent / "ci"

_GUARDRAIL = """\
# Rules that every change of the policies is checked against. `reconciler policy test` tries them, with the cases in
# tests/policies/guardrails.yaml.
apiVersion: reconciler/v1
kind: Guardrail
metadata: {name: consistency-is-checked}
spec:
  match: {kinds: [ProtectionGroup]}
  validations:
    - expression: object.spec.consistencyCheck.whenInconsistent
      message: a replica that became inconsistent is checked without a person
  enforce: warn
"""

_GUARDRAIL_TEST = """\
# What the guardrails in policies/guardrails.yaml say, case by case. A case names what it is about; the rest is
# filled in.
guardrail: consistency-is-checked
cases:
  - {name: not written, object: {}, expect: warn}
  - {name: written, object: {spec: {consistencyCheck: {whenInconsistent: true}}}, expect: allow}
"""

#: What the first line of a policy file says to editors; the path counts from policies/.
HEADER = "# yaml-language-server: $schema=../schemas/policy.schema.json\n"


class Answers(msgspec.Struct, frozen=True):
    """What a first site needs; every text as it is written in a policy."""

    site: str = "hq"
    time_zone: str = "UTC"
    cluster: str = "hci-01"
    inventory: str = "clusters/hci-01"
    server: str = "mabs-01"
    store: str = "var/mabs-01"
    volume: str = "vol-a"
    capacity: str = "1 TB"
    group: str = "all-vms"
    machines: tuple[str, ...] = ("*",)
    retention: str = "14d"
    synchronization: str = "1h"
    prune: bool = False


def ignored(answers: Answers, *, sample: bool) -> tuple[str, ...]:
    """What Git leaves alone: the state, the store, our notes and a sample cluster, as lines of a ``.gitignore``. A
    folder outside of the root needs none."""
    places = ["var", ".reconciler", answers.store, *([answers.inventory] if sample else [])]
    lines = [f"/{PurePosixPath(place)}/" for place in places if _inside(place)]
    return tuple(dict.fromkeys(line for line in lines if line == "/var/" or not line.startswith("/var/")))


def _inside(place: str) -> bool:
    return not PurePosixPath(place).is_absolute() and ".." not in PurePosixPath(place).parts


def starter_files(answers: Answers, ci: str) -> dict[str, str]:
    """Path from the root -> text. `ci` is a key of `CI_FILES`, or "none"."""
    texts = {f"policies/{name}": text for name, text in first_policies(answers).items()}
    texts["policies/guardrails.yaml"] = HEADER + _GUARDRAIL
    texts["tests/policies/guardrails.yaml"] = _GUARDRAIL_TEST
    if ci in CI_FILES:
        template = files.read_text(_TEMPLATES / f"{ci}.yml")
        texts[CI_FILES[ci]] = template.replace("VERSION", __version__)
    return texts


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
    prune = "is stopped, once that is approved" if answers.prune else "stays as it is, with a warning"
    about = f"# Where things are. A group that is removed from these files {prune}.\n"
    return {
        "site.yaml": HEADER + about + yaml_text(site),
        f"{answers.group}.yaml": HEADER
        + "# Which virtual machines are protected, how often, and for how long.\n"
        + yaml_text(group),
    }
