"""Importing groups whose names on the server are anything: a policy and a file for each, none over another."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.control.authoring.import_groups import Source, import_groups
from reconciler.model import CatalogSnapshot, DataSource, ObservedGroup, ServerFacts
from reconciler.parse import read_texts
from tests.fakes import NOON, group, machine_id
from tests.worlds import cluster, machine


def _imported(names: Iterable[str], server: str = "mabs-01") -> dict[str, str]:
    groups = tuple(
        ObservedGroup(f"r{number}", group(name, DataSource("hci-01", machine_id(1))))
        for number, name in enumerate(names)
    )
    catalog = CatalogSnapshot(server, NOON, ServerFacts("embedded"), groups=groups)
    source = Source("hq", server, catalog, groups, frozenset(), ZoneInfo("UTC"))
    return import_groups(source, {"hci-01": cluster(machine(1, "one"))}).files


_NAMES = st.text(max_size=80) | st.from_regex(r"[a-z0-9-]{1,70}", fullmatch=True)


@settings(max_examples=50)
@given(st.sets(_NAMES, min_size=1, max_size=5))
def test_every_group_gets_a_file_of_its_own_by_a_name_that_a_policy_may_have(names: set[str]) -> None:
    found = _imported(names)
    assert len(found) == len(names) + (len(names) > 1)
    for file, text in found.items():
        name = file.removesuffix(".yaml")
        assert yaml.safe_load(text)["metadata"]["name"] == name
        assert len(name) <= 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert name.strip("-") == name != ""


def test_names_that_differ_by_case_or_would_lead_out_or_are_the_presets() -> None:
    names = ["gold", "Gold", "../../gold", "mabs-01-defaults", "SQL Gold", "x" * 200, "x" * 201]
    found = _imported(names)
    assert len({file.lower() for file in found}) == len(names) + 1
    assert {"gold.yaml", "mabs-01-defaults.yaml"} <= set(found)
    assert yaml.safe_load(found["mabs-01-defaults.yaml"])["kind"] == "ProtectionGroup"


def test_what_is_imported_by_ordinary_names_is_valid() -> None:
    texts = {f"policies/{name}": text.encode() for name, text in _imported(["gold", "silver"]).items()}
    assert [each.code for each in read_texts(texts, "here").diagnostics if each.code == "RCL1010"] == []


def test_a_name_of_a_machine_neither_ends_a_comment_nor_is_a_pattern_unsaid() -> None:
    both = (DataSource("hci-01", machine_id(1)), DataSource("hci-01", machine_id(2)))
    groups = (ObservedGroup("r", group("gold", *both)),)
    catalog = CatalogSnapshot("mabs-01", NOON, ServerFacts("embedded"), groups=groups)
    source = Source("hq", "mabs-01", catalog, groups, frozenset(), ZoneInfo("UTC"))
    seen = cluster(machine(1, "a\nprune: true\n*"), machine(2, "a\nprune: true\n*"))
    (text,) = import_groups(source, {"hci-01": seen}).files.values()
    assert "prune" not in yaml.safe_load(text)
    remarks = [line for line in text.splitlines() if line.startswith("#")]
    assert sum("read as a pattern" in line for line in remarks) == 2
    assert not any(line.startswith("prune") for line in text.splitlines())
