"""Files of allowed signers: nobody may sign by a file who is not seen in it, as ssh-keygen itself reads it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.plan.review.signers import in_force, in_use, keys, signer_changes
from reconciler.signing import sign, verify

ALICE, SPACE = "alice@corp.example", "reconciler-approval"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    """Alice's public key, Mallory's, and his private one."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "mallory"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)), check=True)
    alice, mallory = (" ".join((folder / f"{name}.pub").read_text().split()[:2]) for name in ("alice", "mallory"))
    return alice, mallory, folder / "mallory"


#: Parts that a line can be made of, a name for each: the keys stand for `ALICE`, `KEY` and `EVIL`.
PIECES = st.sampled_from(
    [
        *("ALICE", "KEY", "EVIL", "ALICE EVIL", "ALICE KEY\n", "ssh-ed25519", "cert-authority", 'namespaces="'),
        *("valid-after=", "#", ",", '"', "*", "!", " ", "\t", "\n", "\r"),
        *("\x00", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2028", "\ufeff"),
    ]
)
HIDING = ("\x00", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0", "\u2028", "\u200b", "\u202e", "\ufffd")
EXAMPLES = 500 if os.environ.get("RECONCILER_PROVE") else 40


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, min_size=2, max_size=9))
def test_who_may_sign_is_seen(pair: tuple[str, str, Path], pieces: list[str]) -> None:
    """Whenever ssh-keygen takes Mallory's signature by what is in use of the file, his key stands in a line that is
    told; and the same file with another key in its place tells something else."""
    alice, mallory, key = pair
    text = "".join(pieces).replace("ALICE", ALICE).replace("KEY", alice).replace("EVIL", mallory)
    used = in_use(text)
    assert used is not None
    if verify(b"x", sign(b"x", key, SPACE), used.encode("utf-8", "surrogatepass"), ALICE, SPACE):
        body = mallory.split()[1]
        assert any(body in said for said in keys(text))
        assert keys(text).keys() != keys(text.replace(body, alice.split()[1])).keys()


@pytest.mark.parametrize("letter", HIDING)
def test_a_line_with_a_letter_that_hides_lets_nobody_sign(pair: tuple[str, str, Path], letter: str) -> None:
    line = f"{letter}#,{ALICE} {pair[1]}"
    assert in_use(line) == ""
    assert keys(line) == {line: line}


def test_comments_and_blanks_say_nothing(pair: tuple[str, str, Path]) -> None:
    before, after = f"{ALICE} {pair[0]} laptop\n", f"# ours, Größe\r\n\n\t{ALICE}\t{pair[0]}  the laptop\r\n"
    assert keys(before).keys() == keys(after).keys() == {f"{ALICE} {pair[0]}"}


def test_a_file_that_comes_later_lets_nobody_sign_until_somebody_agreed(pair: tuple[str, str, Path]) -> None:
    """The settled site named a file that was not there: whoever brings it does not choose who signs."""
    text = f"{ALICE} {pair[1]}\n"
    assert keys(in_force(None, text, frozenset(), "policies/signers")) == {}
    change = signer_changes("policies/signers", None, text)
    assert change is not None
    agreed = frozenset(field.change_hash for field in change.fields)
    assert keys(in_force(None, text, agreed, "policies/signers")) == keys(text)
    assert keys(in_force(text, None, frozenset(), "policies/signers")) == keys(text)  # the last of them wait to go
    gone = signer_changes("policies/signers", text, None)
    assert gone is not None
    agreed = frozenset(field.change_hash for field in gone.fields)
    assert keys(in_force(text, None, agreed, "policies/signers")) == {}
