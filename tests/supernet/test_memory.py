"""Memory runs out while networks are scored: half the batch, the same scores."""

import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evaluation.scoring import embedding
from dualfair.evaluation.scoring.embedding import embed, network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer, population_answers
from dualfair.supernet import memory
from dualfair.supernet.memory import Batch, available_ram, is_shortage
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space

CPU_ERROR = (
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to\n..."
)


@pytest.fixture(scope="module")
def supernet(tiny):
    torch.manual_seed(0)
    return Supernet(tiny, identities=4).eval()


@pytest.fixture(scope="module")
def population():
    return dpn_space("dpn81", 3).sample_distinct(3, np.random.default_rng(3))


@pytest.fixture(scope="module")
def calibration(faces):
    return network_input(faces, np.arange(0, 96, 2), "cpu")


@given(st.integers(0, 60), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_every_image_is_worked_on_once_whatever_fits(images, size, fits):
    done, lines = [], []
    batch = Batch(size, lines.append)

    def work(place):
        if place.stop - place.start > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        done.extend(range(place.start, place.stop))

    with patch("dualfair.supernet.memory.free_caches"):
        batch.over(images, work)
    assert done == list(range(images))
    assert batch.size <= size and bool(lines) == (min(size, images) > fits)


def test_a_smaller_batch_stays_and_the_user_is_told():
    tried, lines = [], []

    def work(place):
        tried.append(place.stop - place.start)
        if tried[-1] > 3:
            raise MemoryError

    batch = Batch(16, lines.append)
    batch.over(9, work)
    batch.over(4, work)
    assert tried == [9, 4, 2, 2, 2, 2, 1, 2, 2] and batch.size == 2
    assert lines == [
        "memory ran out with 9 images at once (MemoryError); going on with 4",
        "memory ran out with 4 images at once (MemoryError); going on with 2",
    ]
    with pytest.warns(UserWarning, match="memory ran out with 4 images at once"):
        Batch(4).over(4, work)


def test_one_image_that_does_not_fit_is_one_clear_line():
    def work(place):
        raise RuntimeError(CPU_ERROR)

    with pytest.raises(ValueError, match="not even one image at a time fits into memory") as error:
        Batch(8, lambda text: None).over(5, work)
    assert "can't allocate memory" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="batch must be 1 or more images at once, got 0"):
        Batch(0)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("out of memory"), KeyError("x")])
def test_other_errors_are_not_taken_for_a_shortage(error):
    def work(place):
        raise error

    with pytest.raises(type(error)):
        Batch(8).over(5, work)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError(CPU_ERROR),
        RuntimeError("not enough memory: you tried to allocate 4096 bytes."),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("could not create a primitive"),
        MemoryError(),
    ],
)
def test_the_errors_of_every_allocator_are_known(error):
    assert is_shortage(error)


def test_half_the_batch_gives_the_same_scores(monkeypatch, supernet, faces, calibration, population):
    """On a CPU embeddings are bit-equal down to batches of 8, and within 1e-6 below (measured)."""
    faces = faces.take(np.arange(32))
    plain = InheritedScorer(supernet, faces, calibration, EvaluationProtocol(), batch=32)
    expected = population_answers(supernet, population, faces, calibration, batch=32)
    values = plain(population)
    for most, exact in ((10, True), (1, False)):
        with monkeypatch.context() as patched:
            lines = []
            batch = Batch(32, lines.append)
            scorer = InheritedScorer(supernet, faces, calibration, EvaluationProtocol(), batch=batch)
            limited = limit_embedding(patched, most)
            assert np.array_equal(scorer(population), values)
            assert lines and batch.size <= most and max(limited) == 32
            tried = len(limited)
            assert np.array_equal(scorer(population), values)
            assert max(limited[tried:]) <= most, "the smaller batch stays"
            result = population_answers(supernet, population, faces, calibration, batch=batch)
        for genotype in population:
            assert np.allclose(result[genotype], expected[genotype], rtol=0, atol=1e-6)
            assert not exact or np.array_equal(result[genotype], expected[genotype])


