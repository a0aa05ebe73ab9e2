"""Who may approve: what an approver wrote is told change by change, and an approval is its approver's own act."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reconciler import gitrepo
from reconciler.control import review
from reconciler.control.approving import authors_by_field as blaming
from reconciler.control.approving import valid_approvals
from reconciler.control.approving.authors_by_field import Blame, blame, taken_back
from reconciler.control.policy_states import Shared, State, changed, read_commit
from reconciler.errors import ConsentNeeded
from reconciler.model import Direction
from reconciler.model.comparison import DocumentChange, DocumentVerb
from reconciler.model.documents import ApprovalSpec
from reconciler.plan.review import site_rules
from reconciler.plan.review.site_rules import WEAKENS
from tests.shop import Shop
from tests.support.reviewed import ALICE, BOB, BY, MALLORY, T1, Reviewed

CAROL = "carol@corp.example"
RULES = f"prune: true\n  approvals: {{approvers: [{ALICE}, {MALLORY}]}}"


@pytest.fixture
def site(shop: Shop) -> Reviewed:
    """Two groups, each in a file of its own."""
    policies = shop.root / "policies"
    text, _, group = (policies / "site.yaml").read_text().partition("---\n")
    (policies / "site.yaml").write_text(text)
    (policies / "gold.yaml").write_text(group.replace("[one, two]", "[one]"))
    (policies / "silver.yaml").write_text(group.replace("name: gold", "name: silver").replace("[one, two]", "[two]"))
    reviewed = Reviewed(shop, RULES)
    reviewed.git("config", "user.email", "robot@corp.example")
    reviewed.git("tag", "base")
    return reviewed


def _set(site: Reviewed, name: str, days: int, author: str, text: str = "") -> None:
    path = site.root / "policies" / f"{name}.yaml"
    path.write_text(re.sub(r"retention: \w+", f"retention: {days}d", path.read_text()) + text)
    site.commit(f"{name}: {days}d", author=author)


def _approved(site: Reviewed, *range_: str, by: str) -> None:
    said = site("approve", *range_, "--by", by, *BY)
    assert said.code == 0, said.err
    site.commit("approved", author=by)


# --- An approver who also writes -------------------------------------------------------------------------------


def test_approvers_who_write_something_else_meanwhile_may_approve(site: Reviewed) -> None:
    """Both approvers strengthen silver; what Carol did to gold is hers."""
    _set(site, "silver", 6, ALICE)
    _set(site, "gold", 4, CAROL)
    _approved(site, "HEAD~1", "HEAD", by=ALICE)
    assert site("diff", "base", "HEAD").code == 0
    _set(site, "silver", 7, MALLORY)
    _set(site, "gold", 3, CAROL)
    _approved(site, "base", "HEAD", by=MALLORY)
    assert site("diff", "base", "HEAD").code == 0
    done = site.tick()
    assert done.code == 0, done.out + done.err
    assert site.groups() == {"gold": ("P3D", 1), "silver": ("P7D", 1)}


def test_of_several_changes_those_count_that_others_wrote(site: Reviewed) -> None:
    _set(site, "silver", 4, MALLORY)
    _set(site, "gold", 4, CAROL)
    _approved(site, "base", "HEAD", by=MALLORY)
    said = site("diff", "base", "HEAD")
    assert said.code == 5
    assert "is not in effect for all its changes: mallory@corp.example wrote the change" in said.out
    assert site.tick().code == 5
    assert site.groups() == {"gold": ("P4D", 1), "silver": ("P5D", 1)}


def test_approvers_who_wrote_other_fields_of_the_group_may_approve(site: Reviewed) -> None:
    """Both did something harmless to gold; that it is kept for a shorter time is Carol's."""
    _label(site, "a", ALICE)
    _label(site, "b", MALLORY)
    _set(site, "gold", 4, CAROL)
    _approved(site, "base", "HEAD", by=ALICE)
    assert site("diff", "base", "HEAD").code == 0
    assert site.tick().code == 0
    assert site.groups()["gold"] == ("P4D", 1)


def test_where_it_is_not_told_apart_everybody_wrote_everything(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blaming, "MOST_COMMITS", 2)
    _set(site, "silver", 6, ALICE)
    _set(site, "gold", 4, CAROL)
    _approved(site, "HEAD~1", "HEAD", by=ALICE)
    assert f"{ALICE} wrote the change" in site("diff", "base", "HEAD").out
    assert site.tick().code == 5


def test_what_is_not_committed_is_the_work_of_whoever_is_at_work(site: Reviewed) -> None:
    _set(site, "silver", 6, ALICE)
    site.replace("gold.yaml", "retention: 5d", "retention: 4d")
    assert site("approve", "base", "--by", ALICE, *BY).code == 0
    site.git("add", "policies/approvals")
    site.git("commit", "-qm", "approved", f"--author=n <{ALICE}>")
    site.git("config", "user.email", ALICE)
    assert f"{ALICE} wrote the change" in site("diff", "base").out
    assert f"{ALICE} wrote the change" in site("plan", *T1).out
    site.git("config", "user.email", CAROL)
    assert site("diff", "base").code == 0
    assert "wrote the change" not in site("plan", *T1).out


def _squashed(site: Reviewed) -> None:
    """As a forge does it: whoever committed on the branch is a co-author, the approver too."""
    site.replace("gold.yaml", "retention: 5d", "retention: 4d")
    assert site("approve", "base", "--by", ALICE, *BY).code == 0
    site.commit(f"squashed\n\nCo-authored-by: A <{ALICE}>", author=CAROL, committer="noreply@forge.example")


