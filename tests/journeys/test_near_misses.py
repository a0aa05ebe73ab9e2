"""What is nearly meant: patterns that match nothing, and groups that go on under another name, as people see them."""

from __future__ import annotations

import json
from typing import Any

from tests.kill.test_kill import write_policies
from tests.shop import Said, Shop


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
