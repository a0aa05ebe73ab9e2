"""The play: a folder -> the whole journey on a real small site, told as it happens, ended by what was proven.

Every command is run as the user would run it, in a process of its own; what it prints is what it prints.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from shutil import which

import msgspec

from reconciler import system_calls
from reconciler.control.lease import holding
from reconciler.demo import site as site_of
from reconciler.errors import ExitCode
from reconciler.model import JobKind, JobState, UpdateGroup, format_size
from reconciler.parse import read_policies
from reconciler.wiring import SystemClock, choose_site, open_site


class _Failed(Exception):
    """A command of the play did not end as it should."""


def play(folder: Path) -> int:
    """Plays the demo in the folder; 0 if everything was proven."""
    root = folder.absolute()
    site_of.build(root)
    try:
        _Play(root).play()
    except _Failed as error:
        sys.stderr.write(f"\nThe demo failed: {error}\n")
        return ExitCode.FAILURE
    return ExitCode.SUCCESS


class _Play:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.cluster = root / site_of.CLUSTER
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        self.first = now - timedelta(hours=44)
        self.second = self.first + timedelta(hours=22)

    def play(self) -> None:
        began = datetime.now(UTC)
        self.protect()
        changed = self.live_on()
        self.drift()
        before, after = self.lose_and_recover()
        self.command("store", "check", "--read-data")
        self.tell("What an auditor asks: what protected sql-01, who decided it, what could have been recovered.")
        self.command("evidence", "query", "sql-01")
        self.command("evidence", "verify")
        self.command("jobs", "-n", "6")
        self.command("status")
        self.prove(changed, before, after, datetime.now(UTC) - began)

    def protect(self) -> None:
        self.tell(
            "A site: a cluster on disk with 2 nodes, 2 CSVs, a node's local disk and 4 virtual machines, whose disks",
            "hold NTFS and ext4; a backup server; policies for them in policies/. The demo begins 44 hours ago.",
        )
        self.command("validate")
        self.command("plan", "--now", self.at(self.first))
        self.command("apply", "--yes", "--now", self.at(self.first))
        self.tell("The loop makes the initial replicas.")
        self.command("run", "--until-idle", "--now", self.at(self.first))
        self.command("status", "--now", self.at(self.first))

    def live_on(self) -> int:
        self.tell("22 hours later: sql-01 moved to the other node, and web-01 wrote to its disk.")
        site_of.move_machine(self.cluster, "sql-01", "hci-01-n2")
        changed = site_of.rewrite_some_blocks(site_of.disk_path(self.cluster, "web-01"), seed=1, share=0.2)
        self.command("plan", "--now", self.at(self.second))
        self.command("run", "--until-idle", "--now", self.at(self.second))
        return changed

    def drift(self) -> None:
        self.tell("Now: somebody shortens the retention on the server, outside reconciler.")
        self.change_behind_the_policies()
        self.command("drift", wanted=ExitCode.EXTERNAL_DRIFT)
        self.command("plan", "--detailed-exitcode", wanted=ExitCode.CHANGES_PENDING)
        self.tell("Bringing it back strengthens protection, so the loop does it alone; it also runs what is due.")
        self.command("run", "--until-idle")
        self.command("plan", "--detailed-exitcode")

    def lose_and_recover(self) -> tuple[str, str]:
        disk = site_of.disk_path(self.cluster, "sql-01")
        before = _sha256(disk)
        self.tell(f"The system disk of sql-01 has sha256 {before[:16]}...; then its controller fails.")
        site_of.destroy_disk(disk)
        site_of.power(self.cluster, "sql-01", "off")
        self.command("recover", "sql-01", "--yes")
        after = _sha256(disk)
        site_of.power(self.cluster, "sql-01", "running")
        self.tell(f"The disk now has sha256 {after[:16]}...")
        return before, after

    # --- Parts -------------------------------------------------------------------------------------------

    def tell(self, *lines: str) -> None:
        sys.stdout.write("\n" + "".join(f"# {line}\n" for line in lines))
        sys.stdout.flush()

    def at(self, moment: datetime) -> str:
        return f"{moment:%Y-%m-%dT%H:%MZ}"

    def command(self, *words: str, wanted: int = ExitCode.SUCCESS) -> None:
        sys.stdout.write(f"\n$ reconciler {' '.join(words)}\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "reconciler", *words]
        ended = subprocess.run(command, cwd=self.root, env=os.environ, stdin=subprocess.DEVNULL, check=False)
        if ended.returncode != wanted:
            raise _Failed(f"`reconciler {' '.join(words)}` ended with {ended.returncode}, not {int(wanted)}")

    def change_behind_the_policies(self) -> None:
        policies = read_policies(self.root).policies
        if policies is None:
            raise _Failed("the demo's own policies are wrong")
        site = open_site(self.root, choose_site(policies, None), SystemClock())
        try:
            engine = site.engines["mabs-01"]
            seen = next(each for each in engine.observe().groups if each.group.name == "gold-vms")
            shorter = msgspec.structs.replace(seen.group.short_term, retention=timedelta(days=3))
            after = msgspec.structs.replace(seen.group, short_term=shorter)
            with holding(site) as held:
                engine.apply(UpdateGroup("mabs-01", seen.ref, seen.group, after), held.fence)
        finally:
            site.close()

    def prove(self, changed: int, before: str, after: str, took: timedelta) -> None:
        policies = read_policies(self.root).policies
        if policies is None:
            raise _Failed("the demo's own policies are wrong")
        site = open_site(self.root, choose_site(policies, None), SystemClock())
        try:
            jobs = site.memory.jobs.history(1000)
            runs = site.memory.journal.runs(1000)
            points = len(site.engines["mabs-01"].observe().points)
        finally:
            site.close()
        done = [record for record in jobs if record.status.state is JobState.SUCCEEDED]
        results = [(record.job.kind, record.status.result) for record in done if record.status.result]
        initial = sum(result.read_bytes for kind, result in results if kind is JobKind.INITIAL_REPLICA)
        stored = sum(result.stored_bytes for _, result in results)
        repeated = [result for kind, result in results if kind is JobKind.SYNCHRONIZATION]
        self.tell("What was proven, by the journal of this site and a hash computed outside of the engine:")
        lines = [
            f"{len(done)} of {len(jobs)} jobs succeeded, {len(runs)} runs are in the journal, {points} points can be "
            "recovered",
            f"{format_size(initial)} of disks were read for the initial replicas; the store holds "
            f"{format_size(stored)} of blocks",
            f"{format_size(changed)} written by a guest in pages of 4 KiB came to "
            f"{sum(result.blocks_changed for result in repeated)} changed blocks of 128 KiB in all synchronizations",
            "a shortened retention was seen as drift and brought back; the plan after it was empty",
            f"sha256 before the loss   {before}",
            f"sha256 after recovery    {after}",
            f"took {took.total_seconds():.0f} s",
        ]
        sys.stdout.write("".join(f"  - {line}\n" for line in lines))
        if before != after or len(done) != len(jobs):
            raise _Failed("not everything was proven; see above")
        self.tell(f"The site stays in {self.root.name}/. Try next, from here:")
        here = f"{_program()} -C {shlex.quote(os.path.relpath(self.root))}"
        sys.stdout.write(
            f"  {here} points web-01\n"
            f"  {here} recover web-01 --to recovered --yes\n"
            f"  {here} run        (and edit a policy while it watches; Ctrl-C ends it)\n"
        )


def _program() -> str:
    """What starts us from here: the name where a shell finds it, else the path by which it was started."""
    started = Path(sys.argv[0])
    return system_calls.typed(started) if started.stem == "reconciler" and which("reconciler") is None else "reconciler"


def _sha256(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()
