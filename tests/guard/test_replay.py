"""Ways past the guard by a yes that was meant for something else: used again, elsewhere, later, or for more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta

import pytest

from reconciler.control.approving import used_approvals, valid_approvals
from reconciler.protocols import ApprovalUse
from reconciler.state import open_memory
from tests.fakes import NOON
from tests.shop import Said, Shop
from tests.support.reviewed import ALICE, BY, MALLORY, T1, Reviewed


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


@pytest.fixture
def site(shop: Shop) -> Reviewed:
    return Reviewed(shop)


def _weaken(site: Reviewed, author: str = MALLORY) -> None:
    site.edit("retention: 5d", "retention: 3d")
    site.commit("shorter", author=author)


def _once(site: Reviewed) -> None:
    """3d by an approval, and back."""
    _weaken(site)
    site.approved()
    done = site.apply()
    assert done.code == 0, done.err + done.out
    site.edit("retention: 3d", "retention: 5d")
    site.commit("back")
    assert site.apply().code == 0


@pytest.mark.parametrize("command", [("apply", "--yes"), ("run", "--once")])
def test_an_approval_does_not_count_again_after_a_revert(site: Reviewed, command: tuple[str, ...]) -> None:
    _once(site)
    _weaken(site)
    said = site(*command, *T1)
    assert said.code == 5
    assert "it was used up on 2026-03-10" in site("plan", *T1).out
    assert site.groups() == {"gold": ("P5D", 2)}


def test_nor_in_a_comparison(site: Reviewed) -> None:
    _once(site)
    _weaken(site)
    said = site("diff", "HEAD~1", "HEAD")
    assert said.code == 5
    assert "it is older than the change" in said.out


def test_a_copy_under_another_name_is_the_same_approval(site: Reviewed) -> None:
    _once(site)
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    text = document.read_text()
    document.unlink()
    (document.parent / "copy.yaml").write_text(text.replace("name: approval-", "name: again-"))
    _weaken(site)
    assert site.apply().code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


def test_two_documents_of_one_id_are_one(site: Reviewed) -> None:
    """Nobody takes the id of an approval that counts for hashes of his own."""
    _weaken(site)
    assert site.approve().code == 0
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    text = document.read_text()
    (document.parent / "z.yaml").write_text(text.replace("name: approval-", "name: z-"))
    site.commit("approved, twice", author=ALICE)
    assert "another approval has the same id" in site("plan", *T1).out


def test_an_approval_is_not_valid_in_another_site(
    site: Reviewed, run: Callable[..., Said], tmp_path_factory: pytest.TempPathFactory
) -> None:
    _weaken(site)
    site.approved()
    other = Shop(tmp_path_factory.mktemp("berlin"), run)
    text = (other.root / "policies" / "site.yaml").read_text()
    (other.root / "policies" / "site.yaml").write_text(text.replace("name: hq", "name: berlin"))
    text = (other.root / "policies" / "site.yaml").read_text()
    (other.root / "policies" / "site.yaml").write_text(text.replace("site: hq", "site: berlin"))
    berlin = Reviewed(other)
    _weaken(berlin)
    shutil.copytree(site.root / "policies" / "approvals", berlin.root / "policies" / "approvals")
    berlin.commit("taken from the other repository", author=MALLORY)
    said = berlin("diff", "HEAD~2", "HEAD")
    assert said.code == 5
    assert "it is for the site hq, not for berlin" in said.out
    assert berlin.apply().code == 5
    assert berlin.groups() == {"gold": ("P5D", 2)}


def test_an_approval_of_version_01_does_not_count(site: Reviewed) -> None:
    _weaken(site)
    assert site.approve().code == 0
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    lines = [each for each in document.read_text().splitlines() if not each.strip().startswith(("id:", "site:"))]
    document.write_text("\n".join(lines) + "\n")
    site.commit("approved", author=ALICE)
    assert site.apply().code == 5
    assert "written by version 0.1" in site("plan", *T1).out
    assert site("validate").code == 0  # it is read, and does not count


def test_expired_own_uncommitted_and_used_are_told_apart(site: Reviewed) -> None:
    _weaken(site, author=ALICE)
    assert site.approve().code == 0
    assert "it is not committed" in site("plan", *T1).out or "wrote the change" in site("plan", *T1).out
    site.commit("approved", author=ALICE)
    assert f"{ALICE} wrote the change" in site("plan", *T1).out
    assert "it expired on 2099-12-31" in site("plan", "--now", "2100-03-10T12:00Z").out


def test_a_ceiling_is_the_total_over_all_waves(shop: Shop) -> None:
    """Two waves of one yes may not lose twice what was allowed."""
    site = Reviewed(shop)
    for hours in range(0, 24 * 4, 8):
        site("run", "--until-idle", "--now", f"{NOON + timedelta(hours=hours):%Y-%m-%dT%H:%MZ}")
    later = ("--now", f"{NOON + timedelta(hours=24 * 4):%Y-%m-%dT%H:%MZ}")
    site.edit("retention: 5d", "retention: 1d")
    site.commit("shorter")
    plan = site.root / "plan.json"
    assert site("plan", "--out", str(plan), *later).code == 0
    assert site("approve", "--plan", str(plan), "--by", ALICE, *BY).code == 0
    site.commit("approved", author=ALICE)
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    ident = next(each.split()[-1].strip("'") for each in document.read_text().splitlines() if "  id:" in each)
    memory = open_memory(site.root / "var" / "hq.db")
    memory.approvals.record(ApprovalUse(ident, "c0ffee", spent=1, counted={"earlier/1": 1}))
    memory.close()
    said = site("apply", str(plan), "--yes", *later)
    assert said.code == 5
    assert "and 1 did already" in said.out


def test_without_the_note_of_use_and_the_look_at_the_settled_commit_it_counts_again(
    site: Reviewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defences of the replay: `using._use`, by which the state knows, and `judging._since`, by which Git does."""
    monkeypatch.setattr(used_approvals, "_use", lambda *args: None)
    _once(site)
    _weaken(site)
    assert site.apply().code == 5
    monkeypatch.setattr(valid_approvals, "_since", lambda *args: lambda approval: frozenset())
    assert site.apply().code == 0
    assert site.groups() == {"gold": ("P3D", 2)}


