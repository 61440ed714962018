"""Spaces, skeletons, operations, heads and disparities of one's own: they run, and faults in them are told."""

import re
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dualfair.conformance import (
    check_disparity,
    check_head,
    check_objective,
    check_operation,
    check_sampler,
    check_space,
    spaces,
)
from dualfair.evaluation.cost import expected_macs, macs
from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.evaluation.objectives import OBJECTIVES
from dualfair.evaluation.scoring.sharing import work
from dualfair.evaluation.scoring.trie import build_trie, leaves
from dualfair.guides import inverted_residual
from dualfair.supernet.heads import MARGINS, arcface_margin
from dualfair.supernet.network import Supernet
from dualfair.supernet.operations import Convolution, Place
from dualfair.supernet.skeleton import SKELETONS
from dualfair.supernet.space import ChoiceBlock, SearchSpace, dpn_space
from dualfair.supernet.training.sampling import SAMPLERS
from dualfair.supernet.trunk import SearchedBlock, Trunk

GUIDES = Path(__file__).parents[2] / "tools" / "guides"
NANO = SKELETONS["nano"].resized(32)


@pytest.mark.parametrize("name", DISPARITIES)
def test_the_built_in_disparities_conform(name):
    assert check_disparity(DISPARITIES[name]) == []


def _gap(values, groups):
    names = np.unique(groups)
    return float(abs(values[groups == names[0]].mean() - values[groups == names[-1]].mean()))


def _sorts_in_place(values, groups):
    values.sort()
    return 0.0


def _by_first_label(values, groups):
    return float(values[groups == max(groups, key=lambda name: (name.startswith("z"), name))].mean()) + len(groups[0])


@pytest.mark.parametrize(
    ("disparity", "said"),
    [
        (lambda values, groups: -_gap(values, groups), "it is 0 where all groups fare alike, -"),
        (lambda values, groups: np.array([1.0]), r"it returns array\(\[1\.\]\) .* return a finite float"),
        (lambda values, groups: float("nan"), "it returns nan"),
        (lambda values, groups: values[0], "depends on the order of the probes"),
        (_sorts_in_place, "changes the arrays that it is given"),
        (_by_first_label, "depends on the names of the groups"),
        (lambda values: 0.0, "it raises TypeError"),
    ],
)
def test_a_faulty_disparity_is_told_what_is_wrong(disparity, said):
    (fault, *_) = check_disparity(disparity)
    assert re.search(said, fault), fault


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_built_in_objectives_conform(name):
    assert check_objective(OBJECTIVES[name]) == []


def _first_norm(faces):
    return float(np.linalg.norm(faces.embeddings[0]))


def _normalises_in_place(faces):
    faces.embeddings /= np.linalg.norm(faces.embeddings, axis=1, keepdims=True)
    return float(faces.embeddings.std())


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (_first_norm, "it depends on the order of the images"),
        (_normalises_in_place, "changes the arrays that it is given"),
        (lambda faces: float("nan"), r"it is undefined \(NaN\) for 80 images"),
        (lambda faces: faces.embeddings, "it raises ValueError: .* must return one number"),
        (lambda faces, far: far, "further arguments need defaults"),
        (lambda values, groups: float("nan"), "it returns nan"),
    ],
)
def test_a_faulty_objective_is_told_what_is_wrong(objective, said):
    (fault, *_) = check_objective(objective)
    assert re.search(said, fault), fault


@pytest.mark.parametrize("name", MARGINS)
def test_the_built_in_heads_conform(name):
    assert check_head(MARGINS[name]) == []


