"""Training continues where it was, and never from something else."""

import json
from importlib.metadata import version

import numpy as np
import pytest
import torch

from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.checkpoint import checkpoints, verified
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.resuming import resume, save
from dualfair.supernet.training.sampling import SAMPLERS
from dualfair.supernet.training.trainer import Trainer

RECIPE = Recipe(epochs=0.8, batch=8, lr=0.1, margin_warmup=0.5, ema=0.9)


def trainer_of(skeleton, faces, *, sampler="strict", recipe=RECIPE, seed=0):
    torch.manual_seed(seed)
    space = dpn_space("dpn81", sum(skeleton.blocks), operations=("pre3", "pre1", "pre5"))
    return Trainer(
        Supernet(skeleton, 12, space.heads), faces, recipe, seed=seed, space=space, sampler=SAMPLERS[sampler]
    )


@pytest.mark.parametrize("sampler", ["strict", "sequential", "uniform"])
def test_an_interrupted_run_ends_with_the_very_same_file(tiny, faces, sampler, tmp_path):
    whole = trainer_of(tiny, faces, sampler=sampler)
    list(whole.run())
    half = trainer_of(tiny, faces, sampler=sampler)
    list(half.run(until=5))
    save(half, tmp_path / "half")
    continued = trainer_of(tiny, faces, sampler=sampler)
    torch.manual_seed(123)
    assert resume(continued, tmp_path / "half").step == 5 and continued.step == 5
    list(continued.run())
    assert (whole.operation_updates == continued.operation_updates).all()
    hashes = {verified(save(trainer, tmp_path / "end")).sha256 for trainer in (whole, continued)}
    assert len(hashes) == 1


def test_everything_that_moves_is_in_a_checkpoint(tiny, faces, tmp_path):
    """Whatever is left out of the state of a trainer in the middle of its run, the end is another."""
    half = trainer_of(tiny, faces)
    list(half.run(until=3))
    state = half.state_dict()
    begun = trainer_of(tiny, faces).state_dict()
    list(half.run())
    end = half.state_dict()
    for part in ("network", "optimizer", "average", "augmentation"):
        other = trainer_of(tiny, faces)
        other.load_state_dict({**state, part: begun[part]})
        list(other.run())
        weights = other.network.state_dict()
        assert any(not torch.equal(value, weights[name]) for name, value in end["network"].items()), part
    for part in json.loads(state["dealt"]):
        dealt = {**json.loads(state["dealt"]), part: json.loads(begun["dealt"])[part]}
        if dealt == json.loads(state["dealt"]):
            continue
        other = trainer_of(tiny, faces)
        other.load_state_dict({**state, "dealt": json.dumps(dealt)})
        list(other.run())
        assert other.state_dict()["dealt"] != end["dealt"] or any(
            not torch.equal(value, other.network.state_dict()[name]) for name, value in end["network"].items()
        ), part


def test_a_checkpoint_of_another_network_or_configuration_is_refused(tiny, faces, tmp_path):
    save(trainer_of(tiny, faces), tmp_path, configuration="this")
    small = tiny.resized(blocks=(1, 1))
    with pytest.raises(ValueError, match=r"step-00000000.pt does not fit this network: Unexpected key.*trunk"):
        resume(trainer_of(small, faces), tmp_path, configuration="this")
    with pytest.raises(ValueError, match=r"step-00000000.pt belongs to a training with another configuration"):
        resume(trainer_of(tiny, faces), tmp_path, configuration="that")


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_continued(tiny, faces, tmp_path):
    trainer = trainer_of(tiny, faces)
    for step in (1, 2):
        list(trainer.run(until=step))
        save(trainer, tmp_path)
    (tmp_path / "step-00000002.pt").write_bytes(b"nothing")
    lines = []
    continued = trainer_of(tiny, faces)
    assert resume(continued, tmp_path, say=lines.append).step == 1
    assert "step-00000002.pt is damaged (it has 7 bytes" in lines[0]
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000001.pt"]
    assert resume(trainer_of(tiny, faces), tmp_path / "empty") is None


def test_another_machine_is_told_because_of_rounding(tiny, faces, tmp_path):
    path = save(trainer_of(tiny, faces), tmp_path)
    lines = []
    resume(trainer_of(tiny, faces), tmp_path, say=lines.append)
    assert lines == []
    record = path.with_suffix(".json")
    about = json.loads(record.read_text())
    record.write_text(json.dumps({**about, "threads": 64, "versions": {**about["versions"], "torch": "2.0.0"}}))
    resume(trainer_of(tiny, faces), tmp_path, say=lines.append)
    here = torch.get_num_threads()
    assert f"written with threads 64 (here {here}), torch 2.0.0 (here {version('torch')})" in lines[0]


def test_a_checkpoint_of_another_device_continues(tiny, faces, tmp_path):
    """A generator of a GPU has a state of 16 bytes, one of a CPU of 5,056."""
    trainer, continued = trainer_of(tiny, faces), trainer_of(tiny, faces)
    list(trainer.run(until=1))
    state = trainer.state_dict()
    continued.load_state_dict({**state, "augmentation": torch.zeros(16, dtype=torch.uint8)})
    list(continued.run())
    assert continued.step == continued.steps
    path = save(trainer, tmp_path)
    record = path.with_suffix(".json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "device": "cuda"}))
    lines = []
    resume(trainer_of(tiny, faces), tmp_path, say=lines.append)
    assert "written with device cuda (here cpu): numbers may differ in rounding from an unbroken run" in lines[0]


def test_losses_are_compared_once_margins_have_grown(tiny, faces, tmp_path):
    trainer = trainer_of(tiny, faces)
    losses = []
    for _ in trainer.run():
        losses.append(verified(save(trainer, tmp_path, loss=2.5)).loss)
    assert losses == [None] * 4 + [2.5] * (trainer.steps - 4)
    assert verified(save(trainer, tmp_path, loss=float(np.nan))).loss is None
