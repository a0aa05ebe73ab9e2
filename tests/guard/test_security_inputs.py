"""Ways past the guard by changing what it goes by: signers, approvers, guardrails, budgets, windows, what is opened."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

from reconciler import wiring
from reconciler.control.approving import site_guard, valid_approvals
from reconciler.control.policy_folder import read_good
from reconciler.errors import Refused
from reconciler.plan.review import settled_guard
from reconciler.state import Opening, open_memory
from reconciler.wiring import choose_site
from tests.journeys.test_terminal import _spawn
from tests.shop import Shop
from tests.support.reviewed import ALICE, APPROVERS, BOB, MALLORY, T1, Reviewed

T2, T3, T4 = (("--now", f"2026-03-10T{hour}:00Z") for hour in (13, 14, 15))
SIGNED = f"prune: true\n  approvals: {{approvers: [{ALICE}], allowedSigners: policies/allowed_signers}}"


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "mallory"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "c", "-f", str(folder / name)), check=True)
    return folder


def _key(keys: Path, name: str) -> str:
    return " ".join((keys / f"{name}.pub").read_text().split()[:2])


# --- Signers ---------------------------------------------------------------------------------------------------


@pytest.fixture
def signed(shop: Shop, keys: Path) -> Reviewed:
    return Reviewed(shop, SIGNED, {"policies/allowed_signers": signers_of(keys)})


def signers_of(keys: Path) -> str:
    return f"# ours\n{ALICE} {_key(keys, 'alice')} alice@laptop\n"


LINES: dict[str, Callable[[Path], str]] = {
    "added": lambda keys: f"{ALICE} {_key(keys, 'alice')}\n{ALICE} {_key(keys, 'mallory')}\n",
    "swapped in place": lambda keys: f"# ours\n{ALICE} {_key(keys, 'mallory')} alice@laptop\n",
    "for everybody": lambda keys: f"{ALICE} {_key(keys, 'alice')}\n* {_key(keys, 'mallory')}\n",
    "among blanks": lambda keys: f"{ALICE} {_key(keys, 'alice')}\n\n\t{ALICE}\t{_key(keys, 'mallory')}\r\n",
    "a certificate's": lambda keys: (
        f'{ALICE} {_key(keys, "alice")}\n{ALICE} cert-authority,namespaces="*" {_key(keys, "mallory")}\n'
    ),
    "behind a letter at which Python parts words": lambda keys: (
        "\x0b".join((ALICE, *_key(keys, "alice").split(), f",{ALICE} ")) + f"{_key(keys, 'mallory')}\n"
    ),
    "as a comment to Python alone": lambda keys: (
        f"{ALICE} {_key(keys, 'alice')}\n\u00a0#,{ALICE} {_key(keys, 'mallory')}\n"
    ),
    "behind a key in quotes": lambda keys: (
        f'{ALICE} {_key(keys, "alice")}\n{ALICE} namespaces="reconciler-approval,{_key(keys, "alice")}" '
        f"{_key(keys, 'mallory')}\n"
    ),
}


def _forged(site: Reviewed, keys: Path, way: str) -> None:
    """Mallory's key among the signers, in a commit of its own; then a weakening that he signs as Alice."""
    site.git("tag", "base")
    site.write("policies/allowed_signers", LINES[way](keys))
    site.commit("tidy up", author=MALLORY)


def _weaken(site: Reviewed, keys: Path) -> None:
    site.edit("retention: 5d", "retention: 2d")
    said = site.approve("HEAD", "--key", str(keys / "mallory"), by=ALICE)
    assert said.code == 0, said.err
    site.commit("shorter", author=MALLORY)


@pytest.mark.parametrize("way", LINES)
def test_a_signer_is_a_change_that_weakens(signed: Reviewed, keys: Path, way: str) -> None:
    _forged(signed, keys, way)
    said = signed("diff", "base", "HEAD")
    assert said.code == 5
    assert "AllowedSigners policies/allowed_signers" in said.out
    _weaken(signed, keys)
    for now in (T1, T2, T3):
        assert signed.tick(*now).code == 5
    assert signed("apply", "--yes", *T4).code == 5
    assert "RCL3103" in signed("plan", *T4).out
    assert signed.groups() == {"gold": ("P5D", 2)}


