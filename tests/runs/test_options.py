import json
from dataclasses import replace

import pytest

from dualfair.runs.options import BATCH, ProtocolOptions, measured_alike, measurement


def key_of(options):
    return measurement(options, "w", "f", "people")


def test_scores_of_another_batch_have_another_key_and_those_of_the_usual_one_keep_theirs():
    usual, larger = ProtocolOptions(), ProtocolOptions(images_at_once=512)
    assert "images_at_once" not in json.loads(key_of(usual))
    assert json.loads(key_of(larger)) == {**json.loads(key_of(usual)), "images_at_once": 512}
    for recorded in (usual, larger):
        known = {"images_at_once": recorded.images_at_once}
        assert measured_alike(key_of(recorded), known)
        assert not measured_alike(key_of(replace(recorded, images_at_once=BATCH + 1)), known)


def test_a_batch_of_no_images_is_refused():
    with pytest.raises(ValueError, match="batch must be 1 or more images at once, got 0"):
        ProtocolOptions(images_at_once=0)