@pytest.mark.parametrize(
    ("margin", "said"),
    [
        (lambda c, n, s: (c - 0.3, c.new_zeros(())), "multiply the margin by the strength"),
        (lambda c, n, s: (c + 0.3 * s, c.new_zeros(())), "it raises some cosines"),
        (lambda c, n, s: (torch.cos(torch.acos(c) + 0.5 * s), c.new_zeros(())), "a better cosine gets a worse logit"),
        (lambda c, n, s: (c - s * 0.1 * (1 - c.square()).sqrt(), c.new_zeros(())), "gradient is not finite"),
        (lambda c, n, s: (c.mean(), c.new_zeros(())), "it returns a tensor of shape () for cosines"),
        (lambda c, n, s: (c - s * 0.3, 0.0), "its penalty is a float"),
        (lambda c, n, s: (c.detach() - s * 0.3, c.new_zeros(())), "its gradient does not reach the cosines"),
        (lambda c, n, s: (c - s * 0.3 - 0 * (n - 22).sqrt(), c.new_zeros(())), "not finite at some norm"),
        (lambda c, n: c, "called as margin(cosines, norms, strength) it raises TypeError"),
        (lambda c, n, s: c - 0.3 * s, "it returns a tensor of shape (41,); return two things"),
    ],
)
def test_a_faulty_head_is_told_what_is_wrong(margin, said):
    faults = check_head(margin)
    assert any(said in fault for fault in faults), faults


class _Identity:
    name = "skip"

    def parameters(self, place):
        return 0

    def macs(self, place):
        return 0

    def build(self, place):
        return nn.Identity()


class _Forgets(nn.Module):
    """A layer with weights that it does not use."""

    def __init__(self, place):
        super().__init__()
        self.conv = nn.Conv2d(place.in_channels, place.out_channels, 1, place.stride, bias=False)
        self.unused = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return self.conv(x)


@dataclass(frozen=True)
class _Changed(Convolution):
    more: int = 0
    module: type | None = None

    def parameters(self, place):
        return super().parameters(place) + self.more

    def build(self, place):
        return self.module(place) if self.module else super().build(place)


def test_an_operation_without_weights_conforms_where_the_shape_stays():
    assert check_operation(_Identity(), Place(4, 4, 1, 1, 7)) == []
    (fault,) = check_operation(_Identity())
    assert "gives (3, 16, 9, 9); expected (3, 24, 5, 5)" in fault


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (_Changed("wrong", 3, "pre", more=1), "parameters() says 3,489, counted 3,488"),
        (_Changed("forgets", 1, "", module=_Forgets, more=3), "no gradient reaches unused"),
        (_Changed("two words", 1, ""), "no name of Python"),
        (_Changed("random", 1, "", module=lambda place: _Noisy()), "gives two outputs for the same input"),
    ],
)
def test_a_faulty_operation_is_told_what_is_wrong(operation, said):
    faults = check_operation(operation)
    assert any(said in fault for fault in faults), faults


class _Noisy(nn.Module):
    def forward(self, x):
        return torch.rand(x.shape[0], 24, 5, 5)


@pytest.mark.parametrize("name", ["dpn81-shared", "dpn729"])
def test_the_built_in_spaces_conform(name):
    assert check_space(dpn_space(name), NANO) == []


def test_a_space_that_names_another_operation_than_its_code_is_told():
    blocks = [ChoiceBlock(f"b{b}", ("pre3", "raw3"), tuple((b, p) for p in range(3)), codes=(0, 6)) for b in range(4)]
    (fault,) = check_space(SearchSpace([*blocks, ChoiceBlock("head", ("cosface",))]), NANO)
    assert fault == "choice block 'b0' calls code 6 'raw3'; operation 6 is 'post3'"


def test_a_skeleton_whose_ends_cost_something_else_is_told():
    @dataclass(frozen=True, kw_only=True)
    class Miscounted(type(NANO)):
        def tail_cost(self):
            parameters, macs = super().tail_cost()
            return parameters, macs + 5

    skeleton = Miscounted(**{field: getattr(NANO, field) for field in NANO.__dataclass_fields__})
    (fault,) = check_space(dpn_space("dpn81"), skeleton)
    assert "every operation agrees, so look at stem_cost(), tail_cost()" in fault


