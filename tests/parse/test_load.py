"""Loading: whatever a file holds, its values are those of YAML's core schema, or there is a finding."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Location, PolicyError
from reconciler.parse import read_policies
from reconciler.parse.load import LARGEST_FILE, LARGEST_SCALAR, load, quick
from tests.parse.test_bad_documents import SITE

#: Texts that look like numbers are read by the core schema here, by YAML 1.1 there; they are left out.
_words = st.text(st.characters(codec="utf-8"), max_size=20).filter(
    lambda text: text[:1] not in "+-.0123456789" or not text
)
_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | _words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    documents, found = load("x.yaml", data)
    assert isinstance(documents, tuple)
    assert all(each.location is not None and each.location.line >= 1 for each in found)


@given(st.text(alphabet=" \t\n:-[]{}&*!|>'\"%@`#?,ab1~<", max_size=80))
def test_no_yaml_like_text_makes_it_raise(text: str) -> None:
    load("x.yaml", text.encode())


@given(st.dictionaries(st.text("abcdef", min_size=1), _plain, min_size=1, max_size=5))
def test_values_are_those_of_another_reader(value: dict[str, object]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    documents, found = load("x.yaml", text.encode())
    if not found:
        assert documents[0].root.plain() == yaml.safe_load(text)
    else:
        assert {each.code for each in found} <= {"RCL1008", "RCL1004"}


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=6), min_size=1, max_size=8, unique=True))
def test_places_point_at_the_text(keys: list[str]) -> None:
    text = "".join(f"{key}:\n  - {key}{key}\n" for key in keys)
    (document,), _ = load("x.yaml", text.encode())
    lines = text.split("\n")
    for key in keys:
        at, at_key = document.at(key, 0), document.at_key(key)
        assert lines[at.line - 1][at.column - 1 :] == key + key
        assert lines[at_key.line - 1][at_key.column - 1 :] == f"{key}:"


def test_a_bomb_is_refused_at_once() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40))
    began = time.process_time()
    documents, found = load("x.yaml", bomb.encode())
    assert time.process_time() - began < 2
    assert not documents
    assert [each.code for each in found] == ["RCL1010"]


def test_aliases_within_reason_are_fine() -> None:
    documents, found = load("x.yaml", b"a: &a {b: 1}\nc: *a\n")
    assert not found
    assert documents[0].root.plain() == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"x: " + b"a" * (LARGEST_SCALAR + 1), "RCL1013"),
        (b"x: " + b"a" * (LARGEST_FILE + 1), "RCL1004"),
        (b"x: \xff\xfe", "RCL1004"),
        (b"\x00\x01\x02", "RCL1004"),
        (b"[" * 100 + b"]" * 100, "RCL1013"),
    ],
)
def test_what_is_too_large_or_no_text(data: bytes, code: str) -> None:
    assert {each.code for each in load("x.yaml", data)[1]} == {code}


def test_empty_documents_and_comments_are_fine() -> None:
    documents, found = load("x.yaml", b"# nothing\n---\n---\na: 1\n---\n# more\n")
    assert not found
    assert [each.root.plain() for each in documents] == [{"a": 1}]


# --- Folders ---------------------------------------------------------------------------------------------------


def _refused(root: Path) -> str:
    with pytest.raises(PolicyError) as refused:
        read_policies(root)
    assert refused.value.exit_code == 65
    return refused.value.diagnostic.code


def test_a_folder_that_is_missing_or_empty_or_no_folder(tmp_path: Path) -> None:
    assert _refused(tmp_path) == "RCL1001"
    (tmp_path / "policies").write_text("x")
    assert _refused(tmp_path) == "RCL1001"
    (tmp_path / "policies").unlink()
    (tmp_path / "policies").mkdir()
    assert _refused(tmp_path) == "RCL1003"
    (tmp_path / "policies" / "a.yaml").write_text("# only a comment\n")
    assert _refused(tmp_path) == "RCL1003"


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "site.yaml").write_text(SITE)
    (tmp_path / "policies" / "dangling.yaml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "policies" / "pipe.yaml")
    reading = read_policies(tmp_path)
    assert reading.policies is None
    assert {each.code for each in reading.diagnostics} == {"RCL1002", "RCL1091"}
    assert len(reading.diagnostics) == 2


def test_a_link_that_turns_in_a_circle_is_no_trap(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "site.yaml").write_text(SITE)
    (tmp_path / "policies" / "round").symlink_to(tmp_path / "policies")
    assert [each.code for each in read_policies(tmp_path).diagnostics] == ["RCL1091"]


def test_the_order_and_division_of_files_mean_nothing(tmp_path: Path) -> None:
    exclusion = "kind: Exclusion\napiVersion: reconciler/v1\nmetadata: {name: NAME}\n"
    exclusion += (
        "spec: {site: hq, virtualMachines: {cluster: hci-01, names: [a]}, reason: r, owner: o, until: 2099-01-01}\n"
    )
    texts = [SITE, exclusion.replace("NAME", "a"), exclusion.replace("NAME", "b")]
    seen = []
    for number, parts in enumerate(([texts[0], texts[1], texts[2]], [texts[2] + "---\n" + texts[0], texts[1]])):
        folder = tmp_path / str(number) / "policies" / "deep"
        folder.mkdir(parents=True)
        for place, part in enumerate(parts):
            (folder / f"{place}.yml").write_text(part)
        policies = read_policies(tmp_path / str(number)).policies
        assert policies is not None
        seen.append([each.document for kind in (policies.sites, policies.exclusions) for each in kind])
    assert seen[0] == seen[1]


def test_the_same_name_twice_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "a.yaml").write_text(SITE)
    (tmp_path / "policies" / "b.yaml").write_text(SITE)
    found = [each for each in read_policies(tmp_path).diagnostics if each.code == "RCL1023"]
    assert [str(each.location) for each in found] == ["policies/a.yaml:3:18"]
    assert [str(each) for each in found[0].also] == ["policies/b.yaml:3:18"]


# --- The quick way -----------------------------------------------------------------------------------------------


def _agree(data: bytes) -> None:
    """What is read quickly is what is read carefully, and nothing was wrong with it."""
    plains = quick(data)
    if plains is None:
        return
    documents, found = load("x.yaml", data)
    assert not found
    assert [each.root.plain() for each in documents] == [plain for plain, _, _ in plains]
    assert [each.at() for each in documents] == [Location("x.yaml", line, column) for _, line, column in plains]


@given(st.binary(max_size=300))
def test_quick_and_careful_agree_on_any_bytes(data: bytes) -> None:
    _agree(data)


@given(st.text(alphabet=" \t\n:-[]{}&*!|>'\"%@`#?,ab1~<0.e", max_size=80))
def test_quick_and_careful_agree_on_yaml_like_text(text: str) -> None:
    _agree(text.encode())


@given(st.dictionaries(st.text("abcdef", min_size=1), _plain, min_size=1, max_size=5))
def test_quick_and_careful_agree_on_values(value: dict[str, object]) -> None:
    _agree(yaml.safe_dump(value, allow_unicode=True).encode())


def test_quick_reads_what_people_write() -> None:
    for path in (Path(__file__).parent.parent.parent / "policies").glob("*.yaml"):
        assert quick(path.read_bytes()) is not None
        _agree(path.read_bytes())


def test_folders_read_in_parallel_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "site.yaml").write_text(SITE)
    group = (
        "apiVersion: reconciler/v1\nkind: ProtectionGroup\nmetadata: {name: gNUMBER}\n"
        "spec: {site: hq, server: mabs-01, "
        "members: [{virtualMachines: {cluster: hci-01, names: [aNUMBER]}}], shortTerm: {retention: 5d, BAD: 1h}}\n"
    )
    for number in range(40):
        text = group.replace("NUMBER", str(number)).replace("BAD", "sync" if number == 7 else "synchronization")
        (tmp_path / "policies" / f"{number}.yaml").write_text(text)
    program = (
        "import sys; from pathlib import Path; from reconciler.parse import read;"
        "read._MANY_FILES = int(sys.argv[2]); read._CHUNK = 7; reading = read.read_policies(Path(sys.argv[1]));"
        "print(*map(str, reading.diagnostics), sep='\\n')"
    )
    said = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", program, str(tmp_path), many],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for many in ("1000", "2")
    ]
    assert said[0] == said[1]
    assert "policies/7.yaml:4:" in said[0]
