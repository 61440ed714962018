"""What networks compute in while they are scored; there need not be a GPU, whose settings are looked at."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evaluation.scoring import embedding, scorer
from dualfair.evaluation.scoring.embedding import computed_in, network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer, population_answers
from dualfair.runs.options import ProtocolOptions, measurement
from dualfair.runs.records.codec import decode, encode
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space

SPACE = dpn_space("dpn81", 3)


def settings():
    return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision


@pytest.fixture
def autocasts(monkeypatch):
    """Every autocast that was asked for: device, type, and whether it is on."""
    seen = []

    @contextmanager
    def autocast(device, dtype, enabled):
        seen.append((device, dtype, enabled))
        yield

    monkeypatch.setattr(embedding.torch, "autocast", autocast)
    return seen


@pytest.mark.parametrize(
    ("precision", "convolutions", "half"), [("float32", "ieee", False), ("tf32", "tf32", False), ("bf16", "tf32", True)]
)
def test_on_cuda_settings_are_the_precisions_and_put_back(precision, convolutions, half, autocasts):
    first = torch.backends.cudnn.conv.fp32_precision
    for before in ("tf32", "ieee"):
        torch.backends.cudnn.conv.fp32_precision = before
        try:
            outside = settings()
            with pytest.raises(RuntimeError, match="within"), computed_in(precision, torch.device("cuda")):
                assert settings() == (convolutions, "ieee")
                raise RuntimeError("within")
            assert settings() == outside
        finally:
            torch.backends.cudnn.conv.fp32_precision = first
    assert autocasts == [("cuda", torch.bfloat16, half)] * 2


def test_on_a_cpu_nothing_changes(autocasts):
    outside = settings()
    with computed_in("bf16", torch.device("cpu")):
        assert settings() == outside
    assert autocasts == []


def test_bfloat16_scores_are_float32_and_near_those_of_float32(tiny, faces, monkeypatch):
    torch.manual_seed(0)
    supernet, genotypes = Supernet(tiny, 4).eval(), SPACE.sample_distinct(3, np.random.default_rng(0))
    calibration = network_input(faces, np.arange(0, 96, 2), "cpu")
    plain = population_answers(supernet, genotypes, faces, calibration)
    asked = []

    def on_a_cpu(precision, device):
        asked.append(precision)
        return torch.autocast("cpu", torch.bfloat16)

    monkeypatch.setattr(scorer, "computed_in", on_a_cpu)
    half = population_answers(supernet, genotypes, faces, calibration, precision="bf16")
    for genotype in genotypes:
        assert half[genotype].dtype == np.float32
        cosines = (half[genotype] * plain[genotype]).sum(axis=1)
        assert 0.98 < cosines.mean() < 1 - 1e-6
    InheritedScorer(supernet, faces, None, EvaluationProtocol(), precision="float32")(genotypes[:1])
    assert asked == ["bf16", "float32"]


def test_the_precision_is_part_of_what_a_score_was_measured_with_and_recorded_where_it_is_asked_for():
    usual, half = ProtocolOptions(), ProtocolOptions(precision="bf16")
    assert measurement(usual, "w", "f", "all") != measurement(half, "w", "f", "all")
    assert "precision" not in encode(usual)
    assert decode(ProtocolOptions, encode(usual)) == usual
    assert decode(ProtocolOptions, encode(half)) == half
    with pytest.raises(ValueError, match="precision must be one of float32, tf32, bf16, got 'fp16'"):
        ProtocolOptions(precision="fp16")
