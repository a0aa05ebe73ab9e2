"""Sessions: a root and options -> policies and an open site, closed again at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from reconciler.cli.interrupts import listening
from reconciler.cli.terminal import detail
from reconciler.control.clock import check_rehearsal
from reconciler.control.policy_folder import FOLDER, Policies, read_or_last_good
from reconciler.control.site import Site, Stop
from reconciler.errors import UsageError
from reconciler.model.documents import SiteDocument
from reconciler.protocols import Clock
from reconciler.report.words import count
from reconciler.state import Opening
from reconciler.wiring import RehearsedClock, SystemClock, Trust, choose_site, open_site

#: Years that a time on the command line may lie in: schedules, offsets and lengths of time stay within Python's.
_FIRST_YEAR = 1970
_LAST_YEAR = 2999


def find_root(given: Path | None) -> Path:
    """The folder that holds the policies: the one given, else upward from here to the Git root."""
    if given is not None:
        if not given.is_dir():
            raise UsageError(
                "RCL0001", f"there is no folder {str(given)!r}", "Give -C the folder that holds policies/."
            )
        return given.resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FOLDER).is_dir():
            return folder
        if (folder / ".git").exists():
            break
    raise UsageError(
        "RCL0001",
        f"neither {here} nor a folder above it, up to the Git root, holds {FOLDER}/",
        "Go to the root, or name it with -C DIR.",
    )


def target(path: Path) -> Path:
    """A file to be written. Raises `UsageError`, RCL0012, where its folder is missing, or something that is no file
    is there: a folder or a device is never replaced."""
    what = ""
    if not path.parent.is_dir():
        what = f"there is no folder {str(path.parent)!r}"
    elif path.exists() and not path.is_file():
        what = f"{str(path)!r} exists but is not a regular file"
    if what:
        raise UsageError("RCL0012", what, "Give the path of a file in a folder that exists.", subject=str(path))
    return path


@contextmanager
def session(
    root: Path,
    name: str | None,
    now: str | None,
    policies: Policies | None = None,
    opening: Opening = Opening.CREATE,
    *,
    adopting: bool = False,
    trust: Trust = Trust.SETTLED,
    changing: bool = False,
) -> Iterator[Site]:
    """The site, open; `opening` says whether for reading alone, `adopting` that a new state may take over what a lost
    one left, `trust` how much of it is opened, `changing` that what the servers hold is about to be changed. Ctrl-C and
    SIGTERM ask it to stop instead of cutting it off."""
    policies = policies or read_or_last_good(root, reading=opening in (Opening.READ, Opening.NOTE))
    document = choose_site(policies.policies, name)
    clock = clock_for(document, now)
    detail(f"Site {document.metadata.name} in {root}: {count(len(policies.texts), 'policy file')}, {_asked(document)}.")
    stop = Stop()
    known = policies.policies
    site = open_site(
        root,
        document,
        clock,
        stop,
        opening,
        adopting=adopting,
        policies=known,
        trust=trust,
        changing=changing,
        commit=policies.commit,
    )
    try:
        if now is not None:
            check_rehearsal(site, clock.now())
        with listening(stop):
            yield site
    finally:
        site.close()


def _asked(document: SiteDocument) -> str:
    """What is looked at, in words."""
    clusters = ", ".join(each.name for each in document.spec.clusters) or "none"
    servers = ", ".join(each.name for each in document.spec.servers) or "none"
    return f"clusters {clusters}, servers {servers}"


def clock_for(document: SiteDocument, now: str | None) -> Clock:
    """The machine's clock, or one that stands still at `now` where the site allows rehearsals."""
    if now is None:
        return SystemClock()
    if not document.spec.rehearsal:
        raise UsageError(
            "RCL6012",
            f"the site {document.metadata.name} does not allow --now",
            "Remove it. It is for sites that say `rehearsal: true`: demos and tests.",
        )
    return RehearsedClock(parse_time(now, ZoneInfo(document.spec.time_zone)))


def parse_time(text: str, zone: tzinfo) -> datetime:
    """``2026-11-24T10:00Z``, or without an offset in the site's zone; blanks for the T are fine. Raises `UsageError`,
    RCL0003, for what is not a time, or lies so far away that no schedule reaches it."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            "RCL0003", f"{text!r} is not a time", "Write it as 2026-11-24T10:00, with an offset or in the site's zone."
        ) from None
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise UsageError(
            "RCL0003",
            f"{text!r} is not in the years {_FIRST_YEAR} to {_LAST_YEAR}",
            "Write the year with four digits, as in 2026-11-24T10:00.",
        )
    return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)
