"""How much is said, and how: what --quiet, --verbose, --no-color and -o json ask of everything that is written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JsonMode(StrEnum):
    """How JSON is written: not at all; one value on stdout, with what is said beside it in lines on stderr; or events,
    one a line on stdout, the last of which says how the command ended."""

    NONE = ""
    REPORT = "report"
    EVENTS = "events"


@dataclass
class OutputSettings:
    """`quiet`: no progress, remarks or advice on stderr. `verbose`: what is read and asked as well, and what the codes
    mean. `color` False: none, whatever the terminal can. `command` is the one whose events are written, `lost` why some
    could not be. One value for the process, since the screen is one."""

    quiet: bool = False
    verbose: bool = False
    color: bool = True
    json: JsonMode = JsonMode.NONE
    command: str = ""
    lost: str = ""

    def reset(self) -> None:
        """Back to what holds where nothing is asked: a process may run several commands, as tests do."""
        self.quiet, self.verbose, self.color = False, False, True
        self.json, self.command, self.lost = JsonMode.NONE, "", ""

    def be_quiet(self) -> None:
        self.quiet = True

    def be_verbose(self) -> None:
        self.verbose = True

    def write_json(self, mode: JsonMode, command: str) -> None:
        self.json, self.command = mode, command

    def be_plain(self) -> None:
        self.color = False


SETTINGS = OutputSettings()
