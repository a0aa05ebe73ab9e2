"""Policies that nothing is done for until a person acts: the exit codes say so, the message says which act it is."""

from __future__ import annotations

import json

import pytest

from tests.shop import Said, Shop
from tests.support.reviewed import APPROVERS, MALLORY, T1, Reviewed

LATER = ("--now", "2026-03-11T12:00Z")
LATEST = ("--now", "2026-03-12T12:00Z")
#: How old the loop's last run may be where the clock stands still.
CHECK = ("status", "--check", "--heartbeat", "100d")


def _said(ended: Said) -> str:
    return " ".join((ended.out + ended.err).split())


@pytest.fixture(params=["", APPROVERS])
def reviewed(request: pytest.FixtureRequest, shop: Shop) -> Reviewed:
    """A site that was run, without and with approvers."""
    site = Reviewed(shop, request.param or "prune: true")
    assert site.tick().code == 0
    assert site(*CHECK, *T1).code == 0
    return site


def _rename(site: Reviewed) -> None:
    """A server is called otherwise, in the site and in its groups."""
    site.edit("mabs-01, engine", "m1, engine")
    site.edit("server: mabs-01", "server: m1")
    site.commit("another name", author=MALLORY)


def _points(site: Reviewed) -> int:
    return len(json.loads(site("points", "one", "--output", "json").out)["points"])


def test_a_group_that_waits_as_it_was_on_a_server_that_is_no_more_is_not_planned(reviewed: Reviewed) -> None:
    """Its document as last applied names a server that nothing opens any more; what it says is in force nowhere, so
    its own act is told too."""
    _rename(reviewed)
    reviewed.apply("--break-glass", "another name")
    made = _points(reviewed)
    for words, code in ((("run", "--once", *LATER), 5), (("plan", *LATER), 0), ((*CHECK, *LATER), 9)):
        ended = reviewed(*words)
        assert "RCL9001" not in _said(ended)
        assert "RCL3021" in _said(ended), words
        assert "reconciler apply --adopt gold" in _said(ended)
        assert ended.code == code, _said(ended)
    assert _points(reviewed) > made
    assert reviewed("apply", "--yes", "--adopt", "gold", "--break-glass", "its groups", *LATER).code == 0
    reviewed.edit("retention: 5d", "retention: 9d")
    after = reviewed.tick(*LATEST)
    assert (after.code, "RCL3021" in _said(after)) == (0, False), _said(after)
    assert reviewed(*CHECK, *LATEST).code == 0


@pytest.fixture
def renamed(shop: Shop) -> Reviewed:
    """The same, approved in the site and in its groups, and applied as far as it goes."""
    site = Reviewed(shop)
    assert site.tick().code == 0
    _rename(site)
    site.approved()
    assert site.apply().code == 5
    return site


def test_groups_of_a_renamed_server_wait_visibly_until_they_are_adopted(renamed: Reviewed) -> None:
    for words, code in (
        (("run", "--once", *LATER), 5),
        (("run", "--until-idle", *LATER), 5),
        (("apply", "--yes", *LATER), 5),
        (("plan", "--detailed-exitcode", *LATER), 2),
        (("plan", *LATER), 0),
        ((*CHECK, *LATER), 9),
    ):
        ended = renamed(*words)
        said = _said(ended)
        assert ended.code == code, f"{words}: {said}"
        assert "RCL3021" in said, words
        assert "it was applied on mabs-01, which no longer exists" in said
        assert "reconciler apply --adopt gold" in said
        assert "servers match the policies" not in said
    assert renamed("apply", "--yes", "--adopt", "gold", *LATER).code == 0
    renamed.edit("retention: 5d", "retention: 9d")
    after = renamed("run", "--once", *LATEST)
    assert (after.code, "RCL3021" in _said(after)) == (0, False), _said(after)
    assert renamed(*CHECK, *LATEST).code == 0


def test_its_policy_changes_meanwhile(renamed: Reviewed) -> None:
    """Whatever else its document waits for, the act that it needs is told."""
    renamed.edit("retention: 5d", "retention: 9d")
    renamed.commit("longer", author=MALLORY)
    for words, codes in ((("run", "--once", *LATER), (5, 65)), ((*CHECK, *LATER), (9,))):
        ended = renamed(*words)
        assert ended.code in codes, _said(ended)
        assert "RCL3008" in _said(ended)
        assert "it was applied on mabs-01" in _said(ended)
        assert "reconciler apply --adopt gold" in _said(ended)
    assert renamed("apply", "--yes", "--adopt", "gold", "--break-glass", "another name", *LATEST).code == 0
    assert renamed.tick(*LATEST).code == 0
    assert _retention(renamed) == "9d"


def _retention(site: Reviewed) -> str:
    (group,) = json.loads(site("status", "--output", "json").out)["groups"]
    return str(group["retention"])


def test_a_folder_that_shrank_waits_visibly(shop: Shop) -> None:
    """One removal waits for a yes, exit 5; so does the loss of all of them, of which nothing is believed."""
    shop.policy("prune: false", "prune: true")
    assert shop("apply", "--yes", *T1).code == 0
    site = (shop.root / "policies" / "site.yaml").read_text().partition("---\n")[0]
    (shop.root / "policies" / "site.yaml").write_text(site)
    for words, code in (
        (("run", "--once", *LATER), 5),
        (("apply", "--yes", *LATER), 5),
        (("plan", "--detailed-exitcode", *LATER), 2),
    ):
        ended = shop(*words)
        assert (ended.code, "RCL3062" in _said(ended)) == (code, True), _said(ended)