def test_state_that_paths_share_is_found():
    class Remembers(SearchedBlock):
        def join(self, carried, x):
            self.calls = getattr(self, "calls", 0) + 1
            return x + self.calls

    @dataclass(frozen=True, kw_only=True)
    class Leaky(type(NANO)):
        def make_trunk(self, candidates):
            trunk = super().make_trunk(candidates)
            blocks = [
                Remembers(block.places, self.named(row)) for block, row in zip(trunk.blocks, candidates, strict=True)
            ]
            for block, own in zip(blocks, trunk.blocks, strict=True):
                block.join = lambda carried, x, own=own, block=block: own.join(carried, x) + Remembers.join(block, 0, 0)
                block.shortcut = own.shortcut
            return Trunk(trunk.stem, blocks, trunk.tail)

    skeleton = Leaky(**{field: getattr(NANO, field) for field in NANO.__dataclass_fields__})
    (fault,) = check_space(dpn_space("dpn81"), skeleton)
    assert "is not its standalone network" in fault


class _Dealt:
    """A training of dpn81 of 3 steps, 27 paths: every operation in use was updated 3 times, every head 9 times."""

    def __init__(self):
        self.operation_updates = np.full((4, 3, 9), 3)
        self.head_updates = {"arcface": 9, "cosface": 9, "adaface": 9}
        self.step, self.paths_per_step, self.skipped = 3, 9, 0


