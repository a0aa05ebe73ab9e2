"""An engine that an installed package brings: named in the policies, opened by its entry point, used like any other."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from tests.shop import Shop

NOW = ("--now", "2026-03-10T12:00Z")

#: The package's module: an engine that keeps what the embedded one keeps, in a folder that its settings name.
_MODULE = """
from dataclasses import replace
from reconciler.engines.embedded import open_engine as open_embedded

def open_engine(setup):
    if setup.settings.get("fails"):
        raise RuntimeError("the shelf is locked\\x1b[31m")
    if setup.settings.get("nothing"):
        return object()
    return open_embedded(replace(setup, settings={"path": setup.settings["folder"]}))
"""


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package as pip leaves it: a wheel, unpacked in a folder that Python looks in."""
    folder = tmp_path_factory.mktemp("plugin")
    wheel, site = folder / "shelf_engine-1.0-py3-none-any.whl", folder / "site-packages"
    about = "shelf_engine-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("shelf_engine.py", _MODULE)
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: shelf-engine\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/entry_points.txt", "[reconciler.engines]\nshelf = shelf_engine:open_engine\n")
        archive.writestr(f"{about}/RECORD", "")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    monkeypatch.delitem(sys.modules, "shelf_engine", raising=False)
    monkeypatch.syspath_prepend(str(site))


def _plugin(shop: Shop, name: str, settings: str) -> None:
    shop.policy("embedded: {path: var/mabs-01}", f"plugin: {{name: {name}, settings: {{{settings}}}}}")


@pytest.mark.usefixtures("installed")
def test_a_site_on_an_engine_of_a_package(shop: Shop, tmp_path: Path) -> None:
    _plugin(shop, "shelf", "folder: var/shelf")
    assert shop("validate").code == 0
    waits = shop("plan", *NOW)
    assert waits.code == 6, waits
    assert "server mabs-01: the plugin shelf with {folder: var/shelf}" in waits.err, waits.err
    said = shop("apply", "--yes", *NOW)
    assert said.code == 0, said
    assert "server mabs-01: the plugin shelf with" in said.err
    said = shop("run", "--until-idle", *NOW)
    assert said.code == 0, said
    assert said.out.count("succeeded  initial replica of") == 2
    assert (shop.root / "var/shelf").is_dir()
    assert not (shop.root / "var/mabs-01").exists()
    there = tmp_path / "there"
    assert shop("recover", "one", "--to", str(there), "--yes", *NOW).code == 0
    disk = next(path for path in there.rglob("*") if path.is_file())
    assert disk.read_bytes() == shop.cluster.disk(1).read_bytes()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("settings", "said"), [("fails: true", "RuntimeError: the shelf is locked"), ("nothing: true", "is no engine of")]
)
def test_a_package_that_fails(shop: Shop, settings: str, said: str) -> None:
    _plugin(shop, "shelf", settings)
    done = shop("apply", "--yes", *NOW)
    assert done.code == 69, done
    assert "RCL4050" in done.err
    assert said in done.err
    assert "\x1b" not in done.err


@pytest.mark.parametrize("name", ["shelf", "memory", "embedded"])
def test_an_engine_that_no_package_brings(shop: Shop, name: str) -> None:
    """Those that come with the product are no plugins: one in memory would forget every recovery point."""
    _plugin(shop, name, "")
    done = shop("apply", "--yes", *NOW)
    assert (done.code, "RCL1041" in done.err) == (6, True), done


@pytest.mark.usefixtures("installed")
def test_another_plugin_or_setting_waits_for_an_approval(shop: Shop) -> None:
    _plugin(shop, "shelf", "folder: var/shelf")
    assert shop("apply", "--yes", *NOW).code == 0
    shop.policy("folder: var/shelf", "folder: var/elsewhere")
    said = shop("apply", "--yes", *NOW)
    assert said.code == 5, said
    assert not (shop.root / "var/elsewhere").exists()


def test_secrets_in_settings(shop: Shop) -> None:
    _plugin(shop, "shelf", "login: {apiToken: hunter2, password: 'env:SHELF'}, url: 'https://me:pw@shelf.example/x'")
    said = shop("validate")
    assert said.code == 65, said
    assert said.err.count("RCL4051") + said.out.count("RCL4051") == 1, said
    assert "RCL3094" in said.out + said.err
    assert "hunter2" not in said.out + said.err
    assert "me:pw" not in said.out + said.err


@pytest.mark.parametrize(
    "setting",
    ["accountKey: abc", "pass: abc", "pin: 1234", "Authorization: Bearer abc", "connectionString: 'A=b;C=d'"],
)
def test_a_secret_under_another_name(shop: Shop, setting: str) -> None:
    _plugin(shop, "shelf", setting)
    said = shop("validate")
    assert (said.code, "RCL4051" in said.out + said.err) == (65, True), said


def test_what_is_called_like_a_secret_and_is_none(shop: Shop) -> None:
    _plugin(shop, "shelf", "tokenLifetime: 3600, key: shelf-1, pass: true, passes: two, pinned: 'no way'")
    assert shop("validate").code == 0