def _remedies(site: Reviewed) -> str:
    """What a comparison and a plan say is to be done."""
    said = [site("diff", "base", "HEAD"), site("plan", *T1)]
    assert said[0].code == 5
    return "\n".join(" ".join(each.out.split()) for each in said)


def test_who_else_may_approve_is_named(site: Reviewed) -> None:
    _squashed(site)
    assert _remedies(site).count(f"Have it approved again by {MALLORY}: 'reconciler approve'") == 2
    _approved(site, "base", "HEAD", by=MALLORY)
    assert site("diff", "base", "HEAD").code == 0
    assert site.tick().code == 0


def test_where_nobody_else_may_the_ways_out_are_named(shop: Shop) -> None:
    alone = Reviewed(shop, f"prune: true\n  approvals: {{approvers: [{ALICE}]}}")
    alone.git("tag", "base")
    alone.edit("retention: 5d", "retention: 4d")
    assert alone("approve", "base", "--by", ALICE, *BY).code == 0
    alone.commit(f"squashed\n\nCo-authored-by: A <{ALICE}>", author=CAROL, committer="noreply@forge.example")
    told = _remedies(alone)
    assert told.count("No approver is left who may: revert the change and let somebody else write it") == 2
    assert told.count("'reconciler apply --break-glass \"REASON\"'") >= 2
    assert alone("apply", "--yes", "--break-glass", "storage", *T1).code == 0


def test_the_only_approver_hands_over(shop: Shop) -> None:
    alone = Reviewed(shop, f"prune: true\n  approvals: {{approvers: [{ALICE}]}}")
    alone.git("tag", "base")
    alone.edit(f"[{ALICE}]", f"[{BOB}]")
    alone.commit("handed over", author=ALICE)
    _approved(alone, "base", "HEAD", by=ALICE)
    assert _remedies(alone).count("No approver is left who may") == 2
    alone.git("reset", "-q", "--hard", "base")
    alone.edit(f"[{ALICE}]", f"[{BOB}]")
    alone.commit("handed over", author=CAROL)
    _approved(alone, "base", "HEAD", by=ALICE)
    assert alone("diff", "base", "HEAD").code == 0
    assert alone.tick().code == 0


def test_what_to_do_where_another_brought_it(site: Reviewed) -> None:
    _set(site, "gold", 4, CAROL)
    _typed_by_another(site)
    assert (
        _remedies(site).count(f"Let {ALICE} approve it again and commit it; merge that commit, do not squash it") == 2
    )


# --- Who changed which document --------------------------------------------------------------------------------


def _told(site: Reviewed, older: str = "base") -> Blame | None:
    return blame(site.root, site.git("rev-parse", older), site.git("rev-parse", "HEAD"))


def _wrote(
    site: Reviewed, name: str, older: str = "base", field: str = "spec.shortTerm.retention"
) -> frozenset[str] | None:
    """Who wrote the change of a field of a group; None: everybody."""
    before, after = (read_commit(site.root, site.git("rev-parse", each)) for each in (older, "HEAD"))
    (change,) = (each for each in changed(before, after) if each.name == name)
    told = _told(site, older)
    return told.wrote(change, field) if told is not None else None


def _merge(site: Reviewed, *words: str, author: str = BOB) -> None:
    site.git("-c", f"user.email={author}", "merge", "-q", "--no-edit", "--no-ff", *words)


def _sides(site: Reviewed) -> None:
    """Carol strengthens gold on one side and commits more, Bob does something to silver on the other."""
    site.git("checkout", "-qb", "side")
    _set(site, "silver", 6, BOB)
    site.git("checkout", "-q", "main")
    _set(site, "gold", 4, CAROL)


def _in_two_steps(site: Reviewed) -> set[str]:
    _set(site, "gold", 6, MALLORY)
    _set(site, "silver", 9, ALICE)
    _set(site, "gold", 4, CAROL)
    return {MALLORY, CAROL}


def _by_a_preset(site: Reviewed) -> set[str]:
    """The file of the group is touched by nobody but Carol, who lets it extend the preset."""
    preset = "apiVersion: reconciler/v1\nkind: Preset\nmetadata: {name: p}\nfor: ProtectionGroup\n"
    site.write("policies/p.yaml", preset + "spec: {shortTerm: {retention: 5d}}\n")
    path = site.root / "policies" / "gold.yaml"
    text = path.read_text().replace("retention: 5d, ", "").replace("spec:\n", "extends: [p]\nspec:\n", 1)
    path.write_text(text)
    site.commit("a preset", author=CAROL)
    site.replace("p.yaml", "5d", "2d")
    site.commit("the preset is shorter", author=MALLORY)
    return {MALLORY}


def _by_a_file_that_a_link_leads_to(site: Reviewed) -> set[str]:
    text = (site.root / "policies" / "gold.yaml").read_text()
    site.write("shared/gold.txt", text)
    (site.root / "policies" / "gold.yaml").unlink()
    (site.root / "policies" / "gold.yaml").symlink_to("../shared/gold.txt")
    site.git("add", "-A", "shared")
    site.commit("shared", author=CAROL)
    site.write("shared/gold.txt", text.replace("retention: 5d", "retention: 2d"))
    site.git("add", "-A", "shared")
    site.commit("x", author=MALLORY)
    (site.root / "policies" / "gold.yaml").unlink()
    site.write("policies/gold.yaml", text.replace("retention: 5d", "retention: 2d"))
    site.commit("no longer shared", author=CAROL)
    return {MALLORY}


