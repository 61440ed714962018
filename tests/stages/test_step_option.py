"""--step: how a training step goes is said, kept and refused where it cannot be."""

import pytest

BRIEFLY = ("--size", 32, "--epochs", 1, "--batch", 16, "--checkpoint-every", 0)


@pytest.fixture
def faces(tmp_path, dualfair):
    made = dualfair("faces", "synth", "--out", tmp_path / "faces", "--identities", 24, "--images", 4, "--size", 32)
    assert made.status == 0, made.err
    return tmp_path / "faces"


def test_a_training_says_how_its_steps_go_and_goes_on_as_it_began(tmp_path, faces, dualfair):
    train = ("train", "--faces", faces, "--out", tmp_path / "run", *BRIEFLY)
    begun = dualfair(*train, "--step", "graph")
    assert begun.status == 0, begun.err
    assert "Steps run as one graph (as asked for)" in begun.out
    assert "Every operation got exactly 3 updates" in begun.out
    steps = sorted((tmp_path / "run/train").glob("step-*.pt"))
    for newest in (steps[-1], steps[-1].with_suffix(".json")):
        newest.unlink()
    again = dualfair(*train)
    assert again.status == 0, again.err
    assert "continuing from step 2, as one graph (as this training began)" in again.out
    assert sorted((tmp_path / "run/train").glob("step-*.pt"))[-1].name == steps[-1].name


def test_without_it_a_cpu_goes_path_by_path(tmp_path, faces, dualfair):
    trained = dualfair("train", "--faces", faces, "--out", tmp_path / "run", *BRIEFLY)
    assert "Steps run path by path (a CPU gains nothing by all paths at once)" in trained.out


def test_a_sampler_whose_steps_differ_cannot_be_a_graph(tmp_path, faces, dualfair):
    refused = dualfair(
        "train", "--faces", faces, "--out", tmp_path / "run", *BRIEFLY, "--sampler", "uniform", "--step", "graph"
    )
    assert refused.status == 2
    assert refused.err.strip().endswith(
        "--step graph cannot be: the sampler does not deal every choice equally often in every step; leave it out"
    )


def test_a_network_by_itself_may_be_a_graph_too(tmp_path, faces, dualfair):
    run = tmp_path / "run"
    assert dualfair("train", "--faces", faces, "--out", run, *BRIEFLY).status == 0
    searched = dualfair("search", "--run", run, "--population", 4, "--generations", 1, "--calibrate", 32)
    assert searched.status == 0, searched.err
    trained = dualfair("retrain", "--run", run, "--seeds", 1, "--controls", 0, "--epochs", 1, "--step", "graph")
    assert trained.status == 0, trained.err
    assert "seed 0: steps run as one graph (as asked for)" in trained.out
