"""Saved plans: a plan and where it comes from -> a file; and back, whole and unchanged or not at all."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import msgspec

from reconciler import __version__, encoded, files
from reconciler.control.observe import Observation
from reconciler.control.policy_folder import noted_commit
from reconciler.control.site import Site, actor
from reconciler.errors import Refused, UsageError
from reconciler.model import FORMAT_VERSION, Origin, Plan, SavedPlan
from reconciler.plan.approval.recompute import Unsound, retold, told_otherwise
from reconciler.secrets import redacted

#: Variable that says which CI this is -> those that say which job.
_CI = {
    "GITHUB_ACTIONS": ("GITHUB_REPOSITORY", "GITHUB_WORKFLOW", "GITHUB_RUN_ID", "GITHUB_ACTOR"),
    "TF_BUILD": ("BUILD_REPOSITORY_NAME", "BUILD_DEFINITIONNAME", "BUILD_BUILDID", "BUILD_REQUESTEDFOR"),
    "GITLAB_CI": ("CI_PROJECT_PATH", "CI_JOB_NAME", "CI_JOB_ID", "GITLAB_USER_LOGIN"),
}

#: The largest saved plan that is read, in bytes.
LARGEST_PLAN = 1 << 30


def origin_of(site: Site, observation: Observation) -> Origin:
    """Where a plan that is made now comes from."""
    return origin_for(site.folder, observation)


def origin_for(root: Path, observation: Observation) -> Origin:
    """Where a plan of the policies below `root` comes from, by what was observed."""
    commit, differing = noted_commit(root)
    seen = {name: snapshot.taken_at for name, snapshot in observation.clusters.items()}
    seen |= {name: catalog.taken_at for name, catalog in observation.catalogs.items()}
    return Origin(actor(), platform.node(), __version__, commit, bool(differing), ci_identity(os.environ), seen)


def ci_identity(environment: Mapping[str, str]) -> str:
    """Which CI job this is; "" for none. Only variables that name the job are read, never others, and credentials in
    a URL among them are left out."""
    for mark, names in _CI.items():
        if environment.get(mark):
            return redacted(" ".join(filter(None, (mark, *(environment.get(name, "") for name in names)))))
    return "CI" if environment.get("CI") else ""


def save(path: Path, plan: Plan, origin: Origin) -> None:
    """Writes the plan, sealed, for its owner's eyes alone."""
    saved = SavedPlan(origin, plan)
    sealed = msgspec.structs.replace(saved, seal=_seal(saved))
    files.write_whole(path, msgspec.json.format(_canonical(sealed), indent=1) + b"\n", 0o600)


def read(path: Path) -> SavedPlan:
    """The plan. Raises `UsageError` where there is no file, `Refused` where it is none of ours, is of a newer major
    version, or was changed since it was written."""
    try:
        data = files.read_regular(path, LARGEST_PLAN)
    except OSError as error:
        what = f"the plan {str(path)!r} cannot be read: {error.strerror or error}"
        raise UsageError("RCL0003", what, "Make one with `reconciler plan --out FILE`.", subject=str(path)) from error
    try:
        head = encoded.read(data, _Head)
        if head.kind != "SavedPlan" or head.format_version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
            what = f"is {head.kind} of version {head.format_version}; this version knows SavedPlan {FORMAT_VERSION}"
            raise _refused("RCL3040", path, what)
        saved = encoded.read(data, SavedPlan)
        seal = hashlib.sha256(_canonical(_unsealed(encoded.read(data, dict[str, object])))).hexdigest()
    except (encoded.Wrong, ValueError) as error:
        raise _refused("RCL3040", path, f"is not a saved plan: {error}") from error
    if seal != saved.seal:
        raise _refused("RCL3041", path, "was changed after it was saved")
    return saved


def shown(plan: Plan) -> Plan:
    """The plan of a file as people may see it: each step as its action tells it. Where the file says otherwise that is
    a finding. What only a server knows (points, bytes) is what the file says; it is worked out anew when it is
    applied. Raises `Refused`, RCL3101, where the steps contradict each other."""
    try:
        told = retold(plan)
    except Unsound as error:
        raise Refused("RCL3101", f"this is not a plan: {error}", "Make a new plan.", subject=plan.site) from None
    wrong = told_otherwise(plan)
    if not wrong:
        return plan
    return msgspec.structs.replace(told, findings=wrong)


class _Head(msgspec.Struct, rename="camel"):
    format_version: str = ""
    kind: str = ""


def _seal(saved: SavedPlan) -> str:
    plain = encoded.plain(msgspec.structs.replace(saved, seal=""))
    return hashlib.sha256(_canonical(plain)).hexdigest()


def _unsealed(plain: dict[str, object]) -> dict[str, object]:
    return plain | {"seal": ""}


def _canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _refused(code: str, path: Path, what: str) -> Refused:
    return Refused(code, f"the file {str(path)!r} {what}", "Make a new plan; nothing was changed.", subject=str(path))