def _behind_a_file_that_does_not_read(site: Reviewed) -> set[str]:
    """Mallory's commit weakens and breaks the file, Carol makes it read again."""
    path = site.root / "policies" / "gold.yaml"
    text = path.read_text().replace("retention: 5d", "retention: 2d")
    path.write_text(text + "\n\t- x: [\n")
    site.commit("x", author=MALLORY)
    _set(site, "silver", 9, ALICE)
    path.write_text(text)
    site.commit("mended", author=CAROL)
    return {MALLORY, CAROL, ALICE}


_PRESET = "apiVersion: reconciler/v1\nkind: Preset\nmetadata: {name: %s}\nfor: ProtectionGroup\nspec: {}\n"


def _extend(site: Reviewed, group: str, preset: str) -> None:
    site.replace(f"{group}.yaml", "spec:\n", f"extends: [{preset}]\nspec:\n")


def _by_a_merge_of_two_that_do_not_read(site: Reviewed) -> set[str] | None:
    """Each half of what Mallory does lacks a preset that the other brings, and the merge decides no file."""
    site.replace("gold.yaml", "metadata: {name: gold", "metadata: {labels: {a: b}, name: gold")
    site.commit("a label", author=CAROL)
    site.git("checkout", "-qb", "other")
    site.write("policies/p.yaml", _PRESET % "p")
    _extend(site, "silver", "q")
    site.commit("one half", author=MALLORY)
    site.git("checkout", "-q", "main")
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    _extend(site, "gold", "p")
    site.write("policies/q.yaml", _PRESET % "q")
    site.commit("other half", author=MALLORY)
    _merge(site, "other", author=MALLORY)
    return None


def _by_such_a_merge_and_more(site: Reviewed) -> set[str] | None:
    """The same, with a commit of Carol's on top."""
    _by_a_merge_of_two_that_do_not_read(site)
    site.replace("gold.yaml", "retention: 2d", "retention: 3d")
    site.commit("a little longer", author=CAROL)
    return None


def _behind_somebody_without_an_address(site: Reviewed) -> set[str] | None:
    """Who broke and weakened it gave no address: that is nobody whom Alice could not be."""
    path = site.root / "policies" / "gold.yaml"
    text = path.read_text().replace("retention: 5d", "retention: 2d")
    path.write_text(text + "\n\t- x: [\n")
    site.git("add", "-A", "policies")
    site.git("-c", "user.email=", "-c", "user.useConfigOnly=false", "commit", "-qm", "x", "--author=n <>")
    path.write_text(text)
    site.commit("mended", author=CAROL)
    return None


def _gone_and_made_anew(site: Reviewed) -> set[str]:
    text = (site.root / "policies" / "gold.yaml").read_text()
    (site.root / "policies" / "gold.yaml").unlink()
    site.commit("gone", author=MALLORY)
    site.write("policies/other.yaml", text.replace("retention: 5d", "retention: 2d"))
    site.commit("anew", author=CAROL)
    return {MALLORY, CAROL}


def _moved_to_another_file(site: Reviewed) -> set[str]:
    _set(site, "gold", 2, MALLORY)
    site.git("mv", "policies/gold.yaml", "policies/all.yaml")
    site.commit("moved", author=CAROL)
    return {MALLORY}


def _by_a_merge_that_takes_one_side(site: Reviewed) -> set[str]:
    """Carol strengthens gold, Mallory's merge throws it away; Alice's part of gold is kept."""
    _set(site, "gold", 9, CAROL)
    site.git("tag", "-f", "base")
    site.git("checkout", "-qb", "side", "HEAD~1")
    site.replace("gold.yaml", "metadata: {name: gold", "metadata: {labels: {a: b}, name: gold")
    site.commit("a label", author=ALICE)
    site.git("checkout", "-q", "main")
    _merge(site, "-s", "ours", "side", author=ALICE)
    site.git("checkout", "-q", "side")
    site.git("checkout", "-q", "-B", "other", "side")
    _merge(site, "-s", "ours", "main", author=MALLORY)
    return {ALICE, MALLORY}


def _by_a_merge_of_both(site: Reviewed) -> None:
    """What the merge has is on neither side: nobody can say whose that is."""
    _sides(site)
    site.git("checkout", "-q", "side")
    site.replace("gold.yaml", "metadata: {name: gold", "metadata: {labels: {a: b}, name: gold")
    site.commit("a label", author=MALLORY)
    site.git("checkout", "-q", "main")
    _merge(site, "side", author=BOB)


def _by_a_plain_merge(site: Reviewed) -> set[str]:
    _sides(site)
    _merge(site, "side", author=MALLORY)
    return {CAROL}


def _under_a_new_name(site: Reviewed) -> set[str]:
    path = site.root / "policies" / "gold.yaml"
    text = path.read_text().replace("name: gold", "name: gilt").replace("spec:\n", "spec:\n  renamedFrom: [gold]\n", 1)
    path.write_text(text)
    site.commit("renamed", author=MALLORY)
    path.write_text(text.replace("retention: 5d", "retention: 2d"))
    site.commit("shorter", author=CAROL)
    return {MALLORY, CAROL}


def _beside_fields_that_others_wrote(site: Reviewed) -> set[str]:
    _label(site, "a", ALICE)
    _set(site, "gold", 2, CAROL)
    _label(site, "b", MALLORY)
    return {CAROL}


def _label(site: Reviewed, name: str, author: str) -> None:
    """Something of gold that weakens nothing."""
    path = site.root / "policies" / "gold.yaml"
    path.write_text(
        re.sub(r"metadata: \{(labels: \{.*?\}, )?name", f"metadata: {{labels: {{{name}: x}}, name", path.read_text())
    )
    site.commit("a label", author=author)


