import json

import numpy as np
import pytest
from PIL import Image

from dualfair.supernet.images.manifest import Manifest
from dualfair.supernet.images.store import StoreWriter, open_store, square
from tests.support.faces import manifest_of, store_of


def test_the_central_square_of_a_wide_image_is_kept():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    assert (square(Image.fromarray(wide), 10) == np.full((10, 10, 3), 255)).all()


def test_a_damaged_store_gets_one_clear_line(tmp_path):
    with pytest.raises(ValueError, match="is no faces folder"):
        open_store(tmp_path)
    writer = StoreWriter(tmp_path, 2, 8)
    writer.add(np.zeros((2, 8, 8, 3), np.uint8))
    manifest = Manifest({"path": ("a", "b"), "identity": ("x", "y"), "group": ("a", "b")})
    writer.close(manifest, {})
    (tmp_path / "manifest.csv").write_text("path,identity\na,x\n")
    with pytest.raises(ValueError, match="1 manifest rows for 2 images"):
        open_store(tmp_path)
    (tmp_path / "pixels.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"pixels.npy cannot be read"):
        open_store(tmp_path)


def test_faces_json_tells_where_the_faces_came_from(tmp_path):
    store_of(tmp_path, manifest_of())
    origin = json.loads((tmp_path / "faces.json").read_text())
    assert origin["made by"] == "test" and origin["images"] == 80 and origin["size"] == 8


def test_a_store_takes_only_images_of_its_form(tmp_path):
    writer = StoreWriter(tmp_path, 1, 8)
    for image in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), float), np.zeros((9, 8, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"expected uint8 \(8, 8, 3\), got"):
            writer.add([image])


def test_a_manifest_that_was_changed_is_of_other_faces_until_it_is_changed_back(tmp_path):
    written = store_of(tmp_path, manifest_of()).fingerprint
    path = tmp_path / "manifest.csv"
    head, *rows = path.read_text().splitlines()
    seen = {written}
    for changed in ([head, rows[-1], *rows[1:-1], rows[0]], [head, *rows[:-1], rows[-1].replace(",a", ",b")]):
        path.write_text("\n".join(changed) + "\n")
        seen.add(open_store(tmp_path).fingerprint)
    assert len(seen) == 3
    path.write_text("\r\n".join([head, *rows]) + "\r\n")
    assert open_store(tmp_path).fingerprint == written
    # Folders of earlier versions do not know their manifest's digest.
    origin = json.loads((tmp_path / "faces.json").read_text())
    del origin["manifest"]
    (tmp_path / "faces.json").write_text(json.dumps(origin))
    path.write_text("\n".join(changed) + "\n")
    assert open_store(tmp_path).fingerprint == written
