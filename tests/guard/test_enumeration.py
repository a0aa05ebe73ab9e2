"""Ways past the guard by files that one reader sees and another does not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from reconciler.control import policy_states
from reconciler.parse import Before, Reading, read_tree
from reconciler.protocols import Tree
from tests.support.reviewed import MALLORY, Reviewed, stopped

EXCLUSION = """apiVersion: reconciler/v1
kind: Exclusion
metadata: {name: hidden}
spec:
  site: hq
  virtualMachines: {cluster: hci-01, names: [one]}
  reason: none
  owner: m
  until: 2099-01-01
"""


def _in_another_letter_case(site: Reviewed) -> None:
    site.write("policies/more.YML", EXCLUSION)


def _behind_a_link(site: Reviewed) -> None:
    site.write("shared/more.yaml", EXCLUSION)
    (site.root / "policies" / "more.yaml").symlink_to("../shared/more.yaml")


def _in_a_folder_behind_a_link(site: Reviewed) -> None:
    site.write("shared/deep/more.yaml", EXCLUSION)
    (site.root / "policies" / "shared").symlink_to("../shared")


def _in_a_hidden_folder_behind_a_link(site: Reviewed) -> None:
    """As Kubernetes mounts a ConfigMap."""
    site.write("policies/..2099/more.yaml", EXCLUSION)
    (site.root / "policies" / "..data").symlink_to("..2099")
    (site.root / "policies" / "more.yaml").symlink_to("..data/more.yaml")


def _the_group_under_a_hidden_name(site: Reviewed) -> None:
    site.git("mv", "policies/gold.yaml", "policies/.gold.yaml")


def _the_group_with_another_ending(site: Reviewed) -> None:
    site.git("mv", "policies/gold.yaml", "policies/gold.yaml.txt")


def _a_second_document_far_down(site: Reviewed) -> None:
    path = site.root / "policies" / "gold.yaml"
    path.write_text(path.read_text() + "\n" * 5000 + "---\n" + EXCLUSION)


WAYS: dict[str, Callable[[Reviewed], None]] = {
    each.__name__.strip("_"): each
    for each in (
        _in_another_letter_case,
        _behind_a_link,
        _in_a_folder_behind_a_link,
        _in_a_hidden_folder_behind_a_link,
        _the_group_under_a_hidden_name,
        _the_group_with_another_ending,
        _a_second_document_far_down,
    )
}


@pytest.mark.parametrize("way", WAYS)
def test_every_reader_sees_it(divided: Reviewed, way: str) -> None:
    WAYS[way](divided)
    divided.git("add", "-A", "shared" if (divided.root / "shared").exists() else "policies")
    divided.commit("x", author=MALLORY)
    stopped(divided)


def test_without_what_links_lead_to_it_is_not_compared(divided: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `read_tree` finds in a commit what it finds in a folder, links and all."""
    _behind_a_link(divided)
    divided.git("add", "-A", "shared")
    divided.commit("x", author=MALLORY)

    def without_links(tree: Tree, folder: str, called: str = "", before: Before | None = None) -> Reading:
        found = read_tree(tree, folder, called, before)
        assert found.policies is not None
        return msgspec.structs.replace(found, policies=msgspec.structs.replace(found.policies, exclusions=()))

    monkeypatch.setattr(policy_states, "read_tree", without_links)
    assert divided("diff", "base", "HEAD").code == 0