WAYS: dict[str, Callable[[Reviewed], set[str] | None]] = {
    each.__name__.strip("_"): each
    for each in (
        _in_two_steps,
        _by_a_preset,
        _by_a_file_that_a_link_leads_to,
        _behind_a_file_that_does_not_read,
        _by_a_merge_of_two_that_do_not_read,
        _by_such_a_merge_and_more,
        _behind_somebody_without_an_address,
        _gone_and_made_anew,
        _moved_to_another_file,
        _by_a_merge_that_takes_one_side,
        _by_a_merge_of_both,
        _by_a_plain_merge,
        _under_a_new_name,
        _beside_fields_that_others_wrote,
    )
}


@pytest.mark.parametrize("way", WAYS)
def test_who_changed_the_group(site: Reviewed, way: str) -> None:
    people = WAYS[way](site)
    told = _wrote(site, "gilt" if way == "under_a_new_name" else "gold")
    if way == "by_a_merge_that_takes_one_side":
        assert told is None or told >= {MALLORY}
    else:
        assert told == people


def test_what_nobody_read_is_everybodys_who_wrote_since() -> None:
    """The newest commit was not read: what it did may be any document."""
    change = DocumentChange("Exclusion", "x", DocumentVerb.CREATED, Direction.WEAKENS, ())
    told = Blame({("Exclusion", "x"): {"": frozenset({CAROL})}}, frozenset(), {}, "c1", frozenset({MALLORY}))
    assert told.wrote(change, "") == frozenset({CAROL, MALLORY})
    nobody = msgspec.structs.replace(told, since=frozenset({""}))
    assert nobody.wrote(change, "") is None


def test_what_no_commit_between_made_is_everybodys(site: Reviewed) -> None:
    """The branch was set back: what it says otherwise is in no commit of the range."""
    _set(site, "gold", 9, CAROL)
    site.git("tag", "later")
    site.git("reset", "-q", "--hard", "HEAD~1")
    _set(site, "silver", 9, ALICE)
    assert _told(site, "later") is None
    assert _wrote(site, "gold", "later") is None


