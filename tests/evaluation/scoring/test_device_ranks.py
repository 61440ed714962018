from functools import partial

import numpy as np
import pytest
import torch

from dualfair.evaluation.metrics import similarity
from dualfair.evaluation.metrics.identification import (
    COUNTS,
    count_nearer,
    galleries,
    gallery_split,
    ranks,
    split_ranks,
)
from dualfair.evaluation.metrics.similarity import arrange, unit_rows
from dualfair.evaluation.objectives import EmbeddedFaces
from dualfair.evaluation.protocol import EvaluationProtocol, evaluate_faces
from dualfair.evaluation.scoring import device_ranks, scorer
from dualfair.evaluation.scoring.device_ranks import count_on_device, counter_on
from dualfair.evaluation.scoring.distributed import ranks_together
from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.process_group import ProcessGroup
from tests.evaluation.metrics.test_identification import noisy_people
from tests.evaluation.metrics.test_similarity import at_the_bar

ON_TENSORS = partial(count_on_device, device="cpu")


def sets():
    embeddings, identities = noisy_people(50, 5, 32, noise=2.0)
    rng = np.random.default_rng(1)
    uneven = rng.integers(0, 30, size=len(identities))
    integers = rng.integers(-2, 3, size=(200, 4)).astype(np.float32)
    return {
        "random": (embeddings, identities),
        "uneven identities": (embeddings, uneven),
        "ties": (integers, rng.integers(0, 20, size=200)),
        "collapsed": (np.full((200, 64), 0.1, np.float32), np.arange(200) // 4),
        "nearly collapsed": (embeddings * np.float32(1e-4) + 1, identities),
        "at the bar": at_the_bar(),
        "copies of images": (np.concatenate([embeddings, embeddings]), np.concatenate([identities, identities[::-1]])),
        "zero rows": (embeddings * (np.arange(250) % 7 > 0)[:, None].astype(np.float32), identities),
        "float64": (embeddings.astype(np.float64), identities),
    }


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", sets())
def test_ranks_on_a_device_are_those_of_numpy(name, count, exact, monkeypatch):
    embeddings, identities = sets()[name]
    monkeypatch.setattr(device_ranks, "_multiplies_float64", lambda device: exact)
    monkeypatch.setattr(device_ranks, "_CHUNK", 33 * len(identities))
    everyone = np.arange(len(identities))
    enrolled = gallery_split(identities, images_per_identity=2, seed=0)
    half = everyone[identities % 2 == 0]
    for gallery, probes in ((everyone, everyone), enrolled, (half, half), (half, everyone)):
        expected = split_ranks(embeddings, identities, gallery, probes, count)
        result = split_ranks(embeddings, identities, gallery, probes, count, nearer=ON_TENSORS)
        assert np.array_equal(result.values, expected.values)
        assert np.array_equal(result.probes, expected.probes)
        assert result.excluded == expected.excluded


@pytest.mark.parametrize("off", [-1, 1])
@pytest.mark.parametrize("dense", [1, 10**9])
def test_a_product_as_wrong_as_rounding_may_be_changes_no_rank(off, dense, monkeypatch):
    embeddings, identities = at_the_bar()
    expected = ranks(embeddings, identities)
    noise = torch.Generator().manual_seed(0)
    bound = 128 * 2.0**-24
    monkeypatch.setattr(device_ranks, "DENSE", dense)
    product = torch.Tensor.__matmul__

    def wrong(left, right):
        exact = product(left.double(), right.double())
        if left.dtype == torch.float64:
            return exact
        return (exact + off * bound * torch.rand(exact.shape, generator=noise, dtype=torch.float64)).float()

    monkeypatch.setattr(torch.Tensor, "__matmul__", wrong)
    assert np.array_equal(ranks(embeddings, identities, nearer=ON_TENSORS).values, expected.values)


def test_unit_rows_are_the_same_to_the_bit():
    rng = np.random.default_rng(0)
    embeddings = (rng.normal(size=(500, 77)) * 10.0 ** rng.integers(-30, 30, size=(500, 1))).astype(np.float32)
    embeddings[3] = 0
    rows = device_ranks._unit_rows(embeddings, torch.device("cpu")).numpy()
    images = rng.permutation(500)[:300]
    assert np.array_equal(rows[images], unit_rows(embeddings, images))


def test_the_whole_protocol_comes_to_the_same_with_galleries_and_halves():
    embeddings, identities = noisy_people(60, 5, 32, noise=2.0)
    groups = np.where(identities % 2, "a", "b")
    protocol = EvaluationProtocol()
    asked = []

    def counted(*arguments):
        asked.append(arguments)
        return ON_TENSORS(*arguments)

    plain, on_tensors = (EmbeddedFaces(embeddings, identities, groups, 0, how) for how in (None, counted))
    assert evaluate_faces(on_tensors, protocol) == evaluate_faces(plain, protocol)
    assert len(asked) == 3
    drawn = galleries(identities, groups, 20, 8, np.random.default_rng(0))
    for (ranked, images), rows in zip(on_tensors.galleries("20"), drawn, strict=True):
        assert np.array_equal(images, rows)
        assert np.array_equal(ranked.values, ranks(embeddings[rows], identities[rows]).values)


def test_where_memory_runs_out_fewer_probes_are_compared_at_once(monkeypatch):
    embeddings, identities = noisy_people(50, 5, 32)
    nearest, sizes = device_ranks._nearest, []

    def scarce(mates, *rest):
        sizes.append(len(mates))
        if len(mates) > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return nearest(mates, *rest)

    monkeypatch.setattr(device_ranks, "_nearest", scarce)
    with pytest.warns(UserWarning, match="memory ran out with 250 images at once"):
        result = ranks(embeddings, identities, nearer=ON_TENSORS)
    assert sizes == [250, 125, 62, 62, 62, 62, 2]
    assert np.array_equal(result.values, ranks(embeddings, identities).values)


def test_a_chunk_is_bounded_by_the_memory_that_is_free(monkeypatch):
    embeddings, identities = noisy_people(50, 5, 32)
    sizes, nearest = [], device_ranks._nearest
    monkeypatch.setattr(device_ranks, "free_memory", lambda device: 64 * 250 * 100)
    monkeypatch.setattr(
        device_ranks, "_nearest", lambda mates, *rest: sizes.append(len(mates)) or nearest(mates, *rest)
    )
    ranks(embeddings, identities, nearer=ON_TENSORS)
    assert sizes == [100, 100, 50]


def test_only_cuda_counts_on_the_device():
    assert counter_on("cpu") is None
    assert counter_on(torch.device("cuda", 1)).keywords == {"device": torch.device("cuda", 1)}


def test_numpy_counts_embeddings_in_float64():
    embeddings, identities = noisy_people(20, 3, 8, dtype=np.float64)
    everyone = np.arange(60)
    arranged = arrange(identities, everyone, everyone)
    assert np.array_equal(ON_TENSORS(embeddings, arranged, "images"), count_nearer(embeddings, arranged))
    assert similarity.tie_tolerance(embeddings.dtype) < 1e-14


def test_scorers_and_evaluations_count_where_the_networks_are(monkeypatch, tiny, faces):
    devices = []

    def counter(device):
        devices.append(str(device))
        return lambda *arguments: devices.append("counted") or ON_TENSORS(*arguments)

    monkeypatch.setattr(scorer, "counter_on", counter)
    monkeypatch.setattr(device_ranks, "counter_on", counter)
    genotype = dpn_space("dpn81", 3).sample(np.random.default_rng(0))
    inherited = InheritedScorer(Supernet(tiny, 4).eval(), faces, None, EvaluationProtocol())
    assert devices == ["cpu"]
    inherited([genotype])
    assert devices.count("counted") == 3
    embeddings, identities = noisy_people(20, 3, 8)
    everyone = np.arange(60)
    devices.clear()
    result = ranks_together(embeddings, identities, everyone, everyone, "images", ProcessGroup(device="cuda"))
    assert devices == ["cuda", "counted"]
    assert np.array_equal(result.values, ranks(embeddings, identities).values)
