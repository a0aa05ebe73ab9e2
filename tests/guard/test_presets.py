"""Ways past the guard by a preset: what many groups share is changed in one place, where no group is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.reviewed import MALLORY, Reviewed, stopped

PRESET = """apiVersion: reconciler/v1
kind: Preset
metadata: {name: NAME}
for: ProtectionGroup
spec:
  shortTerm: {retention: RETENTION}
"""


def preset(name: str, retention: str) -> str:
    return PRESET.replace("NAME", name).replace("RETENTION", retention)


@pytest.fixture
def shared(divided: Reviewed) -> Reviewed:
    return shared_of(divided)


def shared_of(divided: Reviewed) -> Reviewed:
    """The group takes its retention from a preset."""
    divided.replace("gold.yaml", "retention: 5d, ", "")
    divided.replace("gold.yaml", "metadata: {name: gold}", "metadata: {name: gold}\nextends: [long]")
    divided.write("policies/presets.yaml", preset("long", "5d"))
    divided.commit("a preset")
    assert divided.apply().code == 0
    divided.git("tag", "-f", "base")
    return divided


def _shorter(site: Reviewed) -> None:
    site.write("policies/presets.yaml", preset("long", "2d"))


def _another(site: Reviewed) -> None:
    site.write("policies/more.yaml", preset("short", "2d"))
    site.replace("gold.yaml", "extends: [long]", "extends: [short]")


def _one_more_that_wins(site: Reviewed) -> None:
    site.write("policies/more.yaml", preset("short", "2d"))
    site.replace("gold.yaml", "extends: [long]", "extends: [long, short]")


def _named_alike(site: Reviewed) -> None:
    """The old one under a new name, a new one under the old name."""
    site.write("policies/presets.yaml", preset("long-2026", "5d"))
    site.write("policies/more.yaml", preset("long", "2d"))


def _members_from_it(site: Reviewed) -> None:
    site.write(
        "policies/presets.yaml",
        preset("long", "5d") + "  members: [{virtualMachines: {cluster: hci-01, names: [two]}}]\n",
    )
    site.replace("gold.yaml", "  members: [{virtualMachines: {cluster: hci-01, names: [one, two]}}]\n", "")


def _gone(site: Reviewed) -> None:
    """Without it the group is not right, and nothing is done."""
    (site.root / "policies" / "presets.yaml").unlink()


WAYS: dict[str, Callable[[Reviewed], None]] = {
    each.__name__.strip("_"): each
    for each in (_shorter, _another, _one_more_that_wins, _named_alike, _members_from_it, _gone)
}


@pytest.mark.parametrize("way", WAYS)
def test_a_preset_shows_in_every_group_that_extends_it(shared: Reviewed, way: str) -> None:
    WAYS[way](shared)
    shared.commit("tidy up", author=MALLORY)
    stopped(shared)


def test_whoever_wrote_the_preset_does_not_approve_it(shared: Reviewed) -> None:
    _shorter(shared)
    shared.commit("tidy up", author="dev@corp.example")
    shared.approved("base", "HEAD", by="dev@corp.example")
    assert "wrote the change" in stopped(shared)
