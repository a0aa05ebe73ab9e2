"""Ways past the guard by a change that weakens and does not look like it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.model import Direction
from tests.shop import Shop
from tests.support.reviewed import MALLORY, Reviewed, divided_of, stopped


def _edit(old: str, new: str) -> Callable[[Reviewed], None]:
    def act(site: Reviewed) -> None:
        site.replace("gold.yaml", old, new)

    return act


def _excluded(site: Reviewed) -> None:
    site.write(
        "policies/ex.yaml",
        "apiVersion: reconciler/v1\nkind: Exclusion\nmetadata: {name: tidy}\nspec:\n  site: hq\n"
        "  virtualMachines: {cluster: hci-01, names: [o*]}\n  reason: tidy\n  owner: m\n  until: 2099-01-01\n",
    )


def _renamed_and_shorter(site: Reviewed) -> None:
    """A new name, which is neutral, takes a weaker rule along."""
    site.replace("gold.yaml", "name: gold", "name: golden")
    site.replace("gold.yaml", "  site: hq", "  site: hq\n  renamedFrom: [gold]")
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")


def _removed_and_made_anew(site: Reviewed) -> None:
    """A group that is new strengthens; the one that it replaces is gone."""
    site.replace("gold.yaml", "name: gold", "name: fresh")
    site.replace("gold.yaml", "[one, two]", "[two]")


def _two_steps_at_once(site: Reviewed) -> None:
    """Longer by one field, weaker by another: the document as a whole gains."""
    site.replace("gold.yaml", "retention: 5d", "retention: 300d")
    site.replace("gold.yaml", "synchronization: 1h", "synchronization: 24h")


WAYS: dict[str, Callable[[Reviewed], None]] = {
    "other units": _edit("retention: 5d", "retention: 4d"),
    "rarer": _edit("synchronization: 1h", "synchronization: 4h"),
    "no interval": _edit(
        "synchronization: 1h", "synchronization: beforeRecoveryPoint, recoveryPoints: {times: ['22:00']}"
    ),
    "excepted": _edit("names: [one, two]", "names: [one, two], except: [o*]"),
    "by a label that nobody has": _edit("names: [one, two]", "names: [one, two], labels: {tier: gold}"),
    "by a node": _edit("names: [one, two]", "names: [one, two], nodes: [none]"),
    "what becomes of the points": _edit("  shortTerm:", "  existingPoints: expireNow\n  shortTerm:"),
    "an exclusion": _excluded,
    "renamed and shorter": _renamed_and_shorter,
    "removed and rebuilt": _removed_and_made_anew,
    "two steps at once": _two_steps_at_once,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_weakens_waits(divided: Reviewed, way: str) -> None:
    WAYS[way](divided)
    divided.commit("tidy up", author=MALLORY)
    stopped(divided)


def moved_of(shop: Shop) -> Reviewed:
    """The group, whose points expire once it is stopped, goes to another server."""
    another = "{name: mabs-02, engine: {embedded: {path: var/mabs-02}}, volumes: [{name: v, capacity: 1 GB}]}"
    shop.policy("  servers: [", f"  servers: [{another}, ")
    shop.policy("  shortTerm:", "  existingPoints: expireNow\n  shortTerm:")
    site = divided_of(shop)
    assert site.tick().code == 0
    site.replace("gold.yaml", "server: mabs-01", "server: mabs-02")
    site.commit("another server", author=MALLORY)
    return site


def test_what_a_move_to_another_server_destroys_is_told_and_agreed_to_once(shop: Shop) -> None:
    """The hash that the comparison gives is that of the step."""
    site = moved_of(shop)
    said = site("diff", "base", "HEAD")
    assert "spec.server: mabs-01 -> mabs-02  destroys" in said.out, said.out
    hashes = {field["changeHash"] for step in site.steps() for field in step["change"]["fields"]}
    (digest,) = (word for word in said.out.split() if word.startswith("sha256:"))
    assert digest in hashes
    assert site.tick().code == 5
    assert site.groups() == {"gold": ("P5D", 2)}
    site.approved("base", "HEAD")
    assert site("diff", "base", "HEAD").code == 0
    assert site.tick("--now", "2026-03-10T13:00Z").code == 0
    assert site.groups() == {}


def test_without_directions_nothing_waits(divided: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: the rule book, by which a direction needs consent."""
    monkeypatch.setattr(Direction, "needs_consent", property(lambda self: False))
    WAYS["other units"](divided)
    divided.commit("tidy up", author=MALLORY)
    assert divided("diff", "base", "HEAD").code == 0
    assert divided.tick().code == 0
    assert divided.groups() == {"gold": ("P4D", 2)}