# --- A change that was taken back before anything was done -----------------------------------------------------


@pytest.mark.parametrize("by", ["document", "plan"])
def test_an_approval_whose_change_was_taken_back_counts_no_more(site: Reviewed, by: str) -> None:
    """Change, approval and revert come in one push; months later somebody else makes the change again."""
    assert site.apply().code == 0
    _weaken(site)
    if by == "plan":
        plan = site.root / "plan.json"
        assert site("plan", "--out", str(plan), *T1).code == 0
        assert site("approve", "--plan", str(plan), "--by", ALICE, *BY).code == 0
        plan.unlink()
    else:
        assert site.approve().code == 0
    site.commit("approved", author=ALICE)
    site.edit("retention: 3d", "retention: 5d")
    site.commit("not now", author=ALICE)
    assert site.tick().code == 0
    _weaken(site, author=MALLORY)
    assert site.tick().code == 5
    assert site.apply().code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


def test_what_waited_at_every_tick_since_it_was_approved_is_done(site: Reviewed) -> None:
    """Nothing is settled while something waits, so that the approval is none of an older state."""
    assert site.apply().code == 0
    _weaken(site)
    assert site.tick().code == 5
    site.approved()
    assert site.tick().code == 0
    assert site.groups() == {"gold": ("P3D", 2)}


def test_the_note_of_use_outlives_a_kill(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the change and before our note of it: whoever settles the run notes it."""
    _weaken(site)
    site.approved()

    class Killed(BaseException):
        pass

    def killed(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("reconciler.control.applying.apply.use_for_step", killed)
        with pytest.raises(Killed):
            site.apply()
    site.edit("retention: 3d", "retention: 5d")
    site.commit("back")
    assert site.apply().code == 0
    _weaken(site)
    assert site.apply().code == 5
