"""Near names: each pattern of a rule that matches nothing is told with what was probably meant."""

from __future__ import annotations

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Diagnostic, Severity
from reconciler.model import VirtualMachine
from reconciler.model.documents import (
    ExclusionDocument,
    ExclusionSpec,
    MachineSelector,
    MemberRule,
    Metadata,
    PolicySet,
)
from reconciler.plan import desired_state
from reconciler.plan.near_names import MOST, near_names, suggestion
from tests.support.inputs import plan_inputs
from tests.worlds import Nowhere, cluster, document, machine, policies

NAMES = ["web-01", "web-02", "sql-01", "dc-01", "erp-app-01", "Zürich-01"]


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("web-0l", "Near it: web-01, web-02."),
        ("sql-O1", "Did you mean sql-01?"),
        ("slq-01", "Did you mean sql-01?"),
        ("SQL_01", "Did you mean sql-01?"),
        ("wbe-*", "Near it: web-01, web-02."),
        ("*-ap-01", "Did you mean erp-app-01?"),
        ("erp-a?p-1", "Did you mean erp-app-01?"),
        ("zurich-01", "Did you mean Zürich-01?"),
        ("web", "A name is matched whole: write web* for web-01, web-02."),
        ("WEB-", "A name is matched whole: write WEB-* for web-01, web-02."),
        ("mail-01", ""),
        ("x*", ""),
        ("*", ""),
        ("a" * 100, ""),
    ],
)
def test_what_was_probably_meant(written: str, near: str) -> None:
    assert suggestion(written, NAMES) == near


@given(st.text("abc-1", min_size=5, max_size=12), st.integers(0, 11), st.sampled_from("xyz"))
def test_one_letter_that_is_another_is_found(name: str, place: int, letter: str) -> None:
    mistyped = name[:place] + letter + name[place + 1 :]
    assert name in near_names(mistyped, [name, "quite-another-one"])


@given(st.lists(st.text("ab-1", min_size=1, max_size=8), max_size=20), st.text("ab-1*?", min_size=1, max_size=8))
def test_near_names_are_few_and_there(names: list[str], written: str) -> None:
    found = near_names(written, names)
    assert len(found) <= MOST
    assert set(found) <= set(names)


def test_a_large_cluster_is_looked_through_quickly() -> None:
    names = [f"vm-{number:06}" for number in range(100_000)]
    began = time.process_time()
    assert "vm-012345" in near_names("vm-0l2345", names)
    assert time.process_time() - began < 2


# --- In a plan --------------------------------------------------------------------------------------------------------


def found(written: PolicySet, *machines: VirtualMachine) -> list[Diagnostic]:
    seen = cluster(*machines)
    inputs = plan_inputs({seen.name: seen})
    return [each for each in desired_state(written, inputs).findings if each.code in ("RCL3001", "RCL3120")]


def of_rule(selector: MachineSelector) -> PolicySet:
    return policies([document("gold", MemberRule(selector))])


WEB, SQL = machine(1, "web-01", "gold"), machine(2, "sql-01", "silver")


def test_one_of_three_patterns_matches_nothing() -> None:
    (only,) = found(of_rule(MachineSelector("hci-01", names=("web-*", "slq-01", "sql-*"))), WEB, machine(3, "sql-02"))
    assert only.code == "RCL3120"
    assert only.severity is Severity.WARNING
    assert only.message == "the name 'slq-01' of the group gold matches nothing on hci-01"
    assert "sql-0" not in only.remedy  # what the rule means already was not meant by another spelling
    where = Nowhere("policies/gold.yaml").at("spec", "members", 0, "virtualMachines", "names", 1)
    assert only.location == where


def test_the_near_name_is_one_that_no_pattern_of_the_rule_means() -> None:
    (only,) = found(of_rule(MachineSelector("hci-01", names=("web-*", "slq-01"))), WEB, SQL)
    assert only.remedy == "Did you mean sql-01?"


def test_every_pattern_of_a_rule_that_matches_nothing_is_in_its_finding() -> None:
    (only,) = found(of_rule(MachineSelector("hci-01", names=("wbe-01", "slq-01"))), WEB, SQL)
    assert only.code == "RCL3001"
    assert only.message == (
        "this rule of the group gold matches no virtual machine of hci-01: the name 'wbe-01' and the name 'slq-01' "
        "match nothing there"
    )
    assert only.remedy == "Did you mean web-01? Did you mean sql-01?"


def test_labels_nodes_and_excepted_names() -> None:
    (label,) = found(of_rule(MachineSelector("hci-01", labels={"tier": "glod"})), WEB, SQL)
    assert (label.code, label.remedy) == ("RCL3001", "Did you mean gold?")
    (key,) = found(of_rule(MachineSelector("hci-01", labels={"teir": "gold"})), WEB, SQL)
    assert key.remedy == "Did you mean tier?"
    (node,) = found(of_rule(MachineSelector("hci-01", names=("web-*",), nodes=("n1", "hci-n9"))), WEB)
    assert (node.code, node.message) == ("RCL3120", "the node 'hci-n9' of the group gold matches nothing on hci-01")
    (spared,) = found(of_rule(MachineSelector("hci-01", names=("*",), except_=("sql-0l",))), WEB, SQL)
    assert (spared.severity, spared.remedy) == (Severity.ADVICE, "Did you mean sql-01?")


def test_what_else_keeps_those_out_that_a_rule_names() -> None:
    (only,) = found(of_rule(MachineSelector("hci-01", names=("web-*",), labels={"tier": "silver"})), WEB, SQL)
    assert only.code == "RCL3001"
    assert only.message.endswith("web-01 is not selected: its label tier is gold, not silver")


def test_a_pattern_is_at_work_by_a_virtual_machine_that_another_field_keeps_out() -> None:
    assert not found(of_rule(MachineSelector("hci-01", names=("web-*", "sql-01"), labels={"tier": "gold"})), WEB, SQL)


def test_an_exclusion_is_told_too_and_only_advised() -> None:
    selector = MachineSelector("hci-01", names=("wbe-01",))
    spec = ExclusionSpec("hq", selector, "rebuilt every night", "platform-team", date(2029, 12, 31))
    spared = ExclusionDocument("reconciler/v1", "Exclusion", Metadata("scratch"), spec)
    (only,) = found(policies([], [spared]), WEB)
    assert (only.code, only.severity, only.remedy) == ("RCL3001", Severity.ADVICE, "Did you mean web-01?")
    assert "the exclusion scratch" in only.message


def test_many_idle_patterns_are_summed_up() -> None:
    names = ("web-*", *(f"lost-{number}" for number in range(40)))
    said = found(of_rule(MachineSelector("hci-01", names=names)), WEB)
    assert len(said) == 6
    assert any(each.message == "35 more patterns of the group gold match nothing on hci-01" for each in said)


def test_of_a_cluster_that_is_not_seen_nothing_is_known() -> None:
    written = of_rule(MachineSelector("hci-02", names=("web-*",)))
    assert not found(written, WEB)
