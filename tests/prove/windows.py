"""`make prove-windows`: the product in a CPython for Windows under Wine -> what works there, with counts.

Its wheels for each version of Python; the demo; a journey through the commands with paths of Windows, names that it
keeps for itself, processes that are ended and Ctrl-C in a console; and the tests that need nothing of POSIX.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pexpect

from tests.prove.windows_git import git_beside
from tests.prove.windows_lab import ROOT, Lab, wheels_for

VERSIONS = ("3.11", "3.12", "3.13")

#: The tests that run there: the calls themselves, then what stands on them, then whole journeys.
TESTS = (
    "tests/system_calls",
    "tests/test_files.py",
    "tests/test_staging.py",
    "tests/test_sqlite.py",
    "tests/test_encoded.py",
    "tests/state/test_holder.py",
    "tests/state/test_locks.py",
    "tests/state/test_evidence.py",
    "tests/images/test_inspect.py",
    "tests/inventory/test_directory.py",
    "tests/expressions",
    "tests/engines/test_places.py",
    "tests/engines/test_embedded.py",
)

#: What of them does not run, by what it needs that is not there.
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "modes of files": (
        "tests/test_files.py::test_write_whole_is_all_or_nothing",
        "tests/test_files.py::test_folders_are_made_with_the_missing_ones_above",
        "tests/test_staging.py::test_staged_then_there_with_mode_and_time",
        "tests/state/test_evidence.py::test_each_record_names_the_line_before_it",
        "tests/engines/test_embedded.py::test_folders_are_for_their_owner_alone",
    ),
    "links, which Wine does not make": (
        "tests/test_files.py::test_a_regular_file_is_opened_and_read",
        "tests/test_staging.py::test_nothing_is_written_outside[link/x]",
    ),
    "named pipes and sockets in a folder": (
        "tests/test_files.py::test_what_is_no_regular_file_is_refused_at_once_by_its_name",
        "tests/test_files.py::test_a_pipe_put_there_between_the_look_and_the_opening_neither_blocks_nor_is_read",
        "tests/test_files.py::test_a_link_put_there_between_the_look_and_the_opening_is_not_followed",
        "tests/inventory/test_directory.py::test_a_disk_that_is_no_regular_file_is_unreadable_and_the_others_are_as_before",
        "tests/inventory/test_directory.py::test_a_configuration_that_is_a_pipe_makes_its_machine_unseen",
    ),
    "children that nobody asked after, alarms, a program that is not there": (
        "tests/state/test_holder.py::test_one_that_died_and_nobody_has_asked_after",
        "tests/expressions/test_expressions.py::test_the_alarm_ends_what_hangs",
        "tests/expressions/test_expressions.py::test_where_no_child_can_be_started_everything_is_denied",
    ),
    "a file replaced while it is read, which is refused there; a path written with slashes": (
        "tests/engines/test_embedded.py::test_a_disk_that_is_cut_or_grows_or_is_replaced_under_the_read[replace]",
        "tests/engines/test_embedded.py::test_a_disk_that_a_job_fills_is_named",
        "tests/test_encoded.py::test_nothing_else_decodes",
    ),
}


class Journey:
    """One site, and what is done with it; each step says itself and counts."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.root = folder / "demo"
        self.passed = 0

    def reconciler(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """Runs the command with the root as Windows writes it; what it printed."""
        root = self.lab.windows_path(self.root)
        ended = self.lab.run("-m", "reconciler", *words, "-C", root, cwd=self.folder)
        self.check(ended.returncode in codes, f"reconciler {' '.join(words)}: {ended.returncode}", ended.stderr)
        assert "\r" not in ended.stdout, words
        return ended.stdout + ended.stderr

    def check(self, holds: bool, what: str, why: str = "") -> None:
        """Says and counts what holds; ends everything where it does not."""
        if not holds:
            raise SystemExit(f"FAILED  {what}\n{why}")
        self.passed += 1
        _say(f"  ok  {what}")

    def play(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.demo()
        self.commands()
        self.recoveries()
        self.names()
        self.in_git()
        self.ended_at_any_moment()
        self.on_this_system()
        self.interrupted()

    def demo(self) -> None:
        ended = self.lab.run("-m", "reconciler", "demo", "demo", cwd=self.folder, seconds=1800)
        self.check(ended.returncode == 0, "reconciler demo", ended.stdout[-2000:] + ended.stderr[-2000:])
        sums = re.findall(r"sha256 (?:before the loss|after recovery) +([0-9a-f]{64})", ended.stdout)
        self.check(len(sums) == 2 and sums[0] == sums[1], f"its lost disk came back bit for bit: {sums[0][:16]}...")

    def commands(self) -> None:
        self.reconciler("validate")
        shutil.copytree(self.root / "policies", self.folder / "before")
        policy = next(path for path in (self.root / "policies").glob("*.yaml") if "5d" in path.read_text("utf-8"))
        policy.write_text(policy.read_text("utf-8").replace("5d", "6d"), encoding="utf-8")
        before, after = (self.lab.windows_path(each) for each in (self.folder / "before", self.root / "policies"))
        said = json.loads(self.reconciler("diff", before, after, "-o", "json", "-q"))
        self.check(bool(said), "diff of two folders, as JSON in UTF-8 without carriage returns")
        plan = self.lab.windows_path(self.folder / "plan.json")
        self.reconciler("plan", "--out", plan)
        self.reconciler("apply", plan, "--yes")
        self.reconciler("plan", "--detailed-exitcode")
        self.reconciler("run", "--until-idle")
        self.check("web-01" in self.reconciler("status"), "status names the virtual machines")
        self.reconciler("state", "backup", self.lab.windows_path(self.folder / "state.tar"))
        self.reconciler("evidence", "verify")

    def recoveries(self) -> None:
        """To a folder, hash against hash of what this system reads; and to the original place, over what is there."""
        disk = next((self.root / "clusters").rglob("web-01.raw"))
        wanted = _sum(disk)
        self.reconciler("run", "--until-idle")
        self.reconciler("recover", "web-01", "--to", self.lab.windows_path(self.folder / "recovered"), "--yes")
        found = next((self.folder / "recovered").rglob("web-01.raw"))
        self.check(_sum(found) == wanted, f"recover --to FOLDER: sha256 {wanted[:16]}... on both sides")
        role = next(each for each in (self.root / "clusters").rglob("roles/*.json") if "web-01" in each.read_text())
        role.write_text(role.read_text("utf-8").replace("running", "off"), encoding="utf-8")
        with disk.open("r+b") as file:
            file.write(os.urandom(1 << 20))
        self.reconciler("recover", "web-01", "--yes")
        self.check(_sum(disk) == wanted, "recover to the original place: the same hash again")
        left = [each.name for each in disk.parent.iterdir() if re.search(r"\.original-|\.staged$", each.name)]
        self.check(not left, "nothing is left beside it", str(left))

    def names(self) -> None:
        """A virtual machine whose configuration names a device and a hidden stream."""
        config = next(path for path in (self.root / "clusters").rglob("vm.json") if "scratch-01" in path.read_text())
        kept = config.read_text("utf-8")
        for name in ("nul.vhdx", "scratch-01.vhd:hidden", "scratch-01.vhd."):
            config.write_text(kept.replace('"scratch-01.vhd"', json.dumps(name)), encoding="utf-8")
            seen = self.folder / "inventory.json"
            self.reconciler("inventory", "snapshot", "--out", self.lab.windows_path(seen))
            said = seen.read_text("utf-8")
            self.check("is none for this system" in said, f"a disk called {name} is not read", said)
        config.write_text(kept, encoding="utf-8")

    def in_git(self) -> None:
        """Against commits, with the real Git behind a git.exe; with line ends as Git for Windows writes them."""
        root = self.folder / "in-git"
        shutil.copytree(ROOT / "policies", root / "policies")
        for words in ("init -q", "add -A", "-c user.name=n -c user.email=dev@corp.example commit -qm first"):
            subprocess.run(["git", "-C", str(root), *words.split()], check=True, capture_output=True)
        self.root, demo = root, self.root
        with git_beside(self.lab):
            self.reconciler("diff", "HEAD", "--detailed-exitcode")
            for path in (root / "policies").glob("*.yaml"):
                path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
            self.reconciler("diff", "HEAD", "--detailed-exitcode")
            self.reconciler("fmt", "--check")
            self.check(True, "the same with carriage returns in the work tree: nothing differs, the layout is right")
            gold = root / "policies" / "gold.yaml"
            gold.write_bytes(gold.read_bytes().replace(b"retention: 14d", b"retention: 3d"))
            self.check("gold-vms" in self.reconciler("diff", "HEAD", codes=(4, 5)), "a weakening is held back")
        self.root = demo

    def ended_at_any_moment(self) -> None:
        """What the task manager does: the process is gone in the middle of a job, and the next one goes on."""
        for seconds in (2.5, 4.0, 6.0):
            words = ["wine", str(self.lab.python), "-m", "reconciler", "check", "web-01", "-C", str(self.root)]
            with subprocess.Popen(
                words,
                cwd=self.folder,
                env=self.lab.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                time.sleep(seconds)
                process.kill()
        self.reconciler("run", "--until-idle")
        self.reconciler("store", "check", "--read-data")
        self.check("held" not in self.reconciler("lock", "show"), "after three sudden ends nothing is held or damaged")

    def on_this_system(self) -> None:
        """Stores, state and evidence are the same files everywhere."""
        for words in (("store", "check", "--read-data"), ("evidence", "verify"), ("status",)):
            command = [sys.executable, "-m", "reconciler", *words, "-C", str(self.root)]
            ended = subprocess.run(command, capture_output=True, text=True)
            self.check(ended.returncode == 0, f"{' '.join(words)} on this system, of what Windows wrote", ended.stderr)

    def interrupted(self) -> None:
        words = [str(self.lab.python), "-m", "reconciler", "run", "-C", self.lab.windows_path(self.root)]
        console = pexpect.spawn("wine", words, env=self.lab.environment, timeout=120, encoding="utf-8")
        console.expect("Ctrl-C ends it")
        self.check("web-01" in self.reconciler("status"), "status while `run` lives")
        began = time.monotonic()
        console.sendcontrol("c")
        console.expect(pexpect.EOF, timeout=60)
        took = time.monotonic() - began
        console.close()
        what = f"Ctrl-C in a console ends `run` with {console.exitstatus}, after {took:.1f} s"
        orderly = "Stopped, as asked" in str(console.before) or "Interrupted" in str(console.before)
        self.check(orderly and console.exitstatus in (0, 130), what, str(console.before))


def tests(lab: Lab) -> int:
    """Runs them in that Python, each file in a process of its own; of how many not all passed."""
    missing = ("pytest", "pytest-randomly", "hypothesis", "syrupy", "pexpect")
    lab.complete(each for each in missing if not list(lab.packages.glob(f"{each.replace('-', '_')}-*")))
    shutil.rmtree(lab.checkout, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith("reconciler/"):
            (lab.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, lab.checkout / name)
    wrong = 0
    totals = {"passed": 0, "skipped": 0, "failed": 0, "error": 0, "deselected": 0}
    left_out = [word for each in LEFT_OUT.values() for name in each for word in ("--deselect", name)]
    for name in TESTS:
        words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", *left_out, name)
        # From Python 3.13 on it is warned of databases that a test leaves to the collector of garbage.
        words = (*words, "-W", "ignore::pytest.PytestUnraisableExceptionWarning", "-W", "ignore::ResourceWarning")
        ended = lab.run(*words, cwd=lab.checkout, seconds=3600)
        for count, what in re.findall(r"(\d+) (passed|skipped|failed|error|deselected)", ended.stdout[-400:]):
            totals[what] += int(count)
        last = (ended.stdout.strip() or ended.stderr.strip()).splitlines()[-1:]
        _say(f"  {'ok' if ended.returncode == 0 else 'FAILED'}  {name}: {' '.join(last)}")
        if ended.returncode:
            wrong += 1
            _say(ended.stdout[-3000:])
    _say(", ".join(f"{count} {what}" for what, count in totals.items()))
    for why, names in LEFT_OUT.items():
        _say(f"  left out, {why}: {len(names)}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/reconciler-windows"))
    parser.add_argument("--version", default=VERSIONS[-1], choices=VERSIONS)
    parser.add_argument("--only", choices=("wheels", "types", "journey", "tests"))
    given = parser.parse_args()
    lab = Lab(given.folder / given.version, given.version)
    parts: dict[str, Callable[[], int]] = {
        "wheels": lambda: _wheels(given.folder),
        "types": _types,
        "journey": lambda: _journey(lab),
        "tests": lambda: tests(lab),
    }
    wanted = [given.only] if given.only else list(parts)
    if {"journey", "tests"} & set(wanted):
        lab.make()
        ended = lab.run("-c", "import sys; print(sys.version)", cwd=given.folder)
        _say(f"Python {ended.stdout.strip()} under {_output('wine', '--version')}")
    wrong = 0
    try:
        for name in wanted:
            _say(f"== {name}")
            wrong += parts[name]()
    finally:
        lab.end()
    _say(f"== {'all holds' if not wrong else f'{wrong} FAILED'}. Run under Wine; never on a Windows computer.")
    return int(bool(wrong))


def _wheels(folder: Path) -> int:
    for version in VERSIONS:
        there = wheels_for(version, folder / f"wheels-{version}")
        names = ", ".join(each.split("-")[0] for each in there)
        _say(f"  ok  Python {version}: {len(there)} wheels for win_amd64: {names}")
    return 0


def _types() -> int:
    """mypy, told that it looks at Windows: no name that is not there."""
    command = [sys.executable, "-m", "mypy", "--platform", "win32", "--cache-dir", ".mypy_cache/win32", "reconciler"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    _say(ended.stdout.strip())
    return int(ended.returncode != 0)


def _journey(lab: Lab) -> int:
    journey = Journey(lab, lab.folder / "journey")
    journey.play()
    _say(f"{journey.passed} steps passed")
    return 0


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
