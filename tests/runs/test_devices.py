from types import SimpleNamespace

import pytest
import torch

from dualfair.runs.devices import images_at_once
from dualfair.runs.options import BATCH


@pytest.mark.parametrize(
    ("gigabytes", "side", "images"), [(4, 112, 128), (16, 112, 128), (80, 112, 512), (192, 112, 1024), (16, 48, 512)]
)
def test_on_cuda_more_images_are_scored_at_once_as_an_eighth_of_its_memory_allows(gigabytes, side, images, monkeypatch):
    properties = SimpleNamespace(total_memory=gigabytes * 10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    assert images_at_once(torch.device("cuda"), side) == images
    assert images == BATCH or images * side**2 * 1400 <= gigabytes * 10**9 / 8


def test_on_a_cpu_it_is_always_the_same():
    assert images_at_once(torch.device("cpu"), 48) == images_at_once(torch.device("cpu"), 112) == BATCH
