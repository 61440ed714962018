"""A comparison of searches keeps to the constraints of the run's own search."""

import json

from dualfair.evaluation.cost import macs
from dualfair.evaluation.latency import Latencies
from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.space import SPACES

NANO = skeleton_of("nano").resized(32)


def test_only_networks_within_the_constraints_are_compared(dualfair, tmp_path, monkeypatch):
    faces, run = tmp_path / "faces", tmp_path / "run"
    dualfair("faces", "synth", "--out", faces, "--identities", 24, "--images", 4, "--size", 32)
    quick = ("--size", 32, "--epochs", 0.5, "--batch", 8, "--space", "dpn81-shared")
    assert dualfair("train", "--faces", faces, "--out", run, *quick).status == 0
    monkeypatch.setattr(Latencies, "_time", lambda self, genotype: macs(genotype, NANO) / 1e6)
    small = ("--population", 5, "--generations", 2, "--calibrate", 16, "--confirm-candidates", 2)
    limits = ("--max-macs", 1_000_000, "--max-latency", 0.5)
    searched = dualfair("search", "--run", run, *small, *limits)
    assert searched.status == 0, searched.err

    scored, score = [], InheritedScorer.__call__
    monkeypatch.setattr(InheritedScorer, "__call__", lambda self, asked: scored.extend(asked) or score(self, asked))
    compared = dualfair("compare", "--run", run, "--seeds", 2, "--population", 3, "--generations", 2)
    assert compared.status == 0, compared.err
    assert "within limits: at most 1,000,000" in compared.out
    assert scored and all(macs(genotype, NANO) <= 500_000 for genotype in scored)
    within = sum(macs(genotype, NANO) <= 500_000 for genotype in SPACES["dpn81-shared"].enumerate())
    assert f"6 of {within} evaluations" in compared.out
    assert json.loads((run / "studies/compare/comparison.json").read_text())["networks"] == within
