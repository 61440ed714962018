import numpy as np
import pytest

from dualfair.supernet.images.labels import known_labels, labels_of
from dualfair.supernet.images.manifest import Fold, Manifest, read_manifest, split_identities, write_manifest
from tests.support.faces import manifest_of

FRACTIONS = (0.6, 0.2, 0.2)


def test_splits_are_disjoint_by_identity_balanced_by_group_and_seeded():
    manifest = manifest_of(40)
    groups = labels_of(manifest, "group").group_of
    splits = split_identities(manifest, groups, FRACTIONS, seed=0)
    people = {split: {manifest.columns["identity"][row] for row in rows} for split, rows in splits.items()}
    assert {split: len(who) for split, who in people.items()} == {"train": 24, "validation": 8, "test": 8}
    assert not people["train"] & people["validation"] and not people["test"] & (people["train"] | people["validation"])
    for who in people.values():
        assert sum(groups[identity] == "a" for identity in who) * 2 == len(who)
    again = split_identities(manifest, groups, FRACTIONS, seed=0)
    other = split_identities(manifest, groups, FRACTIONS, seed=1)
    assert all(np.array_equal(splits[name], again[name]) for name in splits)
    assert not np.array_equal(splits["test"], other["test"])


def test_given_splits_are_kept_and_an_identity_in_two_of_them_is_named():
    split = ["train"] * 40 + ["validation"] * 20 + ["test"] * 20
    everyone = labels_of(manifest_of(), "group").group_of
    splits = split_identities(manifest_of(split=tuple(split)), everyone, FRACTIONS, seed=0)
    assert splits["validation"].tolist() == list(range(40, 60))
    split[41], split[79] = "test", "train"
    with pytest.raises(ValueError, match="2 identities stand in two splits: p10, p19; each belongs to one"):
        split_identities(manifest_of(split=tuple(split)), everyone, FRACTIONS, seed=0)
    split[0] = "dev"
    with pytest.raises(ValueError, match="identity p00: unknown split 'dev'; expected train, validation, test"):
        split_identities(manifest_of(split=tuple(split)), everyone, FRACTIONS, seed=0)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_validate_everybody_once_who_is_not_of_test(folds, given):
    split = ("train",) * 80 + ("validation",) * 40 + ("test",) * 40 if given else None
    manifest = manifest_of(40, **({"split": split} if given else {}))
    groups = labels_of(manifest, "group").group_of
    people = manifest.column("identity")
    whole = split_identities(manifest, groups, FRACTIONS, 3)
    of_folds = [split_identities(manifest, groups, FRACTIONS, 3, Fold(number, folds)) for number in range(folds)]
    validated = [people[splits["validation"]].tolist() for splits in of_folds]
    assert sorted(np.concatenate(validated)) == sorted(people[np.r_[whole["train"], whole["validation"]]])
    for splits, validates in zip(of_folds, validated, strict=True):
        assert np.array_equal(splits["test"], whole["test"])
        assert not {*validates} & {*people[splits["train"]]}
        by_group = [len({name for name in validates if groups[name] == group}) for group in "ab"]
        assert max(by_group) - min(by_group) <= 1
        assert abs(sum(by_group) - len({*people} - {*people[whole["test"]]}) / folds) < 2
    other = split_identities(manifest, groups, FRACTIONS, 4, Fold(0, folds))
    assert other["validation"].tolist() != of_folds[0]["validation"].tolist()


@pytest.mark.parametrize("number, folds", [(0, 1), (0, -2), (3, 3), (-1, 2)])
def test_folds_that_are_none_are_refused(number, folds):
    with pytest.raises(ValueError, match=rf"folds must be 0 \(none\) or 2 or more, got {folds}"):
        Fold(number, folds)


def test_names_with_line_breaks_quotes_and_signs_are_read_back_from_a_manifest(tmp_path):
    names = ("a\rb", "a\nb", "a\r\nb", '"a", b', "=1+1", ";|", "-", "'")
    manifest = Manifest({"path": tuple(map(str, range(8))), "identity": names, "group": names[::-1]})
    write_manifest(manifest, tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv").columns == manifest.columns


def test_people_who_are_not_named_are_in_no_split_given_or_dealt():
    given = manifest_of(split=("train",) * 76 + ("train", "test") * 2)
    others = {identity: "a" for identity in given.columns["identity"] if identity != "p19"}
    assert split_identities(given, others, (), 0)["train"].tolist() == list(range(76))
    dealt = split_identities(manifest_of(), others, FRACTIONS, 0)
    assert sorted(np.concatenate([*dealt.values()]).tolist()) == list(range(76))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("path,identity\n", "only a header"),
        ("path,group\nx,a\n", "no column 'identity'; it has: path, group"),
        ("path,identity\nx,1\ny\n", "line 3 has 1 fields, the header has 2"),
        ("path,path\nx,1\n", "a column name stands twice"),
    ],
)
def test_a_bad_manifest_names_the_line_or_the_column(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(ValueError) as error:
        read_manifest(tmp_path / "m.csv")
    assert message in str(error.value) and "m.csv" in str(error.value)
    with pytest.raises(ValueError, match="unknown group column 'age'; the manifest has: group"):
        manifest_of().column("age")


def damaged(data, rng):
    """A copy of some text with a few bytes flipped, cut, doubled, or replaced by quotes, separators and rubbish."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        start = int(rng.integers(0, len(data) + 1))
        end = min(len(data), start + int(rng.integers(1, 12)))
        kind = rng.integers(0, 5)
        if kind == 0 and start < len(data):
            data[start] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            del data[start:end]
        elif kind == 2:
            data[start:start] = data[start:end]
        elif kind == 3:
            data[start:end] = rng.choice(
                [b'"', b",", b"\n", b"\r", b"\x00", b"\xff\xfe", b"../", b'""', b"\xe2\x80\xa8"]
            )
        else:
            data[start:end] = rng.integers(0, 256, int(rng.integers(1, 8)), dtype=np.uint8).tobytes()
    return bytes(data)


def fuzz_manifests(folder, cases):
    rng = np.random.default_rng(7)
    columns = {"path": tuple(f"p{i}/{i}.jpg" for i in range(6)), "identity": tuple("aabbcc"), "group": tuple("xxyyxx")}
    write_manifest(Manifest(columns), folder / "whole.csv")
    data = (folder / "whole.csv").read_bytes()
    refused = 0
    for _ in range(cases):
        (folder / "m.csv").write_bytes(damaged(data, rng))
        try:
            manifest = read_manifest(folder / "m.csv")
            split_identities(manifest, known_labels(manifest, "group").group_of, (0.4, 0.3, 0.3), 0)
        except ValueError as error:
            refused += 1
            assert str(error) and "\n" not in str(error)
    assert 0 < refused < cases


def test_a_damaged_manifest_is_read_or_refused_in_one_line(tmp_path):
    fuzz_manifests(tmp_path, 300)


@pytest.mark.slow
def test_ten_thousand_damaged_manifests_are_read_or_refused_in_one_line(tmp_path):
    fuzz_manifests(tmp_path, 10_000)
