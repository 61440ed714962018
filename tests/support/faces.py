"""Faces for tests: a manifest, and a store of noise for it."""

import numpy as np

from dualfair.supernet.images.manifest import Manifest
from dualfair.supernet.images.store import StoreWriter


def manifest_of(people=20, images=4, **further):
    """People of two groups in turn, each with as many images."""
    identities = [f"p{person:02d}" for person in range(people) for _ in range(images)]
    groups = ["a" if int(identity[1:]) % 2 else "b" for identity in identities]
    paths = [f"{identity}/{number}.png" for number, identity in enumerate(identities)]
    return Manifest({"path": tuple(paths), "identity": tuple(identities), "group": tuple(groups), **further})


def store_of(tmp_path, manifest, size=8, **origin):
    """Noise for every row of the manifest."""
    writer = StoreWriter(tmp_path, len(manifest), size)
    writer.add(np.random.default_rng(0).integers(0, 256, (len(manifest), size, size, 3), dtype=np.uint8))
    return writer.close(manifest, {"made by": "test", **origin})


def labelled_manifest_of(images=60, classes=("cat", "dog", "eel"), groups=("a", "b"), **further):
    """Images of classes in turn, each half of them in another group."""
    columns = {
        "path": tuple(f"{image}.png" for image in range(images)),
        "label": tuple(classes[image % len(classes)] for image in range(images)),
        "group": tuple(groups[image // len(classes) % len(groups)] for image in range(images)),
    }
    return Manifest({name: values for name, values in {**columns, **further}.items() if values is not None})


def labelled_store_of(tmp_path, manifest, size=8):
    """Noise for every row of the manifest of labelled images."""
    return store_of(tmp_path, manifest, size, task="classification")
