"""The ways past the guard as one table: each is stopped, and gets through once its defence is taken out.

A way that is stopped though nothing defends against it proves nothing, so every row names the function that stands in
its way, and is tried twice: as it is, and without that function. Where two cover each other both are taken out.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from reconciler.engines.embedded.engine import EmbeddedEngine
from reconciler.errors import Refused
from reconciler.model import ProtectionGroup, Record, record_line
from reconciler.model.documents import PolicySet
from reconciler.plan.fields import FIELDS
from reconciler.plan.review import field_rules
from reconciler.wiring import RehearsedClock, open_site
from tests.fakes import NOON
from tests.guard import (
    defences,
    test_authorship,
    test_direction,
    test_enumeration,
    test_evidence,
    test_first_use,
    test_git,
    test_judges_change,
    test_look_alikes,
    test_named_authors,
    test_presets,
    test_replay,
    test_restored,
    test_saved_plans,
    test_security_inputs,
    test_several_sites,
    test_waits_elsewhere,
    test_without_a_step,
)
from tests.guard.defences import Out, both, made, put, unweighed
from tests.guard.test_security_inputs import keys
from tests.shop import Said, Shop
from tests.support.reviewed import ALICE, APPROVERS, BOB, MALLORY, T1, Reviewed, divided_of, forge

__all__ = ["keys"]
PROVE = bool(os.environ.get("RECONCILER_PROVE"))
LATER = tuple(("--now", f"2026-03-10T{at}Z") for at in ("13:00", "14:00", "23:30"))


class World(NamedTuple):
    """What a way is tried with."""

    shop: Shop
    keys: Path
    another: Callable[[], Shop]
    #: Without the defence every end of the change has to be reached, with it none may be.
    through: Callable[[list[bool]], bool] = all


#: Does what the attacker does, and says whether it got through.
Attack = Callable[[World], bool]


class Way(NamedTuple):
    """A row: the mechanism, what the way is called, the attack, what stands in its way and how that is taken out."""

    mechanism: str
    called: str
    attack: Attack
    defence: str
    out: Out


# --- What counts as through ------------------------------------------------------------------------------------

#: As they are before anything is taken out.
_WEIGHING = [(field.get, field.weigh) for field in FIELDS]


def _held(site: Reviewed) -> dict[str, ProtectionGroup]:
    """Virtual machine -> the group that the server protects it by."""
    opened = open_site(site.root, site.document, RehearsedClock(NOON), policies=PolicySet((), (), ()))
    try:
        groups = [each.group for each in opened.engines["mabs-01"].observe().groups]
    finally:
        opened.close()
    return {str(source): group for group in groups for source in group.sources}


def _weaker(before: dict[str, ProtectionGroup], now: dict[str, ProtectionGroup]) -> bool:
    for source, group in before.items():
        if source not in now:
            return True
        for get, weigh in _WEIGHING:
            old, new = get(group), get(now[source])
            if old != new and weigh(old, new).needs_consent:
                return True
    return False


def _done(site: Reviewed, *, count: int = 3) -> bool:
    """Whether the server is weaker after the loop and `apply` have had their turn."""
    before = _held(site)
    for now in LATER[:count]:
        site.tick(*now)
    site("apply", "--yes", "--now", "2026-03-10T23:45Z")
    return _weaker(before, _held(site))


def _unseen(site: Reviewed, older: str = "base") -> bool:
    """Whether whoever reviews the change is told that nothing needs an approval."""
    return site("diff", older, "HEAD").code == 0


def _change(act: Callable[[Reviewed], None], *ends: Callable[[Reviewed], bool]) -> Attack:
    """The site with its group in a file of its own; Mallory commits a change."""

    def attack(world: World) -> bool:
        site = divided_of(world.shop)
        act(site)
        site.git("add", "-A", "shared" if (site.root / "shared").exists() else "policies")
        site.commit("tidy up", author=MALLORY)
        return world.through([end(site) for end in ends])

    return attack


def _committed(act: Callable[[Reviewed], None], make: Callable[[Shop], Reviewed] = divided_of) -> Attack:
    """The way makes its own commits."""

    def attack(world: World) -> bool:
        site = make(world.shop)
        act(site)
        return _unseen(site)

    return attack


# --- Enumeration, authorship, Git ------------------------------------------------------------------------------

_FOUND = {
    "in_another_letter_case": ("policy_files.is_policy_name", defences.CASE_OF_ENDINGS),
    "behind_a_link": ("policy_files._Walk._link", defences.LINKS),
    "in_a_folder_behind_a_link": ("policy_files._Walk._link", defences.LINKS),
    "in_a_hidden_folder_behind_a_link": ("policy_files._Walk._link", defences.LINKS),
    "the_group_under_a_hidden_name": ("policy_files._Walk._entry", defences.DOT_FILES),
    "the_group_with_another_ending": ("policy_files.is_policy_name", defences.OTHER_ENDINGS),
    "a_second_document_far_down": ("policy_files.read_policy_files", defences.WHOLE_FILES),
}
ENUMERATION = [
    Way("enumeration", name, _change(test_enumeration.WAYS[name], _unseen), *found) for name, found in _FOUND.items()
]

_WROTE = {
    "plainly": ("authorship.wrote", defences.AUTHORS),
    "over_the_group": (
        "authorship._approvals_alone, the older side, authors that nobody knows, and blame.blame",
        both(defences.OLDER_SIDE, defences.SOMEBODY, defences.BLAMED),
    ),
    "over_the_group_and_a_harmless_change": (
        "authorship._approvals_alone, the older side, and blame.blame",
        both(defences.OLDER_SIDE, defences.BLAMED),
    ),
    "in_other_letters": ("approvals.refusal, names.fold", defences.LETTER_CASE),
    "under_another_name": ("history.commits, committers", defences.COMMITTERS),
    "squashed": ("history.commits, co-authors", defences.CO_AUTHORS),
    "back_and_forth": ("history.commits, every commit", defences.EVERY_COMMIT),
    "moved_by_another": ("history._changed, both names", defences.BOTH_NAMES),
    "by_a_merge": ("history._merged", defences.MERGES),
    "together_with_an_approval": (
        "authorship._approvals_alone, other documents, authors that nobody knows, blame.blame, and who brought it",
        both(defences.MIXED_FILES, defences.SOMEBODY, defences.BLAMED, defences.BROUGHT),
    ),
}
AUTHORSHIP = [
    Way("authorship", name, _committed(test_authorship.WAYS[name], test_authorship.two_groups_of), *found)
    for name, found in _WROTE.items()
]


def _named_instead(act: Callable[[Reviewed], None]) -> Attack:
    """Bob wrote it and approves it; `apply` is told that somebody else wrote it."""

    def attack(world: World) -> bool:
        site = divided_of(world.shop)
        test_named_authors.named_by_himself(site, act)
        before = _held(site)
        site.apply("--author", test_named_authors.CAROL)
        return _weaker(before, _held(site))

    return attack


AUTHORSHIP += [
    Way(
        "authorship",
        f"another one is named: {act.__name__.strip('_')}",
        _named_instead(act),
        "judging.judge: whom Git tells stays",
        defences.TOLD_BY_GIT,
    )
    for act in test_named_authors.WAYS
]


def _own_mailmap_file(site: Reviewed) -> None:
    """The mailmap is no file of the repository: its settings name one."""
    path = site.write(".git/people", f"Somebody <{MALLORY}> <{BOB}>\n")
    site.git("config", "mailmap.file", str(path))
    test_git._weaken(site)


def _cut_out(site: Reviewed, hide: Callable[[Reviewed], None]) -> None:
    """Bob weakens, Mallory writes a note, Bob approves; the first of these is hidden."""
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.commit("shorter", author=BOB)
    site.write("policies/notes.txt", "n")
    site.commit("notes", author=MALLORY)
    site.approved("base", "HEAD", by=BOB)
    hide(site)


def _grafted(site: Reviewed) -> None:
    def hide(site: Reviewed) -> None:
        later, base = site.git("rev-parse", "HEAD~1"), site.git("rev-parse", "base")
        site.write(".git/info/grafts", f"{later} {base}\n")

    _cut_out(site, hide)


def _called_binary(site: Reviewed) -> None:
    def hide(site: Reviewed) -> None:
        site.write(".git/info/attributes", "*.yaml binary\n")

    _cut_out(site, hide)


def _hidden_from_the_index(flag: str) -> Attack:
    """What stands in the work tree is not what is committed, and Git was told not to look."""

    def attack(world: World) -> bool:
        site = divided_of(world.shop)
        site.replace("gold.yaml", "retention: 5d", "retention: 3d")
        site.commit("shorter", author=MALLORY)
        site.approved("base", "HEAD", by=ALICE)
        (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
        site.git("update-index", flag, str(document.relative_to(site.root)))
        document.write_text(document.read_text().replace("storage", "another reason"))
        return _done(site, count=1)

    return attack


_TOLD = "gitrepo.commits: raw commits, a clean configuration"


def _blinded(world: World) -> bool:
    """Who writes may approve, so all hangs on who brought the approval; then what is checked out cannot be read."""
    site = Reviewed(world.shop, f"prune: true\n  approvals: {{approvers: [{ALICE}], selfApproval: true}}")
    site.edit("retention: 5d", "retention: 3d")
    site.commit("shorter", author=MALLORY)
    assert site.approve().code == 0
    site.commit("approved", author=MALLORY)
    site.write(".git/HEAD", "nothing")
    before = _held(site)
    site.tick()
    return _weaker(before, _held(site))


def _logged(world: World) -> bool:
    """A commit brings the write-ahead log of the state, by which Mallory is its approver."""
    site = divided_of(world.shop)
    before = _held(site)
    test_first_use.with_a_log(site)
    site.tick(*LATER[0])
    site.git("reset", "-q", "HEAD~1")
    (site.root / "var" / "hq.db-wal").unlink(missing_ok=True)
    return _weaker(before, _held(site))


def _laid_over(place: str) -> Attack:
    """Whoever reviews the commit is told that nothing differs."""

    def attack(world: World) -> bool:
        site = divided_of(world.shop)
        test_first_use.committed(site, place)
        return _unseen(site)

    return attack


GIT = [
    Way("Git", "a log beside the state", _logged, "brought._means", defences.BESIDE),
    *(
        Way("Git", f"brought: {place}", _laid_over(place), "brought._means", defences.BESIDE)
        for place in ("var/hq.db-journal", "VAR/Hq.Db", "var/HQ~1.DB-", "Var/MABS-01/server.db")
    ),
    Way("Git", "plainly", _committed(test_git.WAYS["plainly"]), "authorship.wrote", defences.AUTHORS),
    Way("Git", "mailmap", _committed(test_git.WAYS["mailmap"]), _TOLD, defences.OWN_WORD),
    Way("Git", "a mailmap of the settings", _committed(_own_mailmap_file), _TOLD, defences.OWN_WORD),
    Way("Git", "replaced", _committed(test_git.WAYS["replaced"]), _TOLD, defences.OWN_WORD),
    Way("Git", "grafted", _committed(_grafted), _TOLD, defences.OWN_WORD),
    Way("Git", "called binary", _committed(_called_binary), _TOLD, defences.OWN_WORD),
    *(
        Way("Git", flag, _hidden_from_the_index(flag), "gitrepo.changed_files", defences.WORK_TREE)
        for flag in ("--assume-unchanged", "--skip-worktree")
    ),
    Way("Git", "a repository that does not read", _blinded, "judging._uncommitted", defences.THERE),
]


# --- Signers ---------------------------------------------------------------------------------------------------


def _signing(way: str) -> Attack:
    def attack(world: World) -> bool:
        files = {"policies/allowed_signers": test_security_inputs.signers_of(world.keys)}
        site = Reviewed(world.shop, test_security_inputs.SIGNED, files)
        test_security_inputs._forged(site, world.keys, way)
        site.tick(*T1)
        test_security_inputs._weaken(site, world.keys)
        return _done(site, count=1)

    return attack


def _certified(world: World) -> bool:
    """Mallory's key is an authority's, and signs a certificate of Alice for a key that he made."""
    files = {"policies/allowed_signers": test_security_inputs.signers_of(world.keys)}
    site = Reviewed(world.shop, test_security_inputs.SIGNED, files)
    test_security_inputs._forged(site, world.keys, "a certificate's")
    site.tick(*T1)
    site.edit("retention: 5d", "retention: 2d")
    made = site.root / "made"
    quiet = ("ssh-keygen", "-q")
    subprocess.run((*quiet, "-t", "ed25519", "-N", "", "-f", str(made)), check=True)
    signed = (*quiet, "-s", str(world.keys / "mallory"), "-I", "x", "-n", ALICE, f"{made}.pub")
    subprocess.run(signed, check=True)
    assert site.approve("HEAD", "--key", f"{made}-cert.pub", by=ALICE).code == 0
    site.commit("shorter", author=MALLORY)
    return _done(site, count=1)


def _named(rules: str, named: str) -> Attack:
    """The first commit that names a file of signers, or another one, brings the keys; the next is signed by them."""

    def attack(world: World) -> bool:
        files = {"policies/allowed_signers": test_security_inputs.signers_of(world.keys)}
        site = Reviewed(world.shop, rules, files)
        test_security_inputs.name_signers(site, world.keys, named)
        site.tick(*T1)
        test_security_inputs._weaken(site, world.keys)
        return _done(site, count=1)

    return attack


def _first_approvers(world: World) -> bool:
    """Where a person in a terminal says yes, a commit names who says yes from then on."""
    site = Reviewed(world.shop, "prune: true")
    test_security_inputs.name_approvers(site)
    site.tick(*T1)
    site.edit("retention: 5d", "retention: 2d")
    site.commit("shorter", author=BOB)
    site.approved(by=MALLORY)
    return _done(site, count=1)


_ONE = f"prune: true\n  approvals: {{approvers: [{ALICE}]}}"
_JUDGES = unweighed("Site", "spec.approvals")
_KEYS = ("the rule of approvals, and signers.in_force", both(_JUDGES, defences.IN_FORCE))
_LINE = "signers.in_force"


def _his_own_approver(world: World) -> bool:
    """Mallory is to be an approver, which Alice approves; in the same push he approves something else."""
    site = divided_of(world.shop)
    test_judges_change.comes(site)
    return _done(site)


SIGNERS = [
    Way("signers", "added", _signing("added"), _LINE, defences.IN_FORCE),
    Way("signers", "swapped in place", _signing("swapped in place"), "signers.keys", defences.WHOLE_LINES),
    Way("signers", "for everybody", _signing("for everybody"), _LINE, defences.IN_FORCE),
    Way("signers", "among blanks", _signing("among blanks"), _LINE, defences.IN_FORCE),
    Way("signers", "a certificate's", _certified, _LINE, defences.IN_FORCE),
    Way("signers", "a first file", _named(_ONE, f"approvers: [{ALICE}]"), *_KEYS),
    Way(
        "signers",
        "another file",
        _named(test_security_inputs.SIGNED, f"approvers: [{ALICE}], allowedSigners: policies/allowed_signers"),
        *_KEYS,
    ),
    Way("signers", "the first approvers", _first_approvers, "the rule of approvals", _JUDGES),
    Way("signers", "a new approver's own approval", _his_own_approver, "counted.still_counting", defences.COUNTED),
]


# --- Replay ----------------------------------------------------------------------------------------------------


def _again(between: Callable[[Reviewed], None], end: Callable[[Reviewed], bool] = _done) -> Attack:
    """3d by an approval, back, and 3d again."""

    def attack(world: World) -> bool:
        site = Reviewed(world.shop)
        test_replay._once(site)
        between(site)
        test_replay._weaken(site)
        return end(site)

    return attack


def _nothing(site: Reviewed) -> None:
    """The approval that stands there is to count once more."""


def _copied(site: Reviewed) -> None:
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    text = document.read_text()
    document.unlink()
    (document.parent / "copy.yaml").write_text(text.replace("name: approval-", "name: again-"))


def _two_of_one_id(world: World) -> bool:
    """A second approval with the id of one that counts, so that what the one has spent is not seen at the other."""
    site = Reviewed(world.shop)
    test_replay._weaken(site)
    assert site.approve().code == 0
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    (document.parent / "z.yaml").write_text(document.read_text().replace("name: approval-", "name: z-"))
    site.commit("approved, twice", author=ALICE)
    return "RCL3035" not in site("plan", *T1).out


def _from_another_site(world: World) -> bool:
    site = Reviewed(world.shop)
    test_replay._weaken(site)
    site.approved()
    shop = world.another()
    path = shop.root / "policies" / "site.yaml"
    path.write_text(path.read_text().replace("name: hq", "name: berlin").replace("site: hq", "site: berlin"))
    berlin = Reviewed(shop)
    test_replay._weaken(berlin)
    (berlin.root / "policies" / "approvals").mkdir()
    for document in (site.root / "policies" / "approvals").iterdir():
        (berlin.root / "policies" / "approvals" / document.name).write_text(document.read_text())
    berlin.commit("taken from the other repository", author=MALLORY)
    return _done(berlin, count=1)


def _of_version_01(world: World) -> bool:
    site = Reviewed(world.shop)
    test_replay._weaken(site)
    assert site.approve().code == 0
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    lines = [each for each in document.read_text().splitlines() if not each.strip().startswith(("id:", "site:"))]
    document.write_text("\n".join(lines) + "\n")
    site.commit("approved", author=ALICE)
    return _done(site, count=1)


def _after_its_last_day(world: World) -> bool:
    site = Reviewed(world.shop)
    test_replay._weaken(site)
    site.approved()
    before = _held(site)
    site("apply", "--yes", "--now", "2100-03-10T12:00Z")
    return _weaker(before, _held(site))


def _resumed_late(world: World) -> bool:
    """What was agreed to in a terminal is resumed two days later."""
    site = Reviewed(world.shop)
    test_replay._weaken(site)
    before = _held(site)

    def failing(*words: Any, **named: Any) -> Any:
        raise Refused("RCL9999", "the line is down", "Again.")

    with ExitStack() as stack:
        put(EmbeddedEngine, "apply", failing)(stack)
        site.apply("--break-glass", "the disk is full")
    site("resume", "--now", "2026-03-12T12:00Z")
    return _weaker(before, _held(site))


def _made_again(world: World) -> bool:
    """Change, approval and revert come in one push, and nothing is ever done by it; months later Mallory makes it."""
    site = Reviewed(world.shop)
    site.edit("retention: 5d", "retention: 3d")
    site.commit("shorter", author=MALLORY)
    site.approved()
    site.edit("retention: 3d", "retention: 5d")
    site.commit("not now", author=ALICE)
    assert site.tick().code == 0
    site.edit("retention: 5d", "retention: 3d")
    site.commit("shorter", author=MALLORY)
    before = _held(site)
    site.tick()
    return _weaker(before, _held(site))


def _picked_again(world: World) -> bool:
    """Alice takes her approval back, and Mallory picks its commit once more: its author is Alice."""
    site = Reviewed(world.shop)
    site.edit("retention: 5d", "retention: 3d")
    site.commit("shorter", author=MALLORY)
    site.approved()
    yes = site.git("rev-parse", "HEAD")
    site.git("rm", "-rq", "policies/approvals")
    site.git("commit", "-qm", "no", f"--author=n <{ALICE}>")
    site.git("-c", f"user.email={MALLORY}", "cherry-pick", yes)
    before = _held(site)
    site.tick()
    return _weaker(before, _held(site))


def _removal_of_a_renamed(world: World) -> bool:
    """Alice approved once that the group goes, and it stayed; now it is called otherwise, on a server that waits."""
    site = divided_of(world.shop)
    yes = test_waits_elsewhere.removal_that_was_given_up(site)
    test_waits_elsewhere.with_second(site)
    test_waits_elsewhere.renamed(site)
    site.commit("tidy up", author=MALLORY)
    site.git("-c", f"user.email={MALLORY}", "cherry-pick", yes)
    return _done(site)


def _from_under_it(world: World) -> bool:
    """The server goes on which a group has to stay as it was."""
    site = test_waits_elsewhere.moved_of(world.shop)
    test_waits_elsewhere.goes(site)
    test_waits_elsewhere.ignores(site)
    site.commit("tidy up", author=MALLORY)
    site.tick(*LATER[0])
    return "mabs-02" not in test_waits_elsewhere.servers_of(site)


def _of_a_site_without_approvers(act: Callable[[Reviewed], None]) -> Attack:
    """The approver of another site of the repository says yes."""

    def attack(world: World) -> bool:
        site = test_several_sites.nobodys(world.shop)
        test_several_sites.approved_by_eve(site, act)
        return _unseen(site, "both")

    return attack


_COPY = both(defences.USES_BY_ID, defences.BROUGHT, defences.SETTLED_COMMIT, defences.TAKEN_BACK)
_TAKEN = both(defences.ELSEWHERE, defences.BROUGHT)


def _restored(how: str) -> Attack:
    """The state is restored from before an approval was used, and what it was for is written again."""

    def attack(world: World) -> bool:
        site = divided_of(world.shop)
        test_restored.used_since_the_backup(site)
        test_restored.LOST[how](site)
        test_restored.restored(site)
        return _done(site)

    return attack


REPLAY = [
    Way("replay", "after a revert", _again(_nothing), "using._use, judging._since", defences.USE),
    Way(
        "replay",
        "in a comparison",
        _again(_nothing, lambda site: _unseen(site, "HEAD~1")),
        "approvals.Court.older",
        defences.OLDER_APPROVALS,
    ),
    Way("replay", "a copy by another name", _again(_copied), "approvals: uses by id, and who brought it", _COPY),
    Way("replay", "two of one id", _two_of_one_id, "approvals.approved: ids", defences.ONE_ID_ONE_APPROVAL),
    Way("replay", "from another site", _from_another_site, "approvals._elsewhere, and who brought it", _TAKEN),
    Way("replay", "picked again after it was taken back", _picked_again, "blame.taken_back", defences.TAKEN_BACK),
    Way(
        "replay",
        "a removal, of a group that is renamed",
        _removal_of_a_renamed,
        "lasting.owned_as and lasting.spared",
        defences.LATER_NAMES,
    ),
    *(
        Way(
            "replay",
            f"by another site's approver: {act.__name__.strip('_')}",
            _of_a_site_without_approvers(act),
            "compare.judged_by",
            defences.OWN_JUDGES,
        )
        for act in test_several_sites.WAYS
    ),
    Way("replay", "made again after it was taken back unseen", _made_again, "judging._since", defences.SETTLED_COMMIT),
    *(
        Way("replay", f"after a restore: {how}", _restored(how), "restoring._note_uses", defences.RESTORED)
        for how in test_restored.LOST
    ),
    Way("replay", "of version 0.1", _of_version_01, "approvals._elsewhere", defences.ELSEWHERE),
    Way("replay", "after its last day", _after_its_last_day, "approvals.refusal: until", defences.LAST_DAY),
    Way("replay", "resumed late", _resumed_late, "applying.AGREED_FOR", defences.LASTING_AGREEMENT),
]


# --- Saved plans -----------------------------------------------------------------------------------------------


def _forged(
    forger: Callable[[dict[str, Any]], None], edit: tuple[str, str] = ("retention: 5d", "retention: 1d")
) -> Attack:
    def attack(world: World) -> bool:
        site = Reviewed(world.shop)
        path = forge(test_saved_plans._saved(site, *edit), forger)
        before = _held(site)
        site("apply", str(path), "--yes", *T1)
        return _weaker(before, _held(site))

    return attack


def _hash_that_was_approved(world: World) -> bool:
    """Alice approved 4d; the step that does 1d is called by the hash of that."""
    site = Reviewed(world.shop)
    site.edit("retention: 5d", "retention: 4d")
    site.commit("a little shorter")
    site.approved()
    (approved,) = (field["changeHash"] for step in site.steps() for field in step["change"]["fields"])
    site.edit("retention: 4d", "retention: 1d")
    site.commit("shorter")

    def borrowed(file: dict[str, Any]) -> None:
        for field in file["plan"]["steps"][0]["change"]["fields"]:
            field["changeHash"] = approved

    saved = site.root / "plan.json"
    assert site("plan", "--out", str(saved), *T1).code == 0
    before = _held(site)
    site("apply", str(forge(saved, borrowed)), "--yes", *T1)
    return _weaker(before, _held(site))


def _made_up_document(world: World) -> bool:
    """What is remembered as applied is what the next change is compared with."""
    site = Reviewed(world.shop)

    def remembered(file: dict[str, Any]) -> None:
        for step in file["plan"]["steps"]:
            step["remember"]["document"]["spec"]["shortTerm"]["retention"] = "1d"

    path = forge(test_saved_plans._saved(site, "retention: 5d", "retention: 9d"), remembered)
    assert site("apply", str(path), "--yes", *T1).code == 0
    (entry,) = json.loads(site("catalog", "snapshot").out)["ledger"]
    return bool(entry["document"]["spec"]["shortTerm"]["retention"] == "1d")


def _made_up_names(world: World) -> bool:
    """Whoever looks at the plan is told that a test machine goes."""
    site = Reviewed(world.shop)

    def renamed(file: dict[str, Any]) -> None:
        file["plan"]["names"] = dict.fromkeys(file["plan"]["names"], "a harmless test machine")

    path = forge(test_saved_plans._saved(site, "[one, two]", "[two]"), renamed)
    return "harmless" in site("apply", str(path), "--yes", *T1).out


_RETOLD = ("relabelled", "a stop called an update", "a stop without fields", "members dropped", "another name")
SAVED = [
    *(
        Way("saved plans", name, _forged(test_saved_plans.FORGED[name]), "anew._change", defences.BY_ITS_ACTION)
        for name in _RETOLD
    ),
    Way(
        "saved plans",
        "said to be approved",
        _forged(test_saved_plans._said_to_be_approved),
        "anew._hashed and agreeing._approved",
        defences.APPROVED_ANEW,
    ),
    Way("saved plans", "a hash that was approved", _hash_that_was_approved, "anew._hashed", defences.OWN_HASHES),
    Way("saved plans", "a made-up document", _made_up_document, "anew._remember", defences.REMEMBERED_ANEW),
    Way("saved plans", "made-up names", _made_up_names, "anew.anew: names", defences.NAMED_ANEW),
]


# --- Direction -------------------------------------------------------------------------------------------------

_SHORT = "spec.shortTerm."
_RPO = unweighed("ProtectionGroup", _SHORT + "rpo")
_RARER = ("the rules of synchronization and rpo", both(unweighed("ProtectionGroup", _SHORT + "synchronization"), _RPO))
_WEIGHED = {
    "other units": ("the rule of retention", defences.RETENTION),
    "rarer": _RARER,
    "no interval": _RARER,
    "excepted": ("direction.of_release, rules._members", defences.MEMBERS),
    "by a label that nobody has": ("direction.of_release, rules._members", defences.MEMBERS),
    "by a node": ("direction.of_release, rules._members", defences.MEMBERS),
    "what becomes of the points": (
        "the rule of existingPoints",
        unweighed("ProtectionGroup", "spec.existingPoints"),
    ),
    "renamed and shorter": ("the rule of retention", defences.RETENTION),
    "removed and rebuilt": (
        "direction.of_release, rules.REMOVED",
        both(defences.RELEASES, made("ProtectionGroup", field_rules.REMOVED)),
    ),
    "two steps at once": _RARER,
}
DIRECTION = [
    Way("direction", name, _change(test_direction.WAYS[name], _unseen, _done), *weighed)
    for name, weighed in _WEIGHED.items()
]
# Where it is done it is refused as well: a member that is excluded is a contradiction (RCL3003).
_EXCLUDED = _change(test_direction.WAYS["an exclusion"], _unseen)
DIRECTION.append(
    Way("direction", "an exclusion", _EXCLUDED, "rules.CREATED of exclusions", made("Exclusion", field_rules.CREATED))
)


def _told_to_weaken(world: World) -> bool:
    """Whoever reviews the move is not told that it destroys."""
    return "destroys" not in test_direction.moved_of(world.shop)("diff", "base", "HEAD").out


DIRECTION.append(
    Way("direction", "a move that destroys", _told_to_weaken, "compare._compared: of_release", defences.RELEASES)
)


# --- Look-alikes -----------------------------------------------------------------------------------------------


def _key(site: Reviewed) -> None:
    """With a Cyrillic letter in it the field is another one, and the real one is not written."""
    site.replace("gold.yaml", "rpo: 24h", "r\u0440o: 24h")


def _keyed(world: World) -> bool:
    world.shop.policy("synchronization: 1h", "synchronization: 1h, rpo: 24h")
    site = divided_of(world.shop)
    _key(site)
    site.commit("tidy up", author=MALLORY)
    return world.through([_unseen(site), _done(site, count=1)])


def _approver(world: World) -> bool:
    site = divided_of(world.shop)
    test_look_alikes.WAYS["an approver"](site)
    site.commit("approved", author=ALICE.replace("c", "\u0441", 1))
    return world.through([_unseen(site), _done(site, count=1)])


_EXPIRE = both(defences.LETTERS, unweighed("ProtectionGroup", "spec.existingPoints"))
_LOOKS = {
    "a line separator": ("text.readable, and the rule of existingPoints", _EXPIRE),
    "a paragraph separator": ("text.readable, and the rule of existingPoints", _EXPIRE),
    "a next line": ("text.readable, and the rule of existingPoints", _EXPIRE),
    "turned around": (
        "text.readable, and the rules of retention and rpo",
        both(defences.LETTERS, defences.RETENTION, _RPO),
    ),
    "invisible": ("text.readable, and direction.of_release", both(defences.LETTERS, defences.MEMBERS)),
    "full width": ("direction.of_release", defences.MEMBERS),
}
LOOK_ALIKES = [
    *(
        Way("look-alikes", name, _change(test_look_alikes.WAYS[name], _unseen, _done), *looks)
        for name, looks in _LOOKS.items()
    ),
    Way(
        "look-alikes",
        "an approver",
        _approver,
        "approvals.refusal: approvers, who brought it, and what it said before",
        both(defences.ADDRESSES, defences.BROUGHT, defences.TAKEN_BACK),
    ),
]


# --- Guardrails, budgets, windows -------------------------------------------------------------------------------


def _ruled(loosen: Callable[[Reviewed], None]) -> Attack:
    """A change that a guardrail denies is approved; then the guardrail is loosened, which nobody approves."""

    def attack(world: World) -> bool:
        site = Reviewed(world.shop, files={"policies/rule.yaml": test_security_inputs.RULE})
        site.edit("retention: 5d", "retention: 2d")
        site.commit("shorter", author=MALLORY)
        site.approved()
        site.tick()
        loosen(site)
        site.commit("rules", author=MALLORY)
        return _done(site)

    return attack


def _out_of_it(world: World) -> bool:
    """A change that a guardrail denies is approved; then the label goes by which it looks, which nobody approves."""
    site = test_without_a_step.labelled(world.shop)
    site.edit("retention: 5d", "retention: 2d")
    site.commit("shorter", author=MALLORY)
    site.approved()
    site.tick()
    test_without_a_step.label_off(site)
    site.commit("tidy up", author=MALLORY)
    return _done(site)


def _out_of_it_at_once(world: World) -> bool:
    """The label and what the guardrail denies in one change, which is approved."""
    site = test_without_a_step.labelled(world.shop)
    test_without_a_step.label_off(site)
    site.edit("retention: 5d", "retention: 2d")
    site.commit("both", author=MALLORY)
    site.approve()
    site.commit("approved", author=ALICE)
    return _done(site)


def _unseen_in_the_ledger(change: Callable[[Reviewed], None]) -> Attack:
    """What makes no step is taken for agreed."""

    def attack(world: World) -> bool:
        site = test_without_a_step.labelled(world.shop)
        before = test_without_a_step.document_of(site)
        change(site)
        site.commit("tidy up", author=MALLORY)
        site.tick(*LATER[0])
        site("apply", "--yes", *LATER[1])
        return test_without_a_step.document_of(site) != before

    return attack


def _spared(world: World) -> bool:
    """An exclusion that nobody approves."""
    site = Reviewed(world.shop)
    world.shop.cluster.add(3, "three")
    test_without_a_step.excluded(site)
    site.commit("no room", author=MALLORY)
    site.tick(*LATER[0])
    return test_without_a_step.standing_of(site, "three") == "excluded"


_ASKED = unweighed("Guardrail", "spec.validations")
_MATCH = unweighed("Guardrail", "spec.match")
_STRICT = unweighed("Guardrail", "spec.enforce")
_KEPT = defences.SETTLED_GUARDRAILS
GUARDRAILS = [
    Way(
        "guardrails",
        "the label off",
        _out_of_it,
        "unagreed.unstepped and guard.last_applied",
        both(defences.UNSTEPPED, defences.LABELS_OF_BOTH),
    ),
    Way("guardrails", "the label off at once", _out_of_it_at_once, "guard.last_applied", defences.LABELS_OF_BOTH),
    *(
        Way("guardrails", f"no step: {name}", _unseen_in_the_ledger(act), "unagreed.unstepped", defences.UNSTEPPED)
        for name, act in test_without_a_step.WAYS.items()
    ),
    Way("guardrails", "a server from under what waits", _from_under_it, "going.still_needed", defences.NEEDED),
    Way("guardrails", "an exclusion", _spared, "settled.exclusions_now", defences.SETTLED_EXCLUSIONS),
    Way("guardrails", "gone", _ruled(test_security_inputs._gone), "settled.guardrails_now", _KEPT),
    Way("guardrails", "warns", _ruled(test_security_inputs._warns), "settled.guardrails_now", _KEPT),
    Way("guardrails", "warns by rule", _ruled(test_security_inputs._warns), "the rule of enforce", _STRICT),
    Way("guardrails", "always", _ruled(test_security_inputs._always), "the rule of validations", _ASKED),
    Way("guardrails", "looks away", _ruled(test_security_inputs._looks_away), "the rule of match", _MATCH),
    Way("guardrails", "of changes alone", _ruled(test_security_inputs._of_changes_alone), "the rule of match", _MATCH),
    Way(
        "guardrails",
        "gone by rule",
        _ruled(test_security_inputs._gone),
        "rules.REMOVED",
        made("Guardrail", field_rules.REMOVED),
    ),
]


def _growing(budgets: str, edit: tuple[str, str]) -> Attack:
    """Two more virtual machines and a looser budget in one commit."""

    def attack(world: World) -> bool:
        world.shop.policy("[one, two]", "[one]")
        site = Reviewed(world.shop, budgets)
        site.edit("[one]", "[one, two]")
        test_security_inputs._grow(site)
        site.edit(*edit)
        site.commit("looser", author=MALLORY)
        site.tick()
        return site.groups()["gold"][1] == 4

    return attack


_SHARE = APPROVERS + "\n  budgets: {shareAtOnce: 50%, minimumPopulation: 1}"
_PER_DAY = ("a budget raised", "a budget taken out", "all budgets taken out", "a day as long as no other")
_SPENT = unweighed("Site", "spec.budgets")


def _opening(edit: tuple[str, str]) -> Attack:
    """A change window made wider by the commit that wants to pass through it."""

    def attack(world: World) -> bool:
        site = test_security_inputs.windowed_of(world.shop)
        site.edit("retention: 5d", "retention: 9d")
        site.edit(*edit)
        site.commit("wider", author=MALLORY)
        for now in (T1, *LATER):
            site.tick(*now)
        return site.groups() == {"gold": ("P9D", 2)}

    return attack


BUDGETS = [
    *(
        Way("budgets and windows", name, _growing(*test_security_inputs.LOOSER[name]), "the rule of budgets", _SPENT)
        for name in _PER_DAY
    ),
    *(
        Way(
            "budgets and windows",
            f"a window, {number}",
            _opening(edit),
            "the rule of changeWindows",
            unweighed("Site", "spec.changeWindows"),
        )
        for number, edit in enumerate(test_security_inputs.WIDER[:-1], start=1)
    ),
]


BUDGETS.append(
    Way(
        "budgets and windows",
        "a window, in another zone",
        _opening(test_security_inputs.WIDER[-1]),
        "the rule of timeZone",
        unweighed("Site", "spec.timeZone"),
    )
)


# --- Presets ---------------------------------------------------------------------------------------------------


def _preset(act: Callable[[Reviewed], None]) -> Attack:
    def attack(world: World) -> bool:
        site = test_presets.shared_of(divided_of(world.shop))
        act(site)
        site.commit("tidy up", author=MALLORY)
        return world.through([_unseen(site), _done(site)])

    return attack


def _by_its_writer(world: World) -> bool:
    site = test_presets.shared_of(divided_of(world.shop))
    test_presets.WAYS["shorter"](site)
    site.commit("tidy up", author=BOB)
    site.approved("base", "HEAD", by=BOB)
    return _unseen(site)


_MERGED = both(defences.presets_as_they_were(test_presets.preset("long", "5d")), defences.RETENTION)
PRESETS = [
    *(
        Way(
            "presets",
            name,
            _preset(test_presets.WAYS[name]),
            "read._with_presets, and the rule of retention",
            _MERGED,
        )
        for name in ("shorter", "another", "one_more_that_wins", "named_alike")
    ),
    Way(
        "presets",
        "members_from_it",
        _preset(test_presets.WAYS["members_from_it"]),
        "direction.of_release, rules._members",
        defences.MEMBERS,
    ),
    Way("presets", "by its writer", _by_its_writer, "authorship.wrote", defences.AUTHORS),
]


# --- Evidence --------------------------------------------------------------------------------------------------


def _recorded(act: Callable[[Reviewed], None]) -> Attack:
    """Mallory passed over everything, and takes it off the record; `evidence verify` alone is asked."""

    def attack(world: World) -> bool:
        site = test_evidence.glassy_of(divided_of(world.shop))
        assert site("evidence", "verify").code == 0
        act(site)
        assert not any(b"because I can" in path.read_bytes() for path in test_evidence._files(site)) or act in _KEEPING
        return site("evidence", "verify").code == 0

    return attack


def _written_anew(site: Reviewed) -> None:
    """Every record after the changed one names the one before it as that is now."""
    head = ""
    for path in test_evidence._files(site):
        lines = []
        for line in path.read_bytes().splitlines():
            record = msgspec.json.decode(line.replace(b"because I can", b"disk was full"), type=Record)
            lines.append(record_line(msgspec.structs.replace(record, prev=head)))
            head = sha256(lines[-1]).hexdigest()
        path.write_bytes(b"".join(line + b"\n" for line in lines))


_KEEPING = (test_evidence._two_lines_swapped,)
_ENDS = both(defences.HEAD, defences.ANCHOR)
EVIDENCE = [
    Way("evidence", "a word", _recorded(test_evidence._word_changed), "chain._Walk._follow", defences.JOINED),
    Way("evidence", "a line dropped", _recorded(test_evidence._line_dropped), "chain._Walk._follow", defences.JOINED),
    Way("evidence", "cut off", _recorded(test_evidence._cut_off), "chained._check (what the state knows)", _ENDS),
    Way("evidence", "written anew", _recorded(_written_anew), "chained._check (what the state knows)", _ENDS),
    Way(
        "evidence",
        "swapped",
        _recorded(test_evidence._two_lines_swapped),
        "chain._Walk._follow, and chained._check",
        both(defences.JOINED, _ENDS),
    ),
]

TABLE = (
    *ENUMERATION,
    *AUTHORSHIP,
    *SIGNERS,
    *REPLAY,
    *SAVED,
    *DIRECTION,
    *LOOK_ALIKES,
    *GUARDRAILS,
    *BUDGETS,
    *PRESETS,
    *EVIDENCE,
    *GIT,
)

#: What every run of the tests tries; the whole is `make prove-guard`.
QUICK = tuple({way.mechanism: way for way in reversed(TABLE)}.values())


def test_the_table_has_five_ways_by_each_of_twelve_mechanisms() -> None:
    counted = Counter(way.mechanism for way in TABLE)
    assert len(counted) == 12
    assert min(counted.values()) >= 5
    assert len({(way.mechanism, way.called) for way in TABLE}) == len(TABLE)


@pytest.fixture
def world(shop: Shop, keys: Path, run: Callable[..., Said], tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(shop, keys, lambda: Shop(tmp_path_factory.mktemp("another"), run))


@pytest.mark.parametrize("way", TABLE if PROVE else QUICK, ids=lambda way: f"{way.mechanism}: {way.called}")
def test_without_its_defence_it_gets_through(world: World, way: Way) -> None:
    with ExitStack() as stack:
        way.out(stack)
        assert way.attack(world)


@pytest.mark.parametrize("way", TABLE if PROVE else QUICK[:2], ids=lambda way: f"{way.mechanism}: {way.called}")
def test_with_its_defence_it_is_stopped(world: World, way: Way) -> None:
    assert not way.attack(world._replace(through=any))
