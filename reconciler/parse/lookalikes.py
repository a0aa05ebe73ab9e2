"""Look-alikes: names that are written with letters of several scripts -> advice, since nobody sees which one is meant.

Names of groups, servers and sites are plain letters and cannot be confused; patterns for virtual machines, and people
who approve, can.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from reconciler.errors import Diagnostic, Severity
from reconciler.model.documents import MachineSelector, Placed, PolicySet

_WORD = re.compile(r"[^\W\d_]+")
#: Scripts whose letters look like those of another one.
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH", "MATHEMATICAL")

#: As it stands between < and > in a commit, by which authors and approvers are told apart.
_ADDRESS = re.compile(r"[^@\s<>\"',;]+@[^@\s<>\"',;]+")

Path = tuple[str | int, ...]


def lookalikes(policies: PolicySet) -> Iterator[Diagnostic]:
    """Advice for patterns, a warning for people: an approval counts by the name of a person."""
    for placed in policies.groups:
        for index, rule in enumerate(placed.document.spec.members):
            if rule.virtual_machines is not None:
                yield from _selector(placed, rule.virtual_machines, ("spec", "members", index, "virtualMachines"))
    for excluded in policies.exclusions:
        yield from _selector(excluded, excluded.document.spec.virtual_machines, ("spec", "virtualMachines"))
    for site in policies.sites:
        rules = site.document.spec.approvals
        for index, person in enumerate(rules.approvers if rules is not None else ()):
            path: Path = ("spec", "approvals", "approvers", index)
            yield from _name(site, person, path, Severity.WARNING)
            if not _ADDRESS.fullmatch(person):
                what = (
                    f"{person!r} is not an e-mail address: whether this approver wrote a change could not be determined"
                )
                remedy = "Write the address that the approver's commits have: `git config user.email`."
                yield Diagnostic("RCL1098", Severity.ERROR, what, remedy, site.positions.at(*path))
    for approval in policies.approvals:
        yield from _name(approval, approval.document.spec.approved_by, ("spec", "approvedBy"), Severity.WARNING)


def _selector(placed: Placed[Any], selector: MachineSelector, path: Path) -> Iterator[Diagnostic]:
    for field, names in (("names", selector.names), ("except", selector.except_)):
        for index, name in enumerate(names):
            yield from _name(placed, name, (*path, field, index), Severity.ADVICE)


def _name(placed: Placed[Any], name: str, path: Path, severity: Severity) -> Iterator[Diagnostic]:
    mixed = mixed_letter(name)
    if mixed:
        called = unicodedata.name(mixed).capitalize()
        what = f"{name!r} has letters of several scripts: U+{ord(mixed):04X} is {called}"
        remedy = "Check that it is the letter that you mean."
        yield Diagnostic("RCL1097", severity, what, remedy, placed.positions.at(*path))


def mixed_letter(name: str) -> str:
    """The first letter of another script than its word began with; "" where there is none."""
    if name.isascii():
        return ""
    for word in re.findall(_WORD, name):
        first = ""
        for letter in str(word):
            script = next((each for each in _SCRIPTS if unicodedata.name(letter, "").startswith(each)), "")
            first = first or script
            if script and script != first:
                return letter
    return ""
