"""What a person reads is so: ended exclusions, disks that are gone, deleted virtual machines."""

from __future__ import annotations

import json
import shutil
from typing import Any

from tests.kill.test_kill import FIRST, stamp
from tests.shop import Said, Shop

T1 = ("--now", stamp(FIRST))

EXCLUSION = """apiVersion: reconciler/v1
kind: Exclusion
metadata: {name: scratch}
spec:
  site: hq
  virtualMachines: {cluster: hci-01, names: [three]}
  reason: rebuilt every night
  owner: platform-team
  until: 2026-03-09
"""


def state_of(shop: Shop, name: str, *now: str) -> tuple[str, str]:
    rows: list[dict[str, Any]] = json.loads(shop("coverage", "--output", "json", *(now or T1)).out)["machines"]
    (row,) = (each for each in rows if each["name"] == name)
    return row["standing"], row.get("why", "")


def checks(said: Said) -> dict[tuple[str, str], str]:
    return {(each["code"], each["subject"]): each["state"] for each in json.loads(said.out)["checks"]}


def test_an_ended_exclusion_is_named_with_its_day_everywhere(shop: Shop) -> None:
    shop.cluster.add(3, "three")
    (shop.root / "policies" / "exclusions.yaml").write_text(EXCLUSION)
    assert state_of(shop, "three") == ("unprotected", "its exclusion scratch ended on 2026-03-09")
    assert "its exclusion scratch ended on 2026-03-09" in shop("status", *T1).out
    assert "the exclusion scratch ended on 2026-03-09" in shop("validate").out
    over = json.loads(shop("coverage", "--output", "json", "--max-unprotected", "0", *T1).out)
    assert over["counts"]["unprotected"] == 1


def test_a_disk_that_is_gone_fails_preflight(shop: Shop) -> None:
    fine = shop("preflight", "--output", "json")
    assert fine.code == 0
    assert checks(fine)["RCL2104", "one"] == "passed"
    shop.cluster.disk(1).unlink()
    said = shop("preflight")
    assert said.code == 6
    assert "has a disk 'disk.raw' that is gone: there is no such file" in said.out
    assert checks(shop("preflight", "--output", "json"))["RCL2104", "one"] == "failed"
    inventory = shop.root / "inventory.json"
    assert shop("inventory", "snapshot", "--out", str(inventory)).code == 0
    assert shop("preflight", "--inventory", str(inventory)).code == 6


def test_a_deleted_virtual_machine_is_told_with_what_happens_now(shop: Shop) -> None:
    assert shop("run", "--until-idle", *T1).code == 0
    shop.cluster.remove(1)
    shop.cluster.remove(2)
    shop.cluster.add(2, "two")
    assert state_of(shop, "one") == ("unseen", "deleted from hci-01, or moved away")
    plan = json.loads(shop("plan", "--output", "json", *T1).out)
    (missing,) = (each for each in plan["findings"] if each["code"] == "RCL3002")
    assert missing["message"] == "'one' was deleted from hci-01, or moved away; it remains a member of gold"
    assert "`reconciler recover one`" in missing["remedy"]
    assert checks(shop("preflight", "--output", "json"))["RCL3002", "one"] == "unknown"
    jobs = shop("run", "--until-idle", "--now", "2026-03-10T18:00Z")
    assert "the virtual machine 'one' was deleted from hci-01" in jobs.out + jobs.err
    # what the message says to do is done; while its files lie there, it says what is in the way
    recover = ("recover", "one", "--yes", "--now", "2026-03-10T18:30Z")
    refused = shop(*recover)
    assert refused.code == 6
    assert "no readable role of 'one' any more, while its files are still there" in refused.err
    shutil.rmtree(shop.cluster.disk(1).parent)
    assert shop(*recover).code == 0
    assert state_of(shop, "one", "--now", "2026-03-10T18:30Z")[0] in ("protected", "late")