def _by_another_name(site: Reviewed, text: str) -> None:
    site.write("policies/keys", text)
    site.edit("policies/allowed_signers", "policies/keys")
    site.commit("keys", author=BOB)
    site.git("mv", "-f", "policies/keys", "policies/allowed_signers")
    site.edit("policies/keys", "policies/allowed_signers")
    site.commit("back", author=BOB)


def _while_it_was_named_by_nobody(site: Reviewed, text: str) -> None:
    site.edit(", allowedSigners: policies/allowed_signers", "")
    site.write("policies/allowed_signers", text)
    site.commit("no signers", author=BOB)
    site.edit(f"approvers: [{ALICE}, {BOB}]", f"approvers: [{ALICE}, {BOB}], allowedSigners: policies/allowed_signers")
    site.commit("signers", author=MALLORY)


def _after_it_was_named_by_nobody(site: Reviewed, text: str) -> None:
    site.edit(", allowedSigners: policies/allowed_signers", "")
    site.commit("no signers", author=MALLORY)
    site.write("policies/allowed_signers", text)
    site.commit("a file that says nothing", author=BOB)
    site.edit(f"approvers: [{ALICE}, {BOB}]", f"approvers: [{ALICE}, {BOB}], allowedSigners: policies/allowed_signers")
    site.commit("signers", author=MALLORY)


@pytest.mark.parametrize("way", [_by_another_name, _while_it_was_named_by_nobody, _after_it_was_named_by_nobody])
def test_an_approver_who_brings_a_key_does_not_approve_it(
    shop: Shop, keys: Path, way: Callable[[Reviewed, str], None]
) -> None:
    """Bob brings a key of Alice's that is his own, by way of another file; somebody else changes the real one."""
    rules = SIGNED.replace(f"[{ALICE}]", f"[{ALICE}, {BOB}]")
    signers = f"{ALICE} {_key(keys, 'alice')}\n{BOB} {_key(keys, 'mallory')}\n"
    site = Reviewed(shop, rules, {"policies/allowed_signers": signers + f"gone@corp.example {_key(keys, 'alice')}\n"})
    site.git("tag", "base")
    site.write("policies/allowed_signers", signers)
    site.commit("somebody left", author=MALLORY)
    way(site, signers + f"{ALICE} {_key(keys, 'mallory')}\n")
    said = site.approve("base", "HEAD", "--key", str(keys / "mallory"), by=BOB)
    assert said.code == 0, said.err
    site.commit("approved", author=BOB)
    told = site("diff", "base", "HEAD")
    assert (told.code, f"{BOB} wrote the change" in told.out) == (5, True), told.out
    for now in (T1, T2):
        assert site.tick(*now).code == 5


def test_one_signer_less_is_taken_over_at_once(shop: Shop, keys: Path) -> None:
    two = signers_of(keys) + f"{BOB} {_key(keys, 'mallory')}\n"
    signed = Reviewed(shop, SIGNED, {"policies/allowed_signers": two})
    signed.write("policies/allowed_signers", signers_of(keys))
    signed.commit("one less", author=MALLORY)
    assert signed("diff", "HEAD~1", "HEAD").code == 0
    assert signed.apply().code == 0
    signed.write("policies/allowed_signers", two)
    signed.commit("again", author=MALLORY)
    assert signed.apply().code == 5


@pytest.mark.parametrize("text", ["# nobody\n", None, "new"])
def test_the_last_signers_go_once_one_of_them_said_so(signed: Reviewed, keys: Path, text: str | None) -> None:
    """Else nobody could approve anything ever after, and no key could be changed for another one."""
    path = signed.root / "policies" / "allowed_signers"
    path.write_text(f"{ALICE} {_key(keys, 'mallory')}\n" if text == "new" else text) if text else path.unlink()
    signed.commit("other signers", author=MALLORY)
    assert signed("diff", "HEAD~1", "HEAD").code == 5
    assert signed.tick(*T1).code == 5
    said = signed.approve("HEAD~1", "HEAD", "--key", str(keys / "alice"), by=ALICE)
    assert said.code == 0, said.err
    signed.commit("approved", author=ALICE)
    assert signed.tick(*T2).code == 0
    assert "RCL3103" not in signed("plan", *T2).out


