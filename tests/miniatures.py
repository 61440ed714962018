"""What documents take for granted, in small: photographs, data sets as they are published, tables, embeddings."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np

PEOPLE, IMAGES = 24, 4
GROUPS = ("African", "Asian", "Caucasian", "Indian")


def _loaded(name, path):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


trees = _loaded("trees_of_data_sets", "supernet/images/importers/test_datasets.py")
packed = _loaded("packed_sets_of_labels", "supernet/images/importers/test_packed_sets.py")


def images(root, people, suffix="jpg"):
    """One folder a person, `IMAGES` pictures in each."""
    for person in people:
        for number in range(1, IMAGES + 1):
            trees.save(root / person / f"{person}_{number:04d}.{suffix}")


def names(kind):
    return [f"{kind}_{number:02d}" for number in range(PEOPLE)]


def photos(path):
    images(path, names("person"), "png")


def metadata(path):
    photos(path.parent / "photos")
    rows = [
        f"photos/{person}/{person}_{number:04d}.png,{person},{'female' if place % 2 else 'male'},{20 + place}\n"
        for place, person in enumerate(names("person"))
        for number in range(1, IMAGES + 1)
    ]
    path.write_text("path,identity,group,age\n" + "".join(rows))


def groups_of_all(path):
    """Groups of the people of every set that comes without."""
    people = [*names("person"), *names("Name"), *names("casia"), *map(str, range(PEOPLE))]
    rows = [f"{person},{'ab'[place % 2]},{20 + place % 30}\n" for place, person in enumerate(people)]
    path.write_text("identity,group,age\n" + "".join(rows))


def celeba(path):
    trees.CELEBA = {
        f"{row + 1:06d}.jpg": (
            str(row // IMAGES + 1),
            0 if row < 64 else 1 if row < 80 else 2,
            (-1, 1 if row // IMAGES % 2 else -1, 1, 1),
        )
        for row in range(PEOPLE * IMAGES)
    }
    places = {"anno": "Anno", "evaluation": "Eval", "images": "Img"}
    trees.celeba_tree(path, **places)
    landmarks = path / "Anno/list_landmarks_align_celeba.txt"
    count, header, *rows = landmarks.read_text().splitlines()
    # celeba_tree writes the number of a row behind the last value, which is far below the picture from row 10 on.
    rows = [f"{row.split()[0]} 69 109 106 113 77 142 73 152 108 154" for row in rows]
    landmarks.write_text("\n".join([count, header, *rows]) + "\n")


def vggface2(path):
    people = [f"n{number:06d}" for number in range(1, PEOPLE + 1)]
    rows = [
        f'{person}, "Name", {IMAGES}, {int(place % 6 > 0)}, {"fm"[place % 2]}\n' for place, person in enumerate(people)
    ]
    trees.write(path / "identity_meta.csv", "Class_ID, Name, Sample_Num, Flag, Gender\n" + "".join(rows))
    for place, person in enumerate(people):
        images(path / ("train" if place % 6 else "test"), [person])


def rfw(path):
    for group in GROUPS:
        lines, people = [], [f"m.{group.lower()}{number}" for number in range(PEOPLE // 2)]
        images(path / "data" / group, people)
        for one, other in zip(people, [*people[1:], people[0]], strict=True):
            lines += [f"{one}\t1\t2\n", f"{one}\t1\t{other}\t2\n"]
        trees.write(path / "txts" / group / f"{group}_pairs.txt", "".join(lines))


def lfw(path):
    people = names("Name")
    images(path, people)
    following = [*people[1:], people[0]]
    lines = [f"{one}\t1\t2\n{one}\t1\t{other}\t2\n" for one, other in zip(people, following, strict=True)]
    trees.write(path / "pairs.txt", f"{PEOPLE}\t1\n{''.join(lines)}")


def bupt(path):
    for group in GROUPS:
        images(path / "race_per_7000" / group, [f"m.{group.lower()}{number}" for number in range(PEOPLE // 4)])


def tinyface(path):
    for part, numbers in (("Probe", (1, 2)), ("Gallery_Match", (3, 4)), ("Gallery_Distractor", (5, 6))):
        for person in range(PEOPLE):
            for number in numbers:
                trees.save(path / "Testing_Set" / part / f"{person}_{number}.jpg")


def casia(path):
    images(path, names("casia"))


def records(path):
    trees.write_records(path, [row // IMAGES for row in range(PEOPLE * IMAGES)])


def verification(path):
    path.write_bytes(pickle.dumps(([trees.encoded(n) for n in range(40)], [True, False] * 10), protocol=2))


def embeddings(path):
    rng = np.random.default_rng(0)
    people = rng.normal(size=(PEOPLE, 1, 16)) + rng.normal(0, 0.5, (PEOPLE, IMAGES, 16))
    np.save(path, people.reshape(-1, 16).astype(np.float32))


def identities(path):
    rows = [f"{row // IMAGES},{GROUPS[row // IMAGES % 2]}\n" for row in range(PEOPLE * IMAGES)]
    path.write_text("identity,ethnicity\n" + "".join(rows))


def cheap_scores(path):
    path.write_text("network,accuracy\n" + "".join(f"n{row},{0.5 + row / 40}\n" for row in range(12)))


def true_scores(path):
    rows = [f"n{row},{seed},{0.6 + (row * 5 % 12) / 60 + seed / 200}\n" for row in range(12) for seed in range(2)]
    path.write_text("network,seed,accuracy\n" + "".join(rows))


def labels(path):
    photos(path.parent / "photos")
    rows = [
        f"photos/{name}/{name}_0001.png,{'cat' if place % 2 else 'dog'}\n" for place, name in enumerate(names("person"))
    ]
    path.write_text("path,label\n" + "".join(rows))


def arrays(path):
    packed.save_npz(path, images=packed.PIXELS, labels=packed.LABELS)


def cifar(path):
    packed.save_cifar(path, images=20)


MAKERS = {
    "PHOTOS": photos,
    "metadata.csv": metadata,
    "groups.csv": groups_of_all,
    "CELEBA": celeba,
    "VGGFACE2": vggface2,
    "RFW": rfw,
    "LFW": lfw,
    "BUPT": bupt,
    "CASIA": casia,
    "TINYFACE": tinyface,
    "TRAIN.rec": records,
    "LFW.bin": verification,
    "e.npy": embeddings,
    "ids.csv": identities,
    "CHEAP.csv": cheap_scores,
    "TRUTH.csv": true_scores,
    "CLASSES": photos,
    "labels.csv": labels,
    "arrays.npz": arrays,
    "MNIST": packed.save_idx,
    "CIFAR": cifar,
}
"""What a document names without making it, by the name that it goes by: a function of the path to make."""
