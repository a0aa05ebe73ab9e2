"""How much is said, and how: what --quiet, --verbose, --no-color and -o json ask of everything that is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class OutputSettings:
    """`quiet`: no progress, remarks or advice on stderr. `verbose`: what is read and asked as well, and what the codes
    mean. `color` False: none, whatever the terminal can. One value for the process, since the screen is one."""

    quiet: bool = False
    verbose: bool = False
    color: bool = True

    def reset(self) -> None:
        """Back to what holds where nothing is asked: a process may run several commands, as tests do."""
        self.quiet, self.verbose, self.color = False, False, True

    def be_quiet(self) -> None:
        self.quiet = True

    def be_verbose(self) -> None:
        self.verbose = True

    def be_plain(self) -> None:
        self.color = False


SETTINGS = OutputSettings()
