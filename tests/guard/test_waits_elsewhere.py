"""A change that waits while a server comes or goes: nothing is planned where the site has no server, and no group that
the policies have is stopped as if they had removed it.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, closing

import msgspec
import pytest

from reconciler.cli.actions import apply
from reconciler.state import Opening, open_memory
from tests.guard import defences
from tests.shop import Shop
from tests.support.reviewed import ALICE, BY, MALLORY, Reviewed, divided_of

T = tuple(("--now", f"2026-03-10T{hour}:00Z") for hour in range(12, 22))
SECOND = "{name: mabs-02, engine: {embedded: {path: var/mabs-02}}, volumes: [{name: vol-a, capacity: 2 GB}]}, "


def plan_of(site: Reviewed, now: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """The steps: verb, server and group."""
    said = site("plan", "--output", "json", *now)
    assert said.code in (0, 2), said.err
    steps = json.loads(said.out)["steps"]
    return [(each["change"]["verb"], each["change"]["server"], each["change"]["group"]) for each in steps]


def servers_of(site: Reviewed) -> list[str]:
    """The servers of the site that is in force."""
    with closing(open_memory(site.root / "var" / "hq.db", opening=Opening.READ)) as memory:
        told = memory.ledger.site_document()
    assert told is not None
    return [each["name"] for each in told["document"]["spec"]["servers"]]


def with_second(site: Reviewed) -> None:
    site.replace("site.yaml", "servers: [", f"servers: [{SECOND}")


def without_second(site: Reviewed) -> None:
    site.replace("site.yaml", SECOND, "")


def moved_of(shop: Shop) -> Reviewed:
    """The site with a second server, on which its group is."""
    path = shop.root / "policies" / "site.yaml"
    path.write_text(path.read_text().replace("servers: [", f"servers: [{SECOND}", 1))
    shop.policy("server: mabs-01", "server: mabs-02")
    return divided_of(shop)


def ignores(site: Reviewed) -> None:
    site.replace("gold.yaml", "  shortTerm", "  ignore: [{field: shortTerm.retention, reason: r}]\n  shortTerm")


def goes(site: Reviewed) -> None:
    """The second server goes, and the group to the first, which Alice approves."""
    without_second(site)
    site.replace("gold.yaml", "server: mabs-02", "server: mabs-01")
    site.commit("one server", author=MALLORY)
    site.approved()


def test_a_group_that_moves_from_a_server_that_goes_stays_there(shop: Shop) -> None:
    site = moved_of(shop)
    goes(site)
    assert site.tick(*T[1]).code == 0
    assert site.groups() == {"gold": ("P5D", 2)}
    assert servers_of(site) == ["mabs-01"]
    assert plan_of(site, T[2]) == []
    assert site.tick(*T[3]).code == 0


def test_a_server_stays_while_a_group_on_it_is_as_it_was(shop: Shop) -> None:
    site = moved_of(shop)
    goes(site)
    ignores(site)
    site.commit("ignore", author=MALLORY)
    assert site("diff", "base", "HEAD").code == 5
    for now in T[1:3]:
        said = site.tick(*now)
        assert said.code == 5, said.out + said.err
        assert "the group gold is on mabs-02 as it was last applied" in said.out + said.err
    assert plan_of(site, T[3]) == []
    assert site("apply", "--yes", *T[3]).code == 5
    assert servers_of(site) == ["mabs-02", "mabs-01"]
    assert site.groups() == {}, "on the first server there is none yet"
    site.approved("base", "HEAD")
    assert site.tick(*T[4]).code == 0
    assert site.groups() == {"gold": ("P5D", 2)}
    assert servers_of(site) == ["mabs-01"]


def test_the_rest_of_the_site_goes_on_meanwhile(shop: Shop) -> None:
    site = moved_of(shop)
    text = (site.root / "policies" / "gold.yaml").read_text()
    other = text.replace("name: gold", "name: silver").replace("mabs-02", "mabs-01").replace("[one, two]", "[three]")
    shop.cluster.add(3, "three")
    goes(site)
    ignores(site)
    site.write("policies/silver.yaml", other)
    site.commit("ignore", author=MALLORY)
    assert site.tick(*T[1]).code == 5
    assert site.groups() == {"silver": ("P5D", 1)}


def test_a_server_that_a_person_took_out_is_in_no_plan(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a person says yes to what the site opens and no to the document, the group alone waits."""
    site = unreviewed_of(shop)
    without_second(site)
    site.replace("gold.yaml", "server: mabs-02", "server: mabs-01")
    ignores(site)
    site.commit("one server", author=MALLORY)
    answers = iter([True, False])
    monkeypatch.setattr(apply, "is_interactive", lambda: True)
    monkeypatch.setattr(apply, "ask", lambda question: next(answers))
    assert site("apply", *T[1]).code == 5
    monkeypatch.undo()
    assert servers_of(site) == ["mabs-01"]
    for now in T[2:4]:
        said = site.tick(*now)
        assert said.code == 5, said.out + said.err
        assert "on mabs-02, which the site has no more" in said.out + said.err
    assert plan_of(site, T[4]) == []