def test_updates_that_are_not_equal_are_found():
    def faults(trained, space=None):
        return spaces._faults_of_updates(trained, space or dpn_space("dpn81"))

    assert faults(_Dealt()) == []
    trained = _Dealt()
    trained.operation_updates[1, 1, 0] = 2
    (fault,) = faults(trained)
    assert fault == "choice block 'block2.middle': updates from 2 to 3 in 27 paths; expected 3"
    trained = _Dealt()
    trained.head_updates["arcface"] = 10
    (fault,) = faults(trained)
    assert fault == "choice block 'head': updates from 9 to 10 in 27 paths; expected 9"
    trained.skipped = 1
    assert faults(trained) == ["1 of 3 steps had a loss or gradient that is not finite"]
    two_heads = SearchSpace([ChoiceBlock("a", tuple("123456789")), ChoiceBlock("head", ("arcface", "cosface"))])
    trained = _Dealt()
    trained.head_updates = {"arcface": 13, "cosface": 14}
    assert faults(trained, two_heads) == []
    trained.head_updates = {"arcface": 12, "cosface": 15}
    assert faults(trained, two_heads)[0].endswith("updates from 12 to 15 in 27 paths; expected 13 to 14")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the worked examples and a few faces, where commands are typed."""
    for example in GUIDES.glob("*.py"):
        shutil.copy(example, tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for example in GUIDES.glob("*.py"):
        sys.modules.pop(example.stem, None)


@pytest.mark.slow
def test_the_example_space_conforms_and_runs_all_four_stages(folder, dualfair):
    plugged = ("--skeleton", "inverted_residual:skeleton", "--space", "inverted_residual:space")
    checked = dualfair("check", *plugged)
    assert checked.status == 0, checked.out + checked.err
    assert "(2,592 networks) on skeleton inverted_residual:skeleton, 48 px: conforms" in checked.out
    assert dualfair("faces", "synth", "--out", "faces", "--identities", 30, "--images", 4, "--size", 32).status == 0
    train = dualfair("train", "--faces", "faces", "--out", "run", *plugged, "--size", 32, "--epochs", 1, "--batch", 12)
    assert "Every operation got exactly 6 updates" in train.out, train.err
    search = dualfair("search", "--run", "run", "--population", 4, "--generations", 2, "--calibrate", 40)
    assert "8 genotypes, 0 of them known before" in search.out, search.err
    again = dualfair("retrain", "--run", "run", "--epochs", 1, "--seeds", 1, "--controls", 0, "--random", 3)
    assert "networks x 1 seeds from scratch" in again.out, again.err
    study = dualfair("correlate", "--run", "run")
    assert "tau" in study.out, study.err
    report = dualfair("report", "run")
    assert "Report: report/report.html" in report.out, report.err
    trained = next((folder / "run/retrain").glob("*/seed-0"))
    result = dualfair("evaluate", "--network", trained, "--faces", "faces", "--out", "result", "--resamples", 20)
    assert result.status == 0, result.err


def test_a_tail_with_work_of_its_own_is_run_and_counted_once_a_path():
    skeleton, space = inverted_residual.skeleton, inverted_residual.space
    genotypes = [
        space.parse(text) for text in ("0-1-2-3:cosface", "0-1-2-3:arcface", "0-1-2-4:cosface", "5-0-0-0:cosface")
    ]
    counted = []

    def count(module, inputs, output):
        counted.append(output.shape[2:].numel() * module.weight.numel())

    nodes = build_trie(Supernet(skeleton, 0, space.heads).eval(), genotypes, None)
    waiting = [*nodes]
    while waiting:
        node = waiting.pop()
        waiting += node.children
        for module in node.stage.module.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.register_forward_hook(count)
    with torch.no_grad():
        outputs = list(leaves(nodes, (torch.zeros(1, 3, 48, 48), None)))
    assert len(outputs) == 4 and work(genotypes, skeleton).shared == sum(counted)
    everything = SearchSpace([block if block.name == "head" else ChoiceBlock(block.name, block.choices[:2])
                              for block in space.choice_blocks])  # fmt: skip
    mean = np.mean([macs(genotype, skeleton) for genotype in everything.enumerate()])
    assert expected_macs(everything, skeleton) == pytest.approx(mean)


def test_an_own_operation_joins_the_built_in_spaces(folder, dualfair):
    checked = dualfair("check", "--skeleton", "own_operation:skeleton")
    assert checked.status == 0, checked.out + checked.err
    assert "space dpn81 (300,000,000 networks)" in checked.out and "conforms" in checked.out
    drawn = dualfair("show", "929:cosface", "--skeleton", "own_operation:skeleton")
    assert "separable7 pre5 separable7" in drawn.out, drawn.err


def test_an_own_head_is_searched_retrained_and_opened_again(folder, dualfair):
    checked = dualfair("check", "--heads", "cosface,own_head:normface,own_head:sphereface")
    assert checked.status == 0, checked.out + checked.err
    assert dualfair("faces", "synth", "--out", "faces", "--identities", 30, "--images", 4, "--size", 32).status == 0
    heads = ("--heads", "cosface,own_head:normface")
    train = dualfair("train", "--faces", "faces", "--out", "run", *heads, "--size", 32, "--epochs", 1, "--batch", 12)
    assert "heads: cosface" in train.out and "normface" in train.out, train.err
    found = dualfair("search", "--run", "run", "--population", 2, "--generations", 1, "--calibrate", 24)
    assert found.status == 0, found.err
    made = dualfair("retrain", "--run", "run", "--genotype", "101:normface", "--epochs", 1, "--seeds", 1)
    assert made.status == 0, made.err
    trained = "run/retrain/101-101-101-101_normface/seed-0"
    result = dualfair("evaluate", "--network", trained, "--faces", "faces", "--out", "result", "--resamples", 20)
    assert result.status == 0, result.err
    unknown = dualfair("train", "--faces", "faces", "--out", "other", "--heads", "cosface,normface")
    assert unknown.status == 2 and "unknown head 'normface'" in unknown.err
    twice = dualfair("train", "--faces", "faces", "--out", "other", "--heads", "own_head:normface,normface")
    assert twice.status == 2 and "heads must be different names" in twice.err


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        ("cosine - 0.3 * strength", "it returns a tensor of shape (41,); return two things"),
        ("cosine.mean(), torch.zeros(())", "it returns a tensor of shape () for cosines of shape (41,)"),
        ("cosine, 0.0", "its penalty is a float; return a tensor without dimensions"),
        (
            "cosine + torch.ones(2), torch.zeros(())",
            "called as margin(cosines, norms, strength) it raises RuntimeError",
        ),
    ],
)
def test_a_head_that_training_would_stumble_over_is_refused_before_anything_is_written(
    folder, dualfair, returned, problem
):
    (folder / "bad.py").write_text(f"import torch\n\n\ndef mine(cosine, norm, strength):\n    return {returned}\n")
    assert dualfair("faces", "synth", "--out", "faces", "--identities", 12, "--images", 2, "--size", 32).status == 0
    trained = dualfair("train", "--faces", "faces", "--out", "run", "--size", 32, "--heads", "cosface,bad:mine")
    (line,) = trained.err.splitlines()
    assert trained.status == 2 and f"head 'bad:mine': {problem}" in line
    assert not (folder / "run/train").exists()
    checked = dualfair("check", "--heads", "bad:mine")
    assert checked.status == 1 and f"head bad:mine: {problem}" in checked.out
    sys.modules.pop("bad")


def test_spaces_and_skeletons_that_do_not_fit_each_other_are_refused(folder, dualfair):
    plain = dualfair("check", "--skeleton", "inverted_residual:skeleton", "--space", "dpn81")
    assert plain.status == 2 and "space dpn81 is of blocks of 3 positions, those of skeleton" in plain.err
    layers = dualfair("check", "--skeleton", "nano", "--space", "layers")
    assert layers.status == 2 and "layers is of blocks of 1 position, those of skeleton nano have 3-3-3-3" in layers.err
    other = dualfair("check", "--space", "inverted_residual:space")
    assert other.status == 2 and "does not fit skeleton nano: genotype" in other.err
    nothing = dualfair("check")
    assert nothing.status == 2 and "nothing to check" in nothing.err
    wrong = dualfair("check", "--skeleton", "inverted_residual:space")
    assert wrong.status == 2 and "is a SearchSpace; expected a dualfair.supernet.families.base.Skeleton" in wrong.err


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_built_in_samplers_conform(name):
    assert check_sampler(SAMPLERS[name]) == []


def test_an_own_sampler_is_checked_by_its_name(folder, dualfair):
    (folder / "mysampler.py").write_text(
        "from dualfair.supernet.training.sampling import UniformSampler\n\n\n"
        "class Forgetful(UniformSampler):\n    def load_state_dict(self, state):\n        pass\n"
    )
    checked = dualfair("check", "--sampler", "mysampler:Forgetful")
    assert checked.status == 1
    assert "sampler mysampler:Forgetful: for choice blocks of sizes (4, 4): it goes on with other paths" in checked.out
    assert dualfair("check", "--sampler", "sequential").out == "sampler sequential: conforms\n"
    sys.modules.pop("mysampler", None)


def test_a_fault_ends_a_check_with_status_1(folder, dualfair):
    (folder / "bad.py").write_text("def mean(values, groups):\n    return -float(max(values))\n")
    checked = dualfair("check", "--disparity", "bad:mean", "--disparity", "std")
    assert checked.status == 1
    assert "disparity bad:mean: it is" in checked.out and "disparity std: conforms" in checked.out
    own = dualfair(
        "check", "--objective", "own_objective:false_rejects", "--objective", "own_objective:tar_of_worst_group"
    )
    assert own.status == 0 and own.out.count("conforms") == 2, own.out + own.err
    sys.modules.pop("bad", None)


def test_an_own_operation_must_have_a_name_of_its_own():
    with pytest.raises(ValueError, match="two operations are named 'pre3'"):
        replace(NANO, operations=(*NANO.operations, Convolution("pre3", 7, "pre")))


def test_margins_of_the_example_head_are_what_the_text_says():
    sys.path.insert(0, str(GUIDES))
    try:
        import own_head
    finally:
        sys.path.remove(str(GUIDES))
    cosines = torch.linspace(-0.9, 0.9, 7)
    free, penalty = own_head.normface(cosines, torch.ones(7), 1.0)
    assert torch.equal(free, cosines) and penalty == 0
    held, _ = own_head.sphereface(cosines, torch.ones(7), 1.0)
    assert (held < cosines).all()
    assert not torch.allclose(held, arcface_margin(cosines, torch.ones(7), 1.0)[0])
    # On this device nothing has a value: what a GPU would be waited for raises.
    meta = [torch.empty(size, device="meta") for size in ((7,), (7,), ())]
    for margin in (own_head.normface, own_head.sphereface):
        assert margin(*meta)[0].shape == (7,)
