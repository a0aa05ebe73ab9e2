"""Which file goes where: told by path or id, never by a bare name that two have; made-up names are nobody's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engines.places import Configured, chosen, file_name, folder_names, original_places
from reconciler.errors import Refused, UsageError

HOME = "volumes/csv-01/vm"
CONFIG = f"{HOME}/vm.json"
A, B = f"{HOME}/a/disk.raw", f"{HOME}/b/disk.raw"
OTHER = "volumes/csv-02/vm/disk.raw"


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (A, A),
        ("a/disk.raw", A),
        ("b/disk.raw", B),
        ("csv-02/vm/disk.raw", OTHER),
        ("vm.json", CONFIG),
        ("data.raw", f"{HOME}/data.raw"),
    ],
)
def test_a_disk_is_named_by_its_path_or_by_what_no_other_ends_in(wanted: str, meant: str) -> None:
    paths = (A, B, OTHER, f"{HOME}/data.raw", CONFIG)
    assert chosen(paths, CONFIG, (wanted,), "p") == (meant,)
    assert chosen(paths, CONFIG, (), "p") == paths


@pytest.mark.parametrize(
    ("wanted", "code"), [("disk.raw", "RCL7012"), ("isk.raw", "RCL7005"), ("c/disk.raw", "RCL7005"), ("", "RCL7005")]
)
def test_a_name_that_two_disks_have_and_one_that_none_has(wanted: str, code: str) -> None:
    with pytest.raises((Refused, UsageError)) as error:
        chosen((A, B, CONFIG), CONFIG, (wanted,), "p")
    assert error.value.diagnostic.code == code
    assert A in error.value.diagnostic.message + error.value.diagnostic.remedy


def test_a_made_up_name_is_never_a_real_one() -> None:
    """Numbering the second one made `2-disk.raw` of it, which a real disk was called."""
    paths = ("x/disk.raw", "y/disk.raw", "z/2-disk.raw", "z/1-disk.raw", "x/vm.json")
    names = folder_names(paths, "x/vm.json")
    assert (names["z/2-disk.raw"], names["z/1-disk.raw"], names["x/vm.json"]) == ("2-disk.raw", "1-disk.raw", "vm.json")
    assert names["x/disk.raw"] != names["y/disk.raw"]
    assert {names[path][-4:] for path in paths[:4]} == {".raw"}
    real = folder_names((*paths, f"q/{names['x/disk.raw']}"), "x/vm.json")
    assert len(set(real.values())) == 6


def test_letter_case_and_forms_that_a_folder_may_not_tell_apart() -> None:
    names = folder_names(("x/Disk.raw", "y/disk.RAW", "x/é.raw", "y/é.raw", "x/c", "y/c."), "x/vm.json")
    assert len({name.casefold() for name in names.values()}) == 6


words = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=300)


@given(st.lists(st.tuples(st.sampled_from("abc"), words), min_size=1, max_size=8, unique=True))
def test_names_in_a_folder_are_bounded_different_and_stable(files: list[tuple[str, str]]) -> None:
    paths = [f"{folder}/{name}" for folder, name in files]
    names = folder_names(paths, paths[0])
    assert len(set(names.values())) == len(paths)
    for path, name in names.items():
        assert 0 < len(name.encode()) <= 255
        assert name == file_name(path) or name not in {file_name(each) for each in paths}
    assert folder_names(list(reversed(paths)), paths[0]) == names


def at(*paths: str, config: str = CONFIG) -> Configured:
    return Configured(config, dict.fromkeys(paths, ""))


def test_two_disks_of_one_name_go_each_to_its_own_place() -> None:
    assert original_places(at(A, B), at(A, B), "p") == {CONFIG: CONFIG, A: A, B: B}


def test_a_machine_that_moved_as_a_whole() -> None:
    there = "volumes/csv-09/else"
    moved = at(f"{there}/a/disk.raw", f"{there}/b/disk.raw", config=f"{there}/vm.json")
    places = original_places(at(A, B), moved, "p")
    assert (places[A], places[B]) == (f"{there}/a/disk.raw", f"{there}/b/disk.raw")


def test_one_disk_that_moved_is_known_by_its_id_or_by_a_name_of_its_own() -> None:
    then = Configured(CONFIG, {A: "1", B: "2"})
    swapped = Configured(CONFIG, {"volumes/x/disk.raw": "2", "volumes/y/disk.raw": "1"})
    places = original_places(then, swapped, "p")
    assert (places[A], places[B]) == ("volumes/y/disk.raw", "volumes/x/disk.raw")
    data = f"{HOME}/data.raw"
    assert original_places(at(A, data), at(A, "volumes/x/data.raw"), "p")[data] == "volumes/x/data.raw"


@pytest.mark.parametrize(
    ("then", "there"),
    [
        (at(A, B), at("volumes/x/disk.raw", "volumes/y/disk.raw")),
        (at(A, B), at(A, OTHER)),
        (at(f"{HOME}/data.raw"), at(f"{HOME}/renamed.raw")),
        (Configured(CONFIG, {A: "1", B: "1"}), Configured(CONFIG, {"volumes/x/disk.raw": "1", OTHER: "1"})),
    ],
)
def test_what_cannot_be_told_is_refused(then: Configured, there: Configured) -> None:
    with pytest.raises(Refused) as refused:
        original_places(then, there, "p")
    assert refused.value.diagnostic.code == "RCL7014"
    assert "--to FOLDER" in refused.value.diagnostic.remedy


def test_a_disk_that_was_taken_away_comes_back_where_it_was() -> None:
    assert original_places(at(A, B), at(A), "p")[B] == B


disks = st.dictionaries(
    st.sampled_from([A, B, OTHER, f"{HOME}/data.raw", "volumes/x/disk.raw"]), st.sampled_from("  12")
)


@given(disks, disks)
def test_no_two_disks_ever_go_to_one_place(then: dict[str, str], there: dict[str, str]) -> None:
    def known(stated: dict[str, str]) -> Configured:
        return Configured(CONFIG, {path: identity.strip() for path, identity in stated.items()})

    try:
        places = original_places(known(then), known(there), "p")
    except Refused:
        return
    assert len(set(places.values())) == len(places) == len(then) + 1
    assert all(places[path] == path for path in then if path in there)