def limit_embedding(monkeypatch, most):
    """Memory for `most` images and their mirror images at once, wherever images are embedded."""
    whole, tried = embedding.with_mirror, []

    def limited(images):
        tried.append(len(images))
        if len(images) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return whole(images)

    monkeypatch.setattr("dualfair.evaluation.scoring.embedding.with_mirror", limited)
    monkeypatch.setattr("dualfair.evaluation.scoring.scorer.with_mirror", limited)
    return tried


def test_plain_embedding_halves_its_batch_too(monkeypatch, supernet, faces):
    network = supernet.extract(supernet.skeleton.fit("101:cosface"))
    expected = embed(network, faces, batch=64)
    limit_embedding(monkeypatch, 20)
    with pytest.warns(UserWarning, match=r"going on with (32|16)"):
        assert np.array_equal(embed(network, faces, batch=64), expected)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU_ERROR)])
def test_a_calibration_sample_that_does_not_fit_is_never_cut(monkeypatch, supernet, faces, calibration, error):
    def starved(*inputs):
        raise error

    monkeypatch.setattr("dualfair.evaluation.scoring.trie.calibrate_stage", starved)
    genotype = supernet.skeleton.fit("101:cosface")
    with pytest.raises(
        ValueError, match=r"the 48 images that BN statistics .* do not fit .*; lower --calibrate"
    ) as caught:
        population_answers(supernet, [genotype], faces, calibration)
    assert "\n" not in str(caught.value)


REAL = """
import resource, sys, warnings
import numpy as np, torch
from dualfair.evaluation.scoring.scorer import population_answers
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.network import Supernet
from dualfair.supernet.skeleton import skeleton_of
torch.set_num_threads(1)
rng = np.random.default_rng(0)
pixels = rng.integers(0, 256, (16, 48, 48, 3), dtype=np.uint8)
faces = FaceSet(pixels, np.arange(512) % 16, np.array(["p"] * 512), np.array(["a"] * 512), 48)
network = Supernet(skeleton_of("nano")).eval()
genotype = network.skeleton.fit("101:cosface")
expected = population_answers(network, [genotype], faces, None, batch=16)[genotype]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 96 * 2**20,) * 2)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    halved = population_answers(network, [genotype], faces, None, batch=512)[genotype]
print(len(caught), caught[0].message if caught else "")
sys.exit(not np.array_equal(halved, expected))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to limit memory")
@pytest.mark.skipif(torch.__version__ < "2.14", reason="a convolution of older torch dies where memory is refused")
def test_an_allocator_that_really_refuses_halves_the_batch():
    """The address space is limited to little more than is in use."""
    done = subprocess.run([sys.executable, "-c", REAL], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    halved, message = done.stdout.split(maxsplit=1)
    assert int(halved) >= 1 and message.startswith("memory ran out with 512 images at once (")


def test_the_limit_of_a_container_counts_without_its_caches(tmp_path, monkeypatch):
    inner, outer = tmp_path / "outer/inner", tmp_path / "outer"
    inner.mkdir(parents=True)
    files = {
        inner / "memory.max": "max\n",
        outer / "memory.max": f"{2**20}\n",
        outer / "memory.current": f"{2**20 - 2**18}\n",
        outer / "memory.stat": f"anon 5\ninactive_file {2**17}\n",
    }
    for file, text in files.items():
        file.write_text(text)
    monkeypatch.setattr(memory, "control_group_files", lambda name: [inner / name, outer / name])
    assert available_ram() == 2**18 + 2**17
    monkeypatch.setattr(memory, "control_group_files", lambda name: [inner / name])
    assert available_ram() > 2**18 + 2**17


def test_what_torch_keeps_on_a_device_and_does_not_use_is_free(monkeypatch):
    """After a training torch holds all it ever needed: 7 GB, of which 1 GB is in use, beside 2 GB that nobody has."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (2, 10))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 7)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 1)
    assert memory.free_memory(torch.device("cuda")) == 8