def test_a_signer_that_was_approved_may_sign_from_then_on(signed: Reviewed, keys: Path) -> None:
    _forged(signed, keys, "added")
    said = signed.approve("base", "HEAD", "--key", str(keys / "alice"), by=ALICE)
    assert said.code == 0, said.err
    signed.commit("approved", author=ALICE)
    assert signed.apply().code == 0
    _weaken(signed, keys)
    done = signed.apply()
    assert done.code == 0, done.err + done.out
    assert signed.groups() == {"gold": ("P2D", 2)}


def test_without_the_weighing_of_signers_he_gets_through(
    signed: Reviewed, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defence: `settled.in_force`, by which an added line does not count."""
    monkeypatch.setattr(settled_guard, "in_force", lambda before, after, agreed, path: after)
    _forged(signed, keys, "added")
    signed.tick(*T1)
    _weaken(signed, keys)
    signed.tick(*T2)
    assert signed.groups() == {"gold": ("P2D", 2)}


# --- Whoever names the first judge -----------------------------------------------------------------------------


def name_signers(site: Reviewed, keys: Path, earlier: str = "") -> None:
    """Mallory names a file of signers in which Alice has his key, in a commit of its own."""
    site.git("tag", "base")
    site.write("policies/keys", f"{ALICE} {_key(keys, 'mallory')}\n")
    site.edit(earlier or f"approvers: [{ALICE}, {BOB}]", f"approvers: [{ALICE}], allowedSigners: policies/keys")
    site.commit("sign approvals from now on", author=MALLORY)


def name_approvers(site: Reviewed) -> None:
    """Mallory names himself as the first approver."""
    site.git("tag", "base")
    site.edit("prune: true", f"prune: true\n  approvals: {{approvers: [{MALLORY}]}}")
    site.commit("approvers, at last", author=MALLORY)


@pytest.mark.parametrize("earlier", ["no file", "another file"])
def test_who_names_the_file_of_signers_does_not_choose_the_keys(shop: Shop, keys: Path, earlier: str) -> None:
    one = f"prune: true\n  approvals: {{approvers: [{ALICE}]}}"
    rules, files = (one, {}) if earlier == "no file" else (SIGNED, {"policies/allowed_signers": signers_of(keys)})
    site = Reviewed(shop, rules, files)
    was = f"approvers: [{ALICE}]" + ("" if earlier == "no file" else ", allowedSigners: policies/allowed_signers")
    name_signers(site, keys, was)
    said = site("diff", "base", "HEAD")
    assert said.code == 5
    assert "AllowedSigners policies/keys" in said.out
    _weaken(site, keys)
    for now in (T1, T2, T3):
        assert site.tick(*now).code == 5
    assert site("apply", "--yes", *T4).code == 5
    told = site("plan", *T4)
    assert ("RCL3103" in told.out, "RCL3045" in told.out) == (True, True)
    assert site.groups() == {"gold": ("P5D", 2)}


def test_signatures_are_asked_for_once_an_approver_said_so(shop: Shop, keys: Path) -> None:
    """By the old rule: an approval without a signature, that its approver brought."""
    site = Reviewed(shop, f"prune: true\n  approvals: {{approvers: [{ALICE}]}}")
    site.write("policies/keys", signers_of(keys))
    site.edit(f"approvers: [{ALICE}]", f"approvers: [{ALICE}], allowedSigners: policies/keys")
    site.commit("sign approvals from now on", author=BOB)
    site.approved()
    assert site("diff", "HEAD~2", "HEAD").code == 0
    said = site.tick(*T1)
    assert said.code == 0, said.out
    site.edit("retention: 5d", "retention: 2d")
    site.commit("shorter", author=BOB)
    assert site.approve("HEAD~1", "HEAD").code == 64  # without a key
    assert site.approve("HEAD~1", "HEAD", "--key", str(keys / "alice")).code == 0
    site.commit("approved", author=BOB)
    assert site.tick(*T2).code == 0
    assert site.groups() == {"gold": ("P2D", 2)}


@pytest.fixture
def unjudged(shop: Shop) -> Reviewed:
    """A site without approvers, in which a person in a terminal says yes."""
    return Reviewed(shop, "prune: true")


def test_the_first_approvers_wait_for_a_person(unjudged: Reviewed) -> None:
    name_approvers(unjudged)
    assert unjudged("diff", "base", "HEAD").code == 5
    unjudged.edit("retention: 5d", "retention: 2d")
    assert unjudged.approve("HEAD", by=MALLORY).code == 0
    unjudged.commit("shorter", author=BOB)
    for now in (T1, T2):
        said = unjudged.tick(*now)
        assert (said.code, "run 'reconciler apply' in a terminal" in said.out) == (5, True), said
    assert unjudged("apply", "--yes", *T3).code == 5
    assert unjudged.groups() == {"gold": ("P5D", 2)}


def test_a_person_in_a_terminal_takes_the_first_approvers_over(unjudged: Reviewed) -> None:
    name_approvers(unjudged)
    child = _spawn(unjudged.root, "apply", *T2)
    child.expect("spec.approvals was changed and is not approved; until then this is in effect: nothing")
    child.expect("Apply anyway")
    child.sendline("yes")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    assert "RCL3103" not in unjudged("plan", *T2).out
    unjudged.edit("retention: 5d", "retention: 2d")
    unjudged.commit("shorter", author=BOB)
    assert unjudged("apply", "--yes", *T3).code == 5
    unjudged.approved(by=MALLORY)
    assert unjudged.tick(*T4).code == 0
    assert unjudged.groups() == {"gold": ("P2D", 2)}


# --- Day, hour and removal --------------------------------------------------------------------------------------


def test_another_zone_moves_no_day_before_somebody_agreed(shop: Shop) -> None:
    """At Honolulu it is still the day on which the approval ends."""
    site = Reviewed(shop)
    site.edit("retention: 5d", "retention: 2d")
    said = site("approve", "HEAD", "--by", ALICE, "--reason", "r", "--until", "2099-03-10", "--yes")
    assert said.code == 0, said.err
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    document.write_text(document.read_text().replace("2099-03-10", "2026-03-10"))
    site.commit("shorter", author=ALICE)
    site.edit("timeZone: UTC", "timeZone: Pacific/Honolulu")
    site.commit("at the beach", author=MALLORY)
    night = ("--now", "2026-03-11T05:00Z")
    assert site.tick(*night).code == 5
    assert (
        "spec.timeZone was changed and is not approved; until then this is in effect: UTC" in site("plan", *night).out
    )
    assert site("apply", "--yes", *night).code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


def test_a_site_prunes_once_somebody_agreed(shop: Shop) -> None:
    """That the group goes was approved where groups that go are kept."""
    site = Reviewed(shop, f"prune: false\n  approvals: {{approvers: [{ALICE}]}}")
    path = site.root / "policies" / "silver.yaml"
    group = site.policy.read_text().partition("---\n")[2]
    path.write_text(group.replace("name: gold", "name: silver").replace("[one, two]", "[three]"))
    site.shop.cluster.add(3, "three")
    site.commit("silver", author=BOB)
    assert site.apply().code == 0
    path.unlink()
    site.edit("prune: false", "prune: true")
    site.commit("tidy up", author=MALLORY)
    for now in (T2, T3):
        said = site.tick(*now)
        assert (said.code, "RCL3103" in said.out) == (5, True), said
    assert '"stopProtection"' not in site("plan", "--output", "json", *T3).out
    assert "silver" in site.groups()
    site.approved("HEAD~1", "HEAD")
    assert site.tick(*T4).code == 0
    assert "RCL3103" not in site("plan", *T4).out


def test_rehearsals_are_allowed_once_somebody_agreed(shop: Shop) -> None:
    shop.policy("rehearsal: true", "rehearsal: false")
    assert shop("apply", "--yes").code == 0
    shop.policy("rehearsal: false", "rehearsal: true")
    for words in (("apply", "--yes"), ("run", "--once"), ("plan",)):
        said = shop(*words, "--now", "2031-03-10T12:00Z")
        assert (said.code, "RCL6012" in said.err) == (64, True), said
    assert shop("plan", "--detailed-exitcode").code == 2
    assert shop("apply", "--yes", "--break-glass", "a drill").code == 0
    assert shop("plan", "--now", "2031-03-10T12:00Z").code == 0


# --- The site's name ---------------------------------------------------------------------------------------------


@pytest.fixture
def site(shop: Shop) -> Reviewed:
    return Reviewed(shop)


def _told(site: Reviewed) -> dict[str, Any] | None:
    memory = open_memory(site.root / "var" / "hq.db", opening=Opening.READ)
    try:
        return memory.ledger.site_document()
    finally:
        memory.close()


def test_a_site_of_another_name_brings_no_approvers(site: Reviewed) -> None:
    """The state is of the site that was applied: what another one says is not done, and backups go on."""
    site.edit("name: hq", "name: hq2")
    site.edit("site: hq", "site: hq2")
    site.edit(f"approvers: [{ALICE}, {BOB}]", f"approvers: [{MALLORY}]")
    site.commit("a better name", author=MALLORY)
    assert site("diff", "HEAD~1", "HEAD").code == 5
    for command in (("plan",), ("apply", "--yes")):
        said = site(*command, *T1)
        assert (said.code, "RCL3105" in said.err) == (6, True), said
    for shows, code in (("drift", 6), ("status", 0), ("coverage", 0)):
        said = site(shows, *T1)
        assert (said.code, "the policies call the site hq2" in said.out + said.err) == (code, True), said
    assert "RCL3105" in site("status", "--check", *T1).err
    said = site.tick(*T1)
    assert "RCL3105" in said.out + said.err
    assert said.code != 0
    assert "2 jobs succeeded" in said.out
    site.edit("retention: 5d", "retention: 2d")
    assert site.approve("HEAD", by=MALLORY).code == 0
    site.commit("shorter", author=BOB)
    for now in (T2, T3):
        assert "RCL3105" in site.tick(*now).out
    assert site.groups() == {"gold": ("P5D", 2)}


def test_without_the_look_at_the_name_it_does(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `securing.renamed`, and that a Site that goes is held as it was."""
    monkeypatch.setattr(site_guard, "renamed", lambda settled, written: False)
    monkeypatch.setattr(settled_guard, "_site", lambda old, new, held: new)
    site.edit("name: hq", "name: hq2")
    site.edit("site: hq", "site: hq2")
    site.edit(f"approvers: [{ALICE}, {BOB}]", f"approvers: [{MALLORY}]")
    site.commit("a better name", author=MALLORY)
    site.tick(*T1)
    known = valid_approvals.settled_guard(_told(site))
    assert known is not None
    assert known.site.spec.approvals is not None
    assert known.site.spec.approvals.approvers == (MALLORY,)


# --- Budgets, windows, guardrails ---------------------------------------------------------------------------------

RULE = """apiVersion: reconciler/v1
kind: Guardrail
metadata: {name: long-enough}
spec:
  match: {kinds: [ProtectionGroup]}
  validations: [{expression: "object.spec.shortTerm.retention >= duration('72h')", message: three days}]
"""
BUDGETS = APPROVERS + "\n  budgets: {perDay: {newMembers: 1}, shareAtOnce: 50%, minimumPopulation: 1}"
WINDOWS = APPROVERS + '\n  changeWindows: [{allow: {from: "01:00", to: "02:00"}}]'


def _grow(site: Reviewed) -> None:
    for number in (3, 4):
        site.shop.cluster.add(number, f"vm{number}")
    site.edit("[one, two]", '["*"]')


LOOSER: dict[str, tuple[str, tuple[str, str]]] = {
    "a budget raised": (BUDGETS, ("newMembers: 1", "newMembers: 9")),
    "a budget taken out": (BUDGETS, ("perDay: {newMembers: 1}, ", "")),
    "all budgets taken out": (
        BUDGETS,
        ("\n  budgets: {perDay: {newMembers: 1}, shareAtOnce: 50%, minimumPopulation: 1}", ""),
    ),
    "a share that counts from more on": (BUDGETS, ("minimumPopulation: 1", "minimumPopulation: 900")),
    "a day as long as no other": (BUDGETS, ("newMembers: 1}", "newMembers: 1000000}")),
}


@pytest.mark.parametrize("way", LOOSER)
def test_a_looser_budget_does_not_count_until_it_is_approved(shop: Shop, way: str) -> None:
    rules, edit = LOOSER[way]
    shop.policy("[one, two]", "[one]")
    site = Reviewed(shop, rules)
    site.edit("[one]", "[one, two]")
    _grow(site)
    site.edit(*edit)
    site.commit("looser", author=MALLORY)
    said = site.tick()
    assert said.code in (5, 7), said.out
    assert site.groups()["gold"][1] <= 2
    again = site.tick(*T2)
    assert again.code in (5, 7)
    assert site.groups()["gold"][1] <= 2
    assert site("diff", "HEAD~1", "HEAD").code == 5


def test_without_the_settled_site_a_raised_budget_is_used_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `_site`, by which a field that waits is as it was."""
    monkeypatch.setattr(settled_guard, "_site", lambda old, new, held: new)
    shop.policy("[one, two]", "[one]")
    site = Reviewed(shop, BUDGETS)
    site.edit("[one]", "[one, two]")
    _grow(site)
    site.edit("newMembers: 1", "newMembers: 9")
    site.commit("looser", author=MALLORY)
    site.tick()
    assert site.groups()["gold"][1] == 4


WIDER = [
    ('to: "02:00"', 'to: "23:00"'),
    ('changeWindows: [{allow: {from: "01:00", to: "02:00"}}]', "changeWindows: []"),
    ('[{allow: {from: "01:00", to: "02:00"}}]', '[{allow: {from: "01:00", to: "02:00"}}, {allow: {}}]'),
    ('\n  changeWindows: [{allow: {from: "01:00", to: "02:00"}}]', ""),
    ('from: "01:00"', 'from: "23:00"'),
    ("timeZone: UTC", "timeZone: Pacific/Auckland"),
]


@pytest.mark.parametrize("edit", WIDER)
def test_a_wider_window_does_not_open_by_itself(shop: Shop, edit: tuple[str, str]) -> None:
    site = windowed_of(shop)
    site.edit("retention: 5d", "retention: 9d")
    site.edit(*edit)
    site.commit("wider", author=MALLORY)
    for now in (T1, T2):
        site.tick(*now)
        assert site.groups() == {"gold": ("P5D", 2)}
    assert site("diff", "HEAD~1", "HEAD").code == 5


def windowed_of(shop: Shop) -> Reviewed:
    """Applied within its window, which is from one to two."""
    shop.policy("prune: false", WINDOWS)
    site = Reviewed.__new__(Reviewed)
    site.shop, site.root, site.policy = shop, shop.root, shop.root / "policies" / "site.yaml"
    site.document = choose_site(read_good(shop.root).policies, None)
    site.git("init", "-q", "-b", "main")
    site.git("config", "user.email", BOB)
    site.commit("first")
    assert shop("apply", "--yes", "--now", "2026-03-10T01:30Z").code == 0
    return site


def _gone(site: Reviewed) -> None:
    (site.root / "policies" / "rule.yaml").unlink()


def _warns(site: Reviewed) -> None:
    site.write("policies/rule.yaml", RULE + "  enforce: warn\n")


def _always(site: Reviewed) -> None:
    site.write("policies/rule.yaml", RULE.replace("object.spec", "true || object.spec"))


def _looks_away(site: Reviewed) -> None:
    site.write("policies/rule.yaml", RULE.replace("kinds: [ProtectionGroup]", "kinds: [ProtectionGroup], names: [x]"))


def _of_changes_alone(site: Reviewed) -> None:
    site.write("policies/rule.yaml", RULE.replace("[ProtectionGroup]}", "[ProtectionGroup], operations: [delete]}"))


@pytest.mark.parametrize("loosen", [_gone, _warns, _always, _looks_away, _of_changes_alone])
def test_a_guardrail_that_goes_still_denies(shop: Shop, loosen: Callable[[Reviewed], None]) -> None:
    """Even what is approved: who approves the one has not approved that the rule goes."""
    site = Reviewed(shop, files={"policies/rule.yaml": RULE})
    site.edit("retention: 5d", "retention: 2d")
    site.commit("shorter", author=MALLORY)
    site.approved()
    assert site.tick().code == 4
    loosen(site)
    site.commit("rules", author=MALLORY)
    for now in (T1, T2):
        assert site.tick(*now).code in (4, 5)
    assert site("apply", "--yes", *T3).code == 4
    assert site.groups() == {"gold": ("P5D", 2)}


def test_without_the_settled_guardrails_it_is_let_through(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `guardrails_now`."""
    monkeypatch.setattr(site_guard, "guardrails_now", lambda guard, policies: policies.guardrails)
    site = Reviewed(shop, files={"policies/rule.yaml": RULE})
    site.edit("retention: 5d", "retention: 2d")
    site.commit("shorter", author=MALLORY)
    site.approved()
    _gone(site)
    site.commit("rules", author=MALLORY)
    site.tick()
    assert site.groups() == {"gold": ("P2D", 2)}


def test_a_guardrail_whose_end_was_approved_denies_no_more(shop: Shop) -> None:
    site = Reviewed(shop, files={"policies/rule.yaml": RULE})
    _gone(site)
    site.edit("retention: 5d", "retention: 2d")
    site.commit("rules", author=MALLORY)
    site.approved()
    said = site.tick()
    assert said.code == 0, said.out + said.err
    assert site.groups() == {"gold": ("P2D", 2)}


# --- What is opened ---------------------------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What any adapter was asked to open, by path or endpoint."""
    seen: list[str] = []
    real = wiring._load

    def recording(group: str, name: str) -> Callable[..., Any]:
        make = real(group, name)

        def opening(*words: Any) -> Any:
            seen.append(str(words[1] if len(words) > 1 else words[0].settings))
            return make(*words)

        return opening

    def remote(group: str, name: str) -> Any:
        seen.append(f"{group} {name}")
        return Refused("RCL1041", "not there", "")

    monkeypatch.setattr(wiring, "_load", recording)
    monkeypatch.setattr(wiring, "_not_there", remote)
    return seen


HYPERV = '{hyperv: {endpoint: "https://evil.example", transport: ntlm, credential: "env:X"}}'
MABS = '{mabs: {endpoint: "https://evil.example", transport: ntlm, credential: "env:X"}}'
CLUSTER, STORE = "{directory: {path: cluster}}", "{embedded: {path: var/mabs-01}}"
DAILY = ("synchronization: 1h", "synchronization: 1h, expressFull: {times: ['22:00']}")
ELSEWHERE: dict[str, list[tuple[str, str]]] = {
    "another folder": [(CLUSTER, "{directory: {path: evil}}")],
    "an exported file": [(CLUSTER, "{snapshot: {path: evil}}")],
    "an endpoint": [(CLUSTER, HYPERV), (STORE, MABS), DAILY],
    "one cluster more": [(f"inventory: {CLUSTER}}}]", f"inventory: {CLUSTER}}}, {{name: evil, inventory: {HYPERV}}}]")],
    "another store": [(STORE, "{embedded: {path: evil}}")],
    "another engine": [(STORE, MABS), DAILY],
    "a plugin": [(STORE, "{plugin: {name: evil}}")],
    "one server more": [
        (
            "capacity: 1 GB}]}]",
            f"capacity: 1 GB}}]}}, {{name: evil, engine: {MABS}, volumes: [{{name: v, capacity: 1 GB}}]}}]",
        )
    ],
}


def _edited(site: Reviewed, way: str) -> None:
    for old, new in ELSEWHERE[way]:
        site.edit(old, new)
    site.commit("elsewhere", author=MALLORY)


@pytest.mark.parametrize("way", ELSEWHERE)
def test_what_differs_is_not_opened(shop: Shop, opened: list[str], way: str) -> None:
    site = Reviewed(shop)
    _edited(site, way)
    assert site("diff", "HEAD~1", "HEAD").code == 5
    opened.clear()
    for doing in (("plan", *T1), ("run", "--once", *T1), ("run", "--once", *T2), ("apply", "--yes", *T3)):
        said = site(*doing)
        assert said.code in (0, 5), said.err + said.out
        assert "RCL3103" in said.out + said.err
    looks: tuple[tuple[str, ...], ...] = (
        ("coverage",),
        ("members", "gold"),
        ("preflight",),
        ("drift", *T4),
        ("status", *T4),
    )
    for words in looks:
        site(*words)
    assert opened
    assert not [each for each in opened if "evil" in each or "hyperv" in each or "mabs" in each.split()[-1:]]
    assert not (site.root / "evil").exists()


@pytest.mark.parametrize("words", [("validate",), ("diff", "HEAD"), ("validate", "--output", "json")])
def test_validate_and_diff_open_nothing(shop: Shop, opened: list[str], words: tuple[str, ...]) -> None:
    site = Reviewed(shop)
    opened.clear()
    site(*words)
    assert opened == []


@pytest.mark.parametrize("command", [("plan",), ("run", "--once"), ("coverage",), ("inventory", "snapshot")])
@pytest.mark.parametrize("way", ["an endpoint", "a link", "/net/evil.example/share", "../evil"])
def test_a_first_site_opens_nothing_outside_of_its_root(
    shop: Shop, opened: list[str], command: tuple[str, ...], way: str
) -> None:
    """A plan on a pull request must not sign in at a stranger's host, where nothing was settled yet."""
    if way == "an endpoint":
        shop.policy(CLUSTER, HYPERV)
        shop.policy(STORE, MABS)
        shop.policy(*DAILY)
    elif way == "a link":
        (shop.root / "linked").symlink_to("/net/evil.example/share")
        shop.policy(CLUSTER, "{directory: {path: linked/cluster}}")
    else:
        shop.policy(CLUSTER, f'{{directory: {{path: "{way}"}}}}')
    said = shop(*command)
    assert said.code != 0
    assert opened == []
    assert "RCL3104" in said.err or "RCL1026" in said.err


def test_the_first_apply_names_what_it_opens(shop: Shop) -> None:
    said = shop("apply", "--yes", *T1)
    assert said.code == 0
    assert "The first apply of the site hq opens: cluster hci-01: cluster; server mabs-01: " in said.err


def test_without_the_gate_it_is_opened(shop: Shop, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `may_open`, the one door to what is opened."""
    site = Reviewed(shop)
    _edited(site, "another folder")
    monkeypatch.setattr(wiring, "may_open", lambda root, document, *others, **more: document)
    opened.clear()
    site("plan", *T1)
    assert [each for each in opened if "evil" in each]


def test_a_path_that_was_approved_is_opened(shop: Shop, opened: list[str]) -> None:
    site = Reviewed(shop)
    (site.root / "cluster").rename(site.root / "moved")
    (site.root / "cluster").mkdir()
    site.edit("directory: {path: cluster}", "directory: {path: moved}")
    site.commit("moved", author=MALLORY)
    site.approved()
    opened.clear()
    said = site.apply()
    assert said.code == 0, said.err + said.out
    assert [each for each in opened if each.endswith("moved")]
    assert json.loads(site("catalog", "snapshot").out)["site"] == "hq"


# --- A server that is added, without approvers -----------------------------------------------------------------


@pytest.fixture
def grown(shop: Shop) -> Shop:
    """A site that was applied, with a server that was added to it since, and a group for that."""
    assert shop("apply", "--yes", *T1).code == 0
    more = "{name: mabs-02, engine: {embedded: {path: var/mabs-02}}, volumes: [{name: vol-a, capacity: 1 GB}]}"
    shop.policy("capacity: 1 GB}]}]", f"capacity: 1 GB}}]}}, {more}]")
    group = (shop.root / "policies" / "site.yaml").read_text(encoding="utf-8").partition("---\n")[2]
    for old, new in (("name: gold", "name: second"), ("server: mabs-01", "server: mabs-02"), ("one, two", "three")):
        assert old in group
        group = group.replace(old, new)
    (shop.root / "policies" / "second.yaml").write_text(group, encoding="utf-8")
    shop.cluster.add(3, "three")
    return shop


def test_a_server_that_waits_is_said_and_not_taken_for_nothing_to_do(grown: Shop) -> None:
    for words in (("plan", *T2), ("apply", "--yes", *T2)):
        said = grown(*words)
        assert "No changes" not in said.out
        assert "Nothing can be applied until the waiting changes are approved or resolved" in said.out
        assert "it would open server mabs-02: var/mabs-02" in said.out
        assert "run 'reconciler apply' in a terminal" in said.out
        assert "the group second waits" in said.out
    assert grown("plan", "--detailed-exitcode", *T2).code == 2
    assert grown("apply", "--yes", *T2).code == 5


def test_a_person_in_a_terminal_opens_the_server_that_waits(grown: Shop) -> None:
    child = _spawn(grown.root, "apply", *T2)
    child.expect("it would open server mabs-02: var/mabs-02")
    child.expect("Apply anyway")
    child.sendline("yes")
    child.expect("Apply this plan")
    child.sendline("yes")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    said = grown("plan", "--detailed-exitcode", *T2)
    assert (said.code, "RCL3103" in said.out) == (0, False), said
