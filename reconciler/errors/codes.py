"""Every code a user can meet, with the explanation that ``reconciler explain CODE`` prints.

The words stand in ``codes.md``, beside this file, where people edit them. Codes are stable: one is
never given a second meaning. They are numbered by room: RCL0xxx command line and root, RCL1xxx
policies, RCL2xxx inventory and prerequisites, RCL3xxx plan and apply, RCL4xxx embedded engine and its
store, RCL5xxx state (ledger, journal, locks), RCL6xxx schedule and jobs, RCL7xxx recovery, RCL9xxx
faults of reconciler itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_ENTRY = re.compile(r"^## (RCL\d{4}): (.+)\n\n((?:.+\n)+)\nhelp: ((?:.+\n)+)", re.MULTILINE)


class Explanation(NamedTuple):
    """What a code means: `title` in a few words, `cause` why it happens, `remedy` what to do."""

    title: str
    cause: str
    remedy: str


@cache
def codes() -> Mapping[str, Explanation]:
    """The explanation of each code, by the code. Read when it is first asked for: most commands never do."""
    text = files("reconciler.errors").joinpath("codes.md").read_text(encoding="utf-8")
    return {
        code: Explanation(title, " ".join(cause.split()), " ".join(remedy.split()))
        for code, title, cause, remedy in _ENTRY.findall(text)
    }