def test_without_the_door_the_server_goes(shop: Shop) -> None:
    """The defence: `going.still_needed`. Nothing is planned on it then."""
    with ExitStack() as stack:
        defences.NEEDED(stack)
        site = moved_of(shop)
        goes(site)
        ignores(site)
        site.commit("ignore", author=MALLORY)
        assert site.tick(*T[1]).code == 5
        assert servers_of(site) == ["mabs-01"]
        said = site.tick(*T[2])
        assert said.code == 5, said.out + said.err
        assert "on mabs-02, which the site has no more" in said.out + said.err
        assert plan_of(site, T[3]) == []


def unreviewed_of(shop: Shop) -> Reviewed:
    """The same, and nobody approves."""
    path = shop.root / "policies" / "site.yaml"
    path.write_text(path.read_text().replace("servers: [", f"servers: [{SECOND}", 1))
    shop.policy("server: mabs-01", "server: mabs-02")
    text, _, group = path.read_text().partition("---\n")
    path.write_text(text)
    (shop.root / "policies" / "gold.yaml").write_text(group)
    return Reviewed(shop, "prune: true")


# --- A group with another name on another server -----------------------------------------------------------------


def renamed(site: Reviewed) -> None:
    site.replace("gold.yaml", "name: gold", "name: g2")
    site.replace("gold.yaml", "  site: hq", "  renamedFrom: [gold]\n  site: hq")
    site.replace("gold.yaml", "server: mabs-01", "server: mabs-02")


def removal_that_was_given_up(site: Reviewed) -> str:
    """Alice approved on a branch, which was never merged, that the group goes."""
    site.git("checkout", "-qb", "pr")
    site.git("rm", "-q", "policies/gold.yaml")
    site.commit("gold goes", author=MALLORY)
    site.approved()
    yes = site.git("rev-parse", "HEAD")
    site.git("checkout", "-q", "main")
    return yes


@pytest.mark.parametrize("opened", [False, True], ids=["a server that waits", "a server that is there"])
@pytest.mark.parametrize("given_up", [False, True], ids=["", "with an approval of its removal"])
def test_a_group_renamed_and_moved_is_not_removed(shop: Shop, opened: bool, given_up: bool) -> None:
    site = divided_of(shop)
    if opened:
        with_second(site)
        site.commit("another server", author=MALLORY)
        site.approved()
        assert site.tick(*T[1]).code == 0
        site.git("tag", "-f", "base")
    yes = removal_that_was_given_up(site) if given_up else ""
    if not opened:
        with_second(site)
    renamed(site)
    site.commit("tidy up", author=MALLORY)
    if given_up:
        site.git("-c", f"user.email={MALLORY}", "cherry-pick", yes)
    assert site("diff", "base", "HEAD").code == 5
    said = site("plan", *T[2])
    assert "the policy was removed" not in said.out
    for now in T[3:5]:
        assert site.tick(*now).code == 5
    assert site.groups() == {"gold": ("P5D", 2)}
    site.approve("base", "HEAD")
    site.commit("approved", author=ALICE)
    assert site("diff", "base", "HEAD").code == 0
    for now in T[5:8]:
        said = site.tick(*now)
    assert said.code == 0, said.out + said.err
    assert site.groups() == {}
    assert servers_of(site)[:1] == ["mabs-02"]
    assert plan_of(site, T[8]) == []


def test_a_group_whose_document_is_not_known_is_not_removed_either(shop: Shop) -> None:
    """As a state of version 0.1 has it."""
    site = divided_of(shop)
    with closing(open_memory(site.root / "var" / "hq.db")) as memory:
        for entry in memory.ledger.entries():
            memory.ledger.record(msgspec.structs.replace(entry, document={}))
    with_second(site)
    renamed(site)
    site.commit("tidy up", author=MALLORY)
    assert plan_of(site, T[1]) == []
    assert site.tick(*T[2]).code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


# --- Two groups of one origin -------------------------------------------------------------------------------------


def test_a_comparison_refuses_what_could_never_be_done(shop: Shop) -> None:
    """Both say that they were gold: that needs no inventory, and a plan refuses it."""
    site = divided_of(shop)
    text = (site.root / "policies" / "gold.yaml").read_text().replace("  site: hq", "  renamedFrom: [gold]\n  site: hq")
    site.git("rm", "-q", "policies/gold.yaml")
    for name, machines in (("a2", "[one, two]"), ("b2", "[three]")):
        site.write(f"policies/{name}.yaml", text.replace("name: gold", f"name: {name}").replace("[one, two]", machines))
    site.commit("better names", author=MALLORY)
    for words in (("diff", "base", "HEAD"), ("approve", "base", "HEAD", "--by", ALICE, *BY), ("plan", *T[1])):
        said = site(*words)
        assert said.code == 65, said.out + said.err
        assert "RCL3091" in said.out + said.err
    assert site("diff", "HEAD", "base").code in (0, 5), "back again it is"
    assert site.groups() == {"gold": ("P5D", 2)}
