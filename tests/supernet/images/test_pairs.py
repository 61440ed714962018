import numpy as np
import pytest

from dualfair.supernet.images.manifest import Manifest
from dualfair.supernet.images.pairs import (
    Pairs,
    folds_in_order,
    join_pairs,
    listed_before,
    read_lfw_pairs,
    read_pairs,
    read_plain_pairs,
    with_itself,
    write_pairs,
)

NAMES = ("Al", "Bo", "Cy, Jr.")


def manifest_of(names=NAMES, images=3):
    paths = tuple(f"{name}/{name}_{number:04d}.jpg" for name in names for number in range(1, images + 1))
    return Manifest({"path": paths, "identity": tuple(path.partition("/")[0] for path in paths)})


def pairs_of(group=None):
    return Pairs(
        np.array([0, 1, 3, 6]),
        np.array([1, 3, 5, 0]),
        np.array([True, False, True, False]),
        np.array([0, 0, 1, 1]),
        group,
    )


def same_pairs(first, second):
    fields = ("left", "right", "same", "fold", "group")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in fields)


@pytest.mark.parametrize("group", [None, np.array(["a", "a", "b", "b, c"])])
def test_pairs_come_back_from_their_csv(tmp_path, group):
    manifest = manifest_of()
    write_pairs(tmp_path / "pairs.csv", pairs_of(group), manifest)
    lines = (tmp_path / "pairs.csv").read_text().splitlines()
    assert lines[0] == "left,right,same,fold" + ("" if group is None else ",group")
    assert lines[1].startswith("Al/Al_0001.jpg,Al/Al_0002.jpg,1,0")
    back = read_pairs(tmp_path / "pairs.csv", manifest)
    assert same_pairs(back, pairs_of(group)) and back.same.dtype == bool and back.fold.dtype == np.int64


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("left,", "one,", "no column 'left'; a list of pairs has left,right,same,fold"),
        (",1,0\n", ",yes,0\n", "line 2: same must be 0 or 1, got 'yes'"),
        (",1,0\n", ",,0\n", "line 2: same must be 0 or 1, got ''"),
        (",1,1\n", ",1,-1\n", "line 4: fold must be a whole number, 0 or more, got '-1'"),
        ("Bo/Bo_0003.jpg", "Bo/Bo_0004.jpg", "line 4: 'Bo/Bo_0004.jpg' is not in the manifest beside it"),
    ],
)
def test_a_wrong_line_of_a_list_is_named(tmp_path, old, new, message):
    path = tmp_path / "pairs.csv"
    write_pairs(path, pairs_of(), manifest_of())
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError) as error:
        read_pairs(path, manifest_of())
    assert str(error.value).startswith(f"{path}: {message}")


def test_a_manifest_with_a_path_twice_cannot_carry_pairs(tmp_path):
    write_pairs(tmp_path / "pairs.csv", pairs_of(), manifest_of())
    twice = Manifest({"path": ("a", "a"), "identity": ("x", "y")})
    with pytest.raises(ValueError, match="lists an image path twice"):
        read_pairs(tmp_path / "pairs.csv", twice)


def test_taking_rows_keeps_the_pairs_between_them_and_counts_the_others():
    manifest, pairs = manifest_of(), pairs_of(np.array(list("abcd")))
    rows = np.array([1, 3, 5, 6])
    taken = pairs.take(rows, manifest)
    assert same_pairs(
        taken,
        Pairs(np.array([0, 1]), np.array([1, 2]), np.array([False, True]), np.array([0, 1]), np.array(["b", "c"])),
    )
    assert taken.dropped == ("Al/Al_0001.jpg, Al/Al_0002.jpg", "Cy, Jr./Cy, Jr._0001.jpg, Al/Al_0001.jpg")
    path, old = manifest.take(rows).columns["path"], manifest.columns["path"]
    assert [path[row] for row in taken.left] == [old[1], old[3]]


@pytest.mark.parametrize("pairs", [10, 6000, 7000, 23, 4])
def test_folds_are_consecutive_and_as_equal_as_can_be(pairs):
    folds = folds_in_order(pairs)
    sizes = np.bincount(folds, minlength=10)
    assert len(folds) == pairs and (np.diff(folds) >= 0).all()
    assert sizes.max() - sizes.min() <= 1 and (np.diff(sizes) <= 0).all()


LFW = "2\t1\nAl\t1\t3\nAl\t2\tBo\t1\nBo\t2\t3\nBo\t3\tAl\t1\n"


def test_an_lfw_list_has_folds_of_genuine_then_impostor_pairs(tmp_path):
    (tmp_path / "pairs.txt").write_text(LFW)
    pairs = read_lfw_pairs(tmp_path / "pairs.txt", manifest_of())
    assert same_pairs(
        pairs,
        Pairs(np.array([0, 1, 4, 5]), np.array([2, 3, 5, 0]), np.array([1, 0, 1, 0], bool), np.array([0, 0, 1, 1])),
    )
    assert pairs.dropped == ()


def test_the_development_lists_have_one_fold(tmp_path):
    (tmp_path / "pairsDevTest.txt").write_text("2\nAl\t1\t3\nBo\t2\t3\nAl\t2\tBo\t1\nBo\t3\tAl\t1\n")
    pairs = read_lfw_pairs(tmp_path / "pairsDevTest.txt", manifest_of())
    assert pairs.fold.tolist() == [0, 0, 0, 0] and pairs.same.tolist() == [True, True, False, False]


