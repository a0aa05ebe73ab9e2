"""What is nearly meant: patterns that match nothing, and groups that go on under another name, as people see them."""

from __future__ import annotations

import json
from typing import Any

from tests.kill.test_kill import write_policies
from tests.shop import Said, Shop
from tests.support.reviewed import T1, Reviewed


def findings(said: Said, code: str) -> list[dict[str, Any]]:
    found = json.loads(said.out)
    return [each for each in found.get("findings", found.get("comparison", {}).get("findings")) if each["code"] == code]


def test_a_mistyped_name_among_others_is_told_where_it_is_written(shop: Shop) -> None:
    write_policies(shop.root, "one, twoo", "5d")
    (only,) = findings(shop("plan", "--output", "json"), "RCL3120")
    assert only["message"] == "the name 'twoo' of the group gold matches nothing on hci-01"
    assert only["remedy"] == "Did you mean two?"
    line = (shop.root / "policies" / "site.yaml").read_text().splitlines()[only["location"]["line"] - 1]
    assert line[only["location"]["column"] - 1 :].startswith("twoo")
    near = json.loads(shop("members", "gold", "--output", "json").out)["nearMisses"]
    assert [(each["machine"], each["rule"]) for each in near] == [("two", "members[0].names[1]")]


def test_a_group_that_was_renamed_in_git_is_offered_the_line_and_the_line_works(shop: Shop) -> None:
    site = Reviewed(shop)
    site.edit("name: gold", "name: platinum")
    site.commit("another name")
    compared = site("diff", "HEAD~1", "HEAD", "--output", "json")
    (offered,) = findings(compared, "RCL3121")
    assert compared.code == 5  # the removal needs its approval as ever
    (planned,) = findings(site("plan", "--output", "json", *T1), "RCL3121")
    assert planned["remedy"] == offered["remedy"]
    assert not [each for each in site.plan()["steps"] if each["change"]["verb"] == "stop" and not _waits(each)]
    line = offered["remedy"].split("`")[1]
    assert line == "renamedFrom: [gold]"
    place = offered["location"]
    lines = site.policy.read_text().splitlines()
    indent = " " * (place["column"] - 1)
    site.policy.write_text("\n".join([*lines[: place["line"] - 1], indent + line, *lines[place["line"] - 1 :], ""]))
    site.commit("renamed")
    assert site("diff", "HEAD~2", "HEAD").code == 0
    assert site.apply().code == 0
    assert list(site.groups()) == ["platinum"]
    assert not findings(site("plan", "--output", "json", *T1), "RCL3121")


def _waits(step: dict[str, Any]) -> bool:
    return any(each["direction"] in ("weakens", "destroys") for each in step["change"]["fields"])