def test_without_the_look_at_merges_he_gets_through(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `_Walk._merge` asks what each side had since they parted."""
    monkeypatch.setattr(gitrepo, "merge_bases", lambda folder, one, other: [one])
    monkeypatch.setattr(gitrepo, "is_ancestor", lambda *words: True)
    _by_a_merge_that_takes_one_side(site)
    told = _wrote(site, "gold")
    assert told is not None
    assert MALLORY not in told


def test_without_reading_such_a_merge_he_gets_through(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `_Walk._commit` passes over a merge only where nothing is owed on its sides."""
    site.git("tag", "-f", "base")
    _by_a_merge_of_two_that_do_not_read(site)
    real = blaming._Walk._commit

    def passed_over(self: blaming._Walk, commit: gitrepo.Commit) -> None:
        if len(commit.parents) > 1 and not commit.paths:
            self._reads[commit.id] = self._place(commit.parents[0])
        else:
            real(self, commit)

    assert _wrote(site, "gold") is None
    monkeypatch.setattr(blaming._Walk, "_commit", passed_over)
    blaming._blame.cache_clear()
    assert _wrote(site, "gold") == frozenset({CAROL})


def _without_an_address(site: Reviewed) -> None:
    site.git("-c", "user.email=", "commit", "-qam", "shorter", "--author=n <>")


def _with_two_addresses(site: Reviewed) -> None:
    """Git takes the first for the author's, and others the last."""
    site.commit("shorter", author=MALLORY)
    commit = site.git("cat-file", "commit", "HEAD").replace(f"<{MALLORY}>", f"<{MALLORY}> <{CAROL}>")
    told = subprocess.run(
        ("git", "-C", str(site.root), "hash-object", "-t", "commit", "--literally", "-w", "--stdin"),
        input=commit + "\n",
        text=True,
        check=True,
        capture_output=True,
    )
    site.git("reset", "-q", "--hard", told.stdout.strip())


@pytest.mark.parametrize("way", [_without_an_address, _with_two_addresses])
def test_a_commit_without_one_address_is_nobody_knows_whose(site: Reviewed, way: Callable[[Reviewed], None]) -> None:
    """Mallory weakens gold so, and approves it; what others did is approved as ever."""
    site.replace("gold.yaml", "retention: 5d", "retention: 4d")
    way(site)
    _set(site, "silver", 4, CAROL)
    _approved(site, "base", "HEAD", by=MALLORY)
    said = site("diff", "base", "HEAD")
    assert (said.code, said.out.count("approved by approval-")) == (5, 1), said.out
    assert site.tick().code == 5
    assert site.groups() == {"gold": ("P5D", 1), "silver": ("P4D", 1)}


def test_an_approval_is_merged_by_anybody(site: Reviewed) -> None:
    """The merge has its file as the branch has it: Alice brought it."""
    site.git("checkout", "-qb", "side")
    _set(site, "gold", 4, CAROL)
    _approved(site, "base", "HEAD", by=ALICE)
    site.git("checkout", "-q", "main")
    _set(site, "silver", 6, CAROL)
    site.git("tag", "-f", "base")
    _merge(site, "side", author=CAROL)
    assert site("diff", "base", "HEAD").code == 0
    said = site.tick()
    assert said.code == 0, said.out
    assert site.groups() == {"gold": ("P4D", 1), "silver": ("P6D", 1)}


def test_an_approval_that_a_merge_made_is_the_mergers(site: Reviewed) -> None:
    """What neither side had so."""
    site.git("checkout", "-qb", "side")
    _set(site, "gold", 4, CAROL)
    _approved(site, "base", "HEAD", by=ALICE)
    site.git("checkout", "-q", "main")
    site.git("-c", f"user.email={CAROL}", "merge", "-q", "--no-ff", "--no-commit", "side")
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    document.write_text(document.read_text().replace("2099-12-31", "2100-12-31"))
    site.commit("merged", author=CAROL)
    said = site("diff", "base", "HEAD")
    assert (said.code, f"{CAROL} brought it, not {ALICE}" in said.out) == (5, True), said.out


def _in_a_linked_folder(site: Reviewed) -> None:
    """A link leads to a folder without policies, to which Mallory adds one; Carol changes that."""
    site.write("shared/notes.txt", "n")
    (site.root / "policies" / "more").symlink_to("../shared")
    site.git("add", "-A", "shared")
    site.commit("a link", author=BOB)
    text = (site.root / "policies" / "silver.yaml").read_text().replace("[two]", "[three]")
    site.write("shared/late.yaml", text.replace("name: silver", "name: late"))
    site.git("add", "-A", "shared")
    site.commit("late", author=MALLORY)
    site.write("shared/late.yaml", text.replace("name: silver", "name: late").replace("5d", "2d"))
    site.git("add", "-A", "shared")
    site.commit("shorter", author=CAROL)


def test_what_links_lead_to_is_looked_at_though_it_lies_elsewhere(
    site: Reviewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_a_linked_folder(site)
    assert _wrote(site, "late") == frozenset({MALLORY, CAROL})
    blaming._blame.cache_clear()
    monkeypatch.setattr(gitrepo, "LINK", "the defence: `_Walk._is_elsewhere` looks for links")
    assert _wrote(site, "late") is None


def test_commits_that_touch_no_policy_are_not_read(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(site, "gold", 6, MALLORY)
    for number in range(5):
        site.write("notes/n.txt", str(number))
        site.git("add", "notes")
        site.git("commit", "-qm", "n")
    _set(site, "gold", 4, CAROL)
    read: list[str] = []

    def reading(root: Path, commit: str, shared: Shared | None = None) -> State:
        read.append(commit)
        return read_commit(root, commit, shared)

    monkeypatch.setattr(blaming, "read_commit", reading)
    assert _wrote(site, "gold") == frozenset({MALLORY, CAROL})
    assert len(read) == 3


def test_ranges_with_too_many_documents_are_not_looked_through(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(site, "silver", 6, ALICE)
    _set(site, "gold", 4, CAROL)
    monkeypatch.setattr(blaming, "MOST_DOCUMENTS", 6)
    assert _wrote(site, "gold") == frozenset({CAROL})
    blaming._blame.cache_clear()
    monkeypatch.setattr(blaming, "MOST_DOCUMENTS", 5)
    assert _told(site) is None


# --- Whose act an approval is ----------------------------------------------------------------------------------


def _typed_by_another(site: Reviewed) -> None:
    _approved(site, "base", "HEAD", by=ALICE)
    site.git("commit", "-q", "--amend", "--no-edit", f"--author=n <{CAROL}>")


def _changed_by_another(site: Reviewed) -> None:
    _approved(site, "base", "HEAD", by=ALICE)
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    document.write_text(document.read_text().replace("2099-12-31", "2100-12-31"))
    site.commit("longer", author=CAROL)


def _moved_by_another(site: Reviewed) -> None:
    _approved(site, "base", "HEAD", by=ALICE)
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    site.git("mv", str(document), "policies/approved.yaml")
    site.commit("moved", author=CAROL)


def _linked_by_another(site: Reviewed) -> None:
    """Alice wrote down, outside of the policies, what an approval looks like."""
    _approved(site, "base", "HEAD", by=ALICE)
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    text = document.read_text()
    site.git("reset", "-q", "--hard", "HEAD~1")
    site.write("notes/example.yaml", text)
    site.git("add", "-A", "notes")
    site.git("commit", "-qm", "an example", f"--author=n <{ALICE}>")
    (site.root / "policies" / "a.yaml").symlink_to("../notes/example.yaml")
    site.commit("in force", author=CAROL)


@pytest.mark.parametrize("way", [_typed_by_another, _changed_by_another, _moved_by_another, _linked_by_another])
def test_an_approval_that_another_brought_does_not_count(site: Reviewed, way: Callable[[Reviewed], None]) -> None:
    _set(site, "gold", 4, CAROL)
    way(site)
    said = site("diff", "base", "HEAD")
    assert said.code == 5
    assert f"{CAROL} brought it, not {ALICE}" in said.out
    assert site("diff", "base").code == 5
    assert f"{CAROL} brought it, not {ALICE}" in site("plan", *T1).out
    assert site.tick().code == 5
    assert site.groups()["gold"] == ("P5D", 1)


def test_an_approval_laid_there_before_the_change_does_not_count_for_it(site: Reviewed) -> None:
    """Carol brings it first and has it settled; only then comes what it approves."""
    _set(site, "gold", 4, CAROL)
    assert site("approve", "base", "HEAD", "--by", ALICE, *BY).code == 0
    _set(site, "gold", 5, CAROL)
    assert site.apply().code == 0
    _set(site, "gold", 4, CAROL)
    assert "it is older than the change" in site("plan", *T1).out
    assert site.tick().code == 5


def test_who_brought_it_cannot_be_told_in_a_shallow_clone(
    site: Reviewed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _set(site, "gold", 4, CAROL)
    _approved(site, "base", "HEAD", by=ALICE)
    clone = tmp_path_factory.mktemp("clone") / "c"
    command = ("git", "clone", "-q", "--depth", "1", f"file://{site.root}", str(clone))
    subprocess.run(command, check=True, capture_output=True)
    (name,) = (str(each.relative_to(clone)) for each in (clone / "policies" / "approvals").glob("*.yaml"))
    with pytest.raises(ConsentNeeded, match="the history is incomplete"):
        gitrepo.brought(clone, "HEAD", name)


@pytest.mark.parametrize("door", [review, valid_approvals])
def test_without_the_look_at_who_brought_it_it_counts(
    site: Reviewed, door: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "unbrought", lambda *words: "")
    _set(site, "gold", 4, CAROL)
    _typed_by_another(site)
    assert (site("diff", "base", "HEAD").code, site.tick().code) == ((0, 5) if door is review else (5, 0))


# --- Who merges, and who takes it back ---------------------------------------------------------------------------


def _on_a_branch(site: Reviewed) -> None:
    """Carol weakens gold on her branch, and Alice commits her approval there."""
    site.git("checkout", "-qb", "change")
    _set(site, "gold", 4, CAROL)
    _approved(site, "base", "HEAD", by=ALICE)


def _main_moved_on(site: Reviewed) -> None:
    site.git("checkout", "-q", "main")
    _set(site, "silver", 9, BOB)


def _merged_at_once(site: Reviewed) -> None:
    site.git("checkout", "-q", "main")
    _merge(site, "change", author=CAROL)


def _merged_later(site: Reviewed) -> None:
    _main_moved_on(site)
    _merge(site, "change", author=CAROL)


def _merged_by_the_forge(site: Reviewed) -> None:
    """`refs/pull/N/merge`, which CI checks out by its id."""
    _main_moved_on(site)
    site.git("checkout", "-q", "--detach")
    _merge(site, "change", author="noreply@forge.example")


def _main_merged_in(site: Reviewed) -> None:
    _main_moved_on(site)
    site.git("checkout", "-q", "change")
    _merge(site, "main", author=CAROL)
    site.git("checkout", "-q", "main")
    _merge(site, "change", author=BOB)


def _three_at_once(site: Reviewed) -> None:
    site.git("checkout", "-qb", "other", "base")
    _set(site, "silver", 8, BOB)
    site.git("checkout", "-q", "main")
    _merge(site, "change", "other", author=CAROL)


MERGES = [_merged_at_once, _merged_later, _merged_by_the_forge, _main_merged_in, _three_at_once]


@pytest.mark.parametrize("way", MERGES)
def test_who_merges_an_approval_is_not_who_brought_it(site: Reviewed, way: Callable[[Reviewed], None]) -> None:
    _on_a_branch(site)
    way(site)
    said = site("diff", "base", "HEAD")
    assert said.code == 0, said.out
    done = site.tick()
    assert done.code == 0, done.out + done.err
    assert site.groups()["gold"] == ("P4D", 1)


def test_what_a_merge_makes_of_an_approval_is_its_work(site: Reviewed) -> None:
    _on_a_branch(site)
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    site.git("checkout", "-q", "main")
    site.git("merge", "-q", "--no-ff", "--no-commit", "change")
    document.write_text(document.read_text().replace("2099-12-31", "2100-12-31"))
    site.commit("merged", author=CAROL)
    assert f"{CAROL} brought it, not {ALICE}" in site("diff", "base", "HEAD").out
    assert site.tick().code == 5


def _pick(site: Reviewed, commit: str, author: str = MALLORY) -> None:
    """The author stays who he was."""
    site.git("-c", f"user.email={author}", "cherry-pick", commit)


def _removed(site: Reviewed) -> None:
    """Alice takes it back, and Mallory picks her commit again."""
    yes = site.git("rev-parse", "HEAD")
    site.git("rm", "-rq", "policies/approvals")
    site.git("commit", "-qm", "no", f"--author=n <{ALICE}>")
    assert site("diff", "base", "HEAD").code == 5
    _pick(site, yes)


def _moved_and_removed(site: Reviewed) -> None:
    yes = site.git("rev-parse", "HEAD")
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    site.git("mv", str(document), "policies/mine.yaml")
    site.commit("moved", author=ALICE)
    assert site("diff", "base", "HEAD").code == 0
    site.git("rm", "-q", "policies/mine.yaml")
    site.git("commit", "-qm", "no", f"--author=n <{ALICE}>")
    _pick(site, yes)


def _removed_by_a_merge(site: Reviewed) -> None:
    """The merge takes the side without it, though nobody changed it there."""
    site.git("branch", "yes")
    _set(site, "silver", 9, BOB)
    site.git("checkout", "-qb", "without", "HEAD~2")
    _set(site, "silver", 8, BOB)
    _merge(site, "-s", "ours", "yes", author=ALICE)
    _pick(site, "yes")


def _reverted(site: Reviewed) -> None:
    yes = site.git("rev-parse", "HEAD")
    site.git("-c", f"user.email={ALICE}", "revert", "--no-edit", yes)
    _pick(site, yes)


def _the_link_removed(site: Reviewed) -> None:
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    site.write("notes/mine.yaml", document.read_text())
    document.unlink()
    (site.root / "policies" / "mine.yaml").symlink_to("../notes/mine.yaml")
    site.git("add", "-A", "notes", "policies")
    site.git("commit", "-qm", "yes", "--amend", f"--author=n <{ALICE}>")
    yes = site.git("rev-parse", "HEAD")
    assert site("diff", "base", "HEAD").code == 0
    site.git("rm", "-q", "policies/mine.yaml")
    site.git("commit", "-qm", "no", f"--author=n <{ALICE}>")
    site.git("checkout", yes, "policies/mine.yaml")
    site.commit("yes", author=ALICE)


TAKEN_BACK = [_removed, _moved_and_removed, _removed_by_a_merge, _reverted, _the_link_removed]


@pytest.mark.parametrize("way", TAKEN_BACK)
def test_an_approval_that_was_taken_back_counts_no_more(site: Reviewed, way: Callable[[Reviewed], None]) -> None:
    _set(site, "gold", 4, CAROL)
    _approved(site, "base", "HEAD", by=ALICE)
    assert site("diff", "base", "HEAD").code == 0
    way(site)
    assert len(read_commit(site.root, site.git("rev-parse", "HEAD")).policies.approvals) == 1
    for said in (site("diff", "base", "HEAD"), site("diff", "base"), site("plan", *T1)):
        assert "it was withdrawn" in said.out, said.out
    assert site.tick().code == 5
    assert site.groups()["gold"] == ("P5D", 1)
    _approved(site, "base", "HEAD", by=ALICE)
    assert site("diff", "base", "HEAD").code == 0
    assert site.tick().code == 0


def _why_not(site: Reviewed, spec: ApprovalSpec, path: str) -> str:
    return taken_back(site.root, "", site.git("rev-parse", "HEAD"), spec, frozenset({path}))


def _said(site: Reviewed) -> tuple[Path, ApprovalSpec]:
    """A change, Alice's approval of it in the last commit, and what it says."""
    _set(site, "gold", 4, CAROL)
    _approved(site, "base", "HEAD", by=ALICE)
    (placed,) = read_commit(site.root, site.git("rev-parse", "HEAD")).policies.approvals
    (path,) = (site.root / "policies" / "approvals").glob("*.yaml")
    assert _why_not(site, placed.document.spec, str(path.relative_to(site.root))) == ""
    return path, placed.document.spec


def test_one_whose_id_was_hidden_before_it_was_taken_back_counts_no_more(site: Reviewed) -> None:
    """The same value for YAML, other bytes; the plain id goes into a file that is no approval."""
    path, spec = _said(site)
    plain = path.read_text()
    hidden = plain.replace(spec.id, '"' + "".join(f"\\x{ord(each):02x}" for each in spec.id) + '"')
    name = str(path.relative_to(site.root))
    path.write_text(hidden)
    site.write("policies/notes.txt", f"see {spec.id}\n")
    site.commit("tidied", author=MALLORY)
    assert _why_not(site, spec, name)
    path.unlink()
    site.commit("no", author=ALICE)
    for text in (hidden, plain):
        path.write_text(text)
        site.commit("again", author=MALLORY)
        assert _why_not(site, spec, name), text


def test_one_that_is_written_so_that_its_id_is_not_found_counts_not(site: Reviewed) -> None:
    path, spec = _said(site)
    text = path.read_text().replace(spec.id, '"' + "".join(f"\\x{ord(each):02x}" for each in spec.id) + '"')
    site.git("rm", "-q", "--cached", str(path))
    path.write_text(text)
    site.git("add", "-A", "policies")
    site.git("commit", "-q", "--amend", "-m", "approved", f"--author=n <{ALICE}>")
    assert "32 plain digits" in _why_not(site, spec, str(path.relative_to(site.root)))


def test_approvals_may_stand_together_in_a_file(site: Reviewed) -> None:
    """One comes to another one, so that the older commit has the file without it."""
    path, _ = _said(site)
    path.rename(site.root / "policies" / "yes.yaml")
    site.commit("moved", author=ALICE)
    assert site.tick().code == 0
    _set(site, "gold", 3, CAROL)
    assert site("approve", "HEAD~1", "HEAD", "--by", ALICE, *BY).code == 0
    (other,) = (site.root / "policies" / "approvals").glob("*.yaml")
    both = site.root / "policies" / "yes.yaml"
    both.write_text(f"{both.read_text()}---\n{other.read_text()}")
    other.unlink()
    site.commit("approved", author=ALICE)
    assert site.tick().code == 0
    assert site.groups()["gold"] == ("P3D", 1)


def test_one_that_was_ended_by_an_edit_counts_no_more(site: Reviewed) -> None:
    """Alice ends it, and Mallory writes her first text again."""
    path, spec = _said(site)
    text = path.read_text()
    path.write_text(text.replace("2099-12-31", "2026-03-11"))
    site.commit("ended", author=ALICE)
    path.write_text(text)
    site.commit("as it was", author=ALICE)
    assert "it was changed after it was written" in _why_not(site, spec, str(path.relative_to(site.root)))
    assert site("diff", "base", "HEAD").code == 5
    assert site.tick().code == 5


def test_one_that_lay_behind_a_link_and_was_taken_back_counts_no_more(site: Reviewed) -> None:
    path, spec = _said(site)
    text = path.read_text()
    path.unlink()
    path.parent.rmdir()
    site.write(f"attic/{path.name}", text)
    path.parent.symlink_to("../attic")
    site.git("add", "-A", "attic")
    site.commit("elsewhere", author=ALICE)
    site.git("rm", "-q", f"attic/{path.name}")
    site.git("commit", "-qm", "no", f"--author=n <{ALICE}>")
    site.write("policies/again.yaml", text)
    site.commit("again", author=MALLORY)
    assert "it was withdrawn" in _why_not(site, spec, "policies/again.yaml")


def test_a_branch_that_was_set_back_is_nobodys_work(site: Reviewed) -> None:
    """Carol's strengthening was applied; Alice takes the branch back behind it and approves that alone."""
    _set(site, "gold", 9, CAROL)
    assert site.tick().code == 0
    applied = site.git("rev-parse", "HEAD")
    site.git("reset", "-q", "--hard", "base")
    said = site("approve", applied, "HEAD", "--by", ALICE, *BY)
    assert said.code == 0, said.err
    site.commit("approved", author=ALICE)
    assert site("diff", applied, "HEAD").code == 5
    told = site.tick()
    assert told.code == 5
    assert "is not in the history of what is checked out" in told.out
    assert site.groups()["gold"] == ("P9D", 1)
    site.git("merge", "-q", applied)
    assert site.tick().code == 0


def test_a_file_called_like_a_commit_hides_nothing(site: Reviewed) -> None:
    applied = site.git("rev-parse", "HEAD")
    site.write(applied, "x")
    site.git("add", applied)
    _set(site, "gold", 4, CAROL)
    _approved(site, "HEAD~1", "HEAD", by=ALICE)
    assert site.tick().code == 0
    assert site.groups()["gold"] == ("P4D", 1)


def test_it_was_taken_back_on_the_other_side(site: Reviewed) -> None:
    """The branch does not have the commit that removed it, the server's does."""
    _on_a_branch(site)
    yes = site.git("rev-parse", "HEAD")
    site.git("checkout", "-q", "main")
    _pick(site, yes, author=ALICE)
    site.git("rm", "-rq", "policies/approvals")
    site.git("commit", "-qm", "no", f"--author=n <{ALICE}>")
    site.git("checkout", "-q", "change")
    assert site("diff", "base", "HEAD").code == 0
    assert "it was withdrawn" in site("diff", "main", "HEAD").out
    site.git("checkout", "-q", "--detach")
    _merge(site, "main", author=CAROL)
    assert "it was withdrawn" in site("plan", *T1).out or not list((site.root / "policies" / "approvals").glob("*"))
    assert site.tick().code == 5


@pytest.mark.parametrize("door", [review, valid_approvals])
def test_without_the_look_at_what_was_removed_it_counts_again(
    site: Reviewed, door: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "taken_back", lambda *words: "")
    _set(site, "gold", 4, CAROL)
    _approved(site, "base", "HEAD", by=ALICE)
    _removed(site)
    assert (site("diff", "base", "HEAD").code, site.tick().code) == ((0, 5) if door is review else (5, 0))


def test_whether_it_was_taken_back_cannot_be_told_in_a_shallow_clone(
    site: Reviewed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _set(site, "gold", 4, CAROL)
    _approved(site, "base", "HEAD", by=ALICE)
    clone = tmp_path_factory.mktemp("clone") / "c"
    command = ("git", "clone", "-q", "--depth", "3", f"file://{site.root}", str(clone))
    subprocess.run(command, check=True, capture_output=True)
    (placed,) = read_commit(clone, site.git("rev-parse", "HEAD")).policies.approvals
    with pytest.raises(ConsentNeeded) as refused:
        blaming.taken_back(clone, "", site.git("rev-parse", "HEAD"), placed.document.spec, frozenset())
    assert refused.value.diagnostic.code == "RCL0016"


# --- The approvers themselves ----------------------------------------------------------------------------------


def _shorter(site: Reviewed, author: str, kept: str = MALLORY) -> None:
    site.replace("site.yaml", f"[{ALICE}, {MALLORY}]", f"[{kept}]")
    site.commit("fewer", author=author)


def test_whoever_is_taken_off_the_list_does_not_approve_that(site: Reviewed) -> None:
    _shorter(site, CAROL, kept=ALICE)
    said = site("diff", "base", "HEAD")
    assert said.code == 5
    _approved(site, "base", "HEAD", by=MALLORY)
    assert f"{MALLORY} is no longer an approver after the change" in site("diff", "base", "HEAD").out
    assert "RCL3045" in site("plan", *T1).out
    assert site.tick().code == 5
    _approved(site, "base", "HEAD", by=ALICE)
    assert site("diff", "base", "HEAD").code == 0
    assert site.tick().code == 0
    assert "RCL3045" not in site("plan", *T1).out


def test_the_last_who_could_approve_it_may(site: Reviewed) -> None:
    """Who stays wrote it: else nobody could approve it."""
    _shorter(site, ALICE, kept=ALICE)
    _approved(site, "base", "HEAD", by=MALLORY)
    assert site("diff", "base", "HEAD").code == 0
    assert site.tick().code == 0


def test_a_list_of_nobody_is_refused(site: Reviewed) -> None:
    site.replace("site.yaml", f"[{ALICE}, {MALLORY}]", "[]")
    said = site("validate")
    assert said.code == 65
    assert "RCL1019" in said.out + said.err


def test_a_list_of_nobody_that_was_settled_counts_as_none() -> None:
    told = {
        "apiVersion": "reconciler/v1",
        "kind": "Site",
        "metadata": {"name": "hq"},
        "spec": {
            "timeZone": "Europe/Berlin",
            "prune": False,
            "state": {"sqlite": {"path": "s.db"}},
            "clusters": [{"name": "c", "inventory": {"directory": {"path": "c"}}}],
            "servers": [
                {"name": "s", "engine": {"embedded": {"path": "s"}}, "volumes": [{"name": "v", "capacity": "1 TB"}]}
            ],
            "approvals": {"approvers": []},
        },
    }
    assert valid_approvals.site_as_told(told).spec.approvals is None
    told["spec"]["approvals"]["approvers"] = ["", ALICE]  # type: ignore[index]
    rules = valid_approvals.site_as_told(told).spec.approvals
    assert rules is not None
    assert rules.approvers == (ALICE,)
    longer = rules.__class__((ALICE, BOB))
    assert site_rules.approvals(rules, longer) is WEAKENS
    assert site_rules.approvals(longer, rules) is WEAKENS


def test_the_paths_are_those_of_the_root(tmp_path: Path) -> None:
    assert blame(tmp_path, "", "HEAD") is None