def test_names_in_lists_may_have_blanks_between_tabs(tmp_path):
    """Read at blanks, the fourth line would be of the image 1 of a person P and the image 2 of a person 1."""
    names = ("Ann Lee", "P 1")
    (tmp_path / "pairs.txt").write_text("1\t2\nAnn Lee\t1\t3\nP 1 \t1\t2\t\nAnn Lee\t2\tP 1\t1\nP 1\t3\tAnn Lee\t1\n")
    (tmp_path / "plain.txt").write_text("Ann Lee\t1\t3\nP 1\t1\t2\nAnn Lee\t2\tP 1\t1\nP 1\t3\tAnn Lee\t1\n")
    for pairs in (
        read_lfw_pairs(tmp_path / "pairs.txt", manifest_of(names)),
        read_plain_pairs(tmp_path / "plain.txt", manifest_of(names)),
    ):
        assert pairs.left.tolist() == [0, 3, 1, 5] and pairs.right.tolist() == [2, 4, 3, 0]
        assert pairs.same.tolist() == [True, True, False, False] and pairs.dropped == ()


def test_pairs_of_images_that_are_not_there_are_dropped_and_counted(tmp_path):
    (tmp_path / "pairs.txt").write_text(LFW.replace("Bo\t2\t3", "Bo\t2\t4"))
    pairs = read_lfw_pairs(tmp_path / "pairs.txt", manifest_of())
    assert pairs.fold.tolist() == [0, 0, 1] and pairs.dropped == ("line 4 (Bo 4)",)
    with pytest.raises(ValueError, match=r"none of the 4 pairs has both images .*; the first is line 2 \(Al 1\)"):
        read_lfw_pairs(tmp_path / "pairs.txt", manifest_of(names=("Di",)))


def test_a_pair_that_two_images_answer_to_is_refused(tmp_path):
    manifest = Manifest({"path": ("A/A_0001.jpg", "A/A_0002.jpg", "A/A_0002.png"), "identity": ("A",) * 3})
    (tmp_path / "one.txt").write_text("A 1 1\n")
    assert len(read_plain_pairs(tmp_path / "one.txt", manifest)) == 1
    (tmp_path / "two.txt").write_text("A 1 2\n")
    with pytest.raises(ValueError, match=r"two.txt: A_0002 may be A/A_0002.jpg or A/A_0002.png; one of them has to go"):
        read_plain_pairs(tmp_path / "two.txt", manifest)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (LFW, "", "empty file"),
        ("2\t1\n", "", "line 1 is 'Al 1 3'; expected 'folds pairs', such as '10 300'"),
        ("2\t1\n", "0\t300\n", "line 1 is '0 300'"),
        ("2\t1\n", "10\t300\n", "line 1 announces 10 folds of 2 x 300 pairs, 6000 in all; 4 follow"),
        ("Al\t1\t3", "Al\t1\tBo\t3", "line 2 has 4 words; expected 3, as each fold has 1 pairs of one person and then"),
        ("Bo\t3\tAl\t1", "Bo\t3\tAl\tx", "line 5 is 'Bo 3 Al x'; expected 'name i j' or 'nameA i nameB j'"),
    ],
)
def test_a_wrong_line_of_an_lfw_list_is_named(tmp_path, old, new, message):
    path = tmp_path / "pairs.txt"
    path.write_text(LFW.replace(old, new))
    with pytest.raises(ValueError) as error:
        read_lfw_pairs(path, manifest_of())
    assert str(error.value).startswith(f"{path}: {message}")


def test_plain_lists_look_within_a_folder_and_are_joined_with_their_groups(tmp_path):
    manifest = Manifest(
        {"path": ("A/p/p_0001.jpg", "A/q/q_0001.png", "B/p/p_0001.jpg", "B/p/p_0002.jpg"), "identity": tuple("pqpp")}
    )
    (tmp_path / "A.txt").write_text("p\t1\tq\t1\n")
    (tmp_path / "B.txt").write_text("p\t1\t2\np\t1\t9\n")
    lists = {name: read_plain_pairs(tmp_path / f"{name}.txt", manifest, within=f"{name}/") for name in "AB"}
    pairs = join_pairs(lists)
    assert pairs.left.tolist() == [0, 2] and pairs.right.tolist() == [1, 3] and pairs.group.tolist() == ["A", "B"]
    assert pairs.dropped == ("B: line 2 (p 9)",)
    (tmp_path / "B.txt").write_text("p 1\n")
    with pytest.raises(ValueError, match=r"B.txt: line 1 is 'p 1'; expected 'name i j'"):
        read_plain_pairs(tmp_path / "B.txt", manifest)


def test_a_pair_in_either_order_is_listed_before_from_the_second_time_on():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 12, (2, 200))
    seen, before = set(), []
    for pair in map(frozenset, zip(left.tolist(), right.tolist(), strict=True)):
        before.append(pair in seen)
        seen.add(pair)
    assert listed_before(left, right).tolist() == before and 0 < sum(before) < 200
    assert with_itself(left, right).tolist() == [one == other for one, other in zip(left, right, strict=True)]
    assert listed_before(left[:0], right[:0]).shape == (0,)


@pytest.mark.parametrize("name", ["all", "All", " all ", "all pairs"])
def test_a_list_with_a_group_called_as_everybody_together_is_refused(tmp_path, name):
    manifest = manifest_of()
    write_pairs(tmp_path / "pairs.csv", pairs_of(np.array(["a", "a", name, name])), manifest)
    with pytest.raises(ValueError, match=r"the pairs have a group '.*', as everybody together is called; give"):
        read_pairs(tmp_path / "pairs.csv", manifest)
