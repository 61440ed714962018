"""All paths at once: the very gradients of the plain loop, recorded or not, and nothing that depends on the step."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.skeleton import SKELETONS
from dualfair.supernet.space import ChoiceBlock, SearchSpace, dpn_space, layer_space
from dualfair.supernet.training import recording
from dualfair.supernet.training.distillation import disagreement
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.recording import SideBySide, record_on_cuda
from dualfair.supernet.training.sampling import SAMPLERS, StrictFairSampler
from dualfair.supernet.training.static_step import Slots, StaticStep, moved
from dualfair.supernet.training.statistics import StepStatistics
from dualfair.supernet.training.trainer import NonFinite, Trainer

BOUNDS = {torch.float64: 1e-10, torch.float32: 5e-5}


def irregular_space():
    """Nine choices at the first position, three at the others: every operation of these has three slots."""
    genes = [(block, position) for block in range(3) for position in range(3)]
    first = ChoiceBlock("first", tuple("abcdefghi"), (genes[0],))
    others = [ChoiceBlock(f"g{gene}", ("pre1", "raw3", "post5"), (gene,), (1, 3, 8)) for gene in genes[1:]]
    return SearchSpace([first, *others, ChoiceBlock("head", ("arcface", "magface", "cosface"))])


SPACES = {
    "dpn81": dpn_space("dpn81", 3),
    "dpn729": dpn_space("dpn729", 3),
    "shared": dpn_space("dpn81-shared", 3),
    "three operations": dpn_space("dpn81", 3, operations=("pre3", "pre1", "pre5")),
    "irregular": irregular_space(),
}


def fake_record(compute):
    """What a CUDA graph does, on a CPU: outputs and gradients stay where they are, replays write over them."""
    for _ in range(2):
        compute()
    outputs = compute()
    weights = [weight for weight in closed_over(compute) if weight.grad is not None]
    gradients = [weight.grad for weight in weights]

    def replay():
        for place, value in zip(outputs, compute(), strict=True):
            place.copy_(value)
        for weight, gradient in zip(weights, gradients, strict=True):
            gradient.copy_(weight.grad)

    return outputs, replay


def closed_over(compute):
    """The weights that a recorded computation writes the gradients of."""
    return next(cell.cell_contents for cell in compute.__closure__ if isinstance(cell.cell_contents, list))


def loss_of(network):
    def loss(head, features, lesson, margin):
        labels, taught = lesson
        result = network.heads[head](features, labels, margin)
        loss = torch.nn.functional.cross_entropy(result.logits(16), labels) + result.penalty
        return loss + disagreement(result.embedding, taught, 16), result.embedding

    return loss


def plain_loop(network, images, lesson, paths, margin):
    """Whole forward and backward passes, one path after the other."""
    losses, norms = [], []
    for path in paths:
        loss, embedding = loss_of(network)(path.head, network.trunk(images, path.blocks), lesson, margin)
        loss.backward()
        losses.append(loss.detach())
        norms.append(embedding.detach().norm(dim=1).mean())
    return torch.stack(losses), torch.stack(norms)


@pytest.mark.parametrize("record", [None, fake_record])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, torch.float64) for name in SPACES), ("dpn81", torch.float32), ("irregular", torch.float32)],
)
def test_gradients_are_those_of_the_plain_loop(tiny, name, dtype, record):
    """Over three steps, so that recorded tensors are used again with other images, paths and margins.

    Bounds are relative; where the plain loop's own rounding is more than that, as much as that is allowed.
    """
    torch.manual_seed(0)
    space = SPACES[name]
    plain = Supernet(tiny, 5, space.heads).to(dtype).to(memory_format=torch.channels_last).train()
    network = copy.deepcopy(plain)
    exact = plain if dtype == torch.float64 else copy.deepcopy(plain).double()
    statistics, sampler = StepStatistics(network), StrictFairSampler(space.sizes)
    step = StaticStep(network, loss_of(network), statistics, record=record)
    for margin in (0.1, 0.3, 1.0):
        images = torch.randn(8, 3, 24, 24, dtype=dtype).contiguous(memory_format=torch.channels_last)
        labels, paths = torch.randint(0, 5, (8,)), [space.decode(row) for row in sampler.deal()]
        lesson = labels, torch.randn(8, tiny.embedding, dtype=dtype)
        for each in (plain, network, exact):
            each.zero_grad(set_to_none=True)
        expected = plain_loop(plain, images, lesson, paths, margin)
        if exact is not plain:
            plain_loop(exact, images.double(), (labels, lesson[1].double()), paths, margin)
        statistics.begin(paths)
        results = step(images, lesson, paths, margin)
        statistics.undo()
        for values, expected_values in zip(results, expected, strict=True):
            assert torch.allclose(values, expected_values, rtol=BOUNDS[dtype], atol=0)
        for (weight_name, weight), other, truth in zip(
            plain.named_parameters(), network.parameters(), exact.parameters(), strict=True
        ):
            assert (weight.grad is None) == (other.grad is None), weight_name
            if weight.grad is not None:
                rounding = (weight.grad.double() - truth.grad).norm()
                bound = max(BOUNDS[dtype] * weight.grad.norm(), rounding, 1e-12)
                assert (weight.grad - other.grad).norm() <= bound, weight_name


def test_layers_that_carry_their_shortcuts_themselves_have_those_gradients_too(monkeypatch):
    """Of three paths, one of which may skip a layer."""
    few = replace(
        SKELETONS["nas-bench-macro"], widths=(8, 12), strides=(2, 2), blocks=(1, 2), features=16, embedding=16
    )
    space = layer_space(3, [operation.name for operation in few.operations], ("softmax",))
    monkeypatch.setitem(SPACES, "layers", space)
    for record in (None, fake_record):
        test_gradients_are_those_of_the_plain_loop(few.resized(24), "layers", torch.float64, record)
    fair = StrictFairSampler(layer_space(8, space.choice_blocks[0].choices, ("softmax",)).sizes)
    assert len(fair.deal()) == 3


def test_the_bounds_above_are_missed_by_a_path_in_another_ones_slot(tiny, monkeypatch):
    monkeypatch.setattr(Slots, "index", lambda slots, paths: torch.arange(9).expand(len(slots.moves()), 2, 9))
    with pytest.raises(AssertionError):
        test_gradients_are_those_of_the_plain_loop(tiny, "dpn81", torch.float64, None)


def test_every_operation_reads_the_path_that_names_it():
    space = dpn_space("dpn729", 2)
    paths = [space.decode(row) for row in StrictFairSampler(space.sizes, 3).deal()]
    slots = Slots.of(paths)
    orders = slots.orders(paths)
    assert slots.codes == ((tuple(range(9)),) * 3,) * 2 and slots.heads == tuple(sorted(space.heads * 3))
    assert orders[0].tolist() == list(range(9)) and orders.shape == (8, 9)
    for place, (block, position) in enumerate([(b, p) for b in range(2) for p in range(3)], 1):
        assert [paths[n].blocks[block][position] for n in orders[place]] == list(range(9))
    assert [paths[n].head for n in orders[7]] == list(slots.heads)
    for (source, target), (forth, back) in zip(slots.moves(), slots.index(paths).numpy(), strict=True):
        assert (orders[source][forth] == orders[target]).all()
        assert (forth[back] == np.arange(9)).all()


def test_paths_that_fill_other_slots_are_refused():
    space = dpn_space("dpn81", 2)
    sampler = StrictFairSampler(space.sizes)
    paths = [space.decode(row) for row in sampler.deal()]
    slots = Slots.of(paths)
    with pytest.raises(ValueError, match=r"deals every choice equally often .*; train with --step paths"):
        slots.orders([paths[0], *paths[:-1]])


def test_moved_tensors_keep_channels_last_and_give_gradients_back_by_the_inverse():
    tensors = [torch.full((2, 3, 4, 4), float(n)).contiguous(memory_format=torch.channels_last) for n in range(3)]
    leaves = [tensor.requires_grad_() for tensor in tensors]
    results = moved(leaves, torch.tensor([[2, 0, 1], [1, 2, 0]]))
    assert [result[0, 0, 0, 0].item() for result in results] == [2, 0, 1]
    assert all(result.is_contiguous(memory_format=torch.channels_last) for result in results)
    sum((n + 1) * result.sum() for n, result in enumerate(results)).backward()
    assert [leaf.grad[0, 0, 0, 0].item() for leaf in leaves] == [2, 3, 1]


def trainer_of(network, space, faces, step, sampler="strict", **recipe):
    recipe = Recipe(**{"epochs": 2, "batch": 16, "lr": 1e-3, "ema": 0.9, **recipe})
    return Trainer(network, faces, recipe, seed=0, space=space, sampler=SAMPLERS[sampler], step=step)


def networks(tiny, faces, kind):
    torch.manual_seed(0)
    space = dpn_space("dpn81", 3) if kind == "supernet" else None
    if kind == "supernet":
        return Supernet(tiny, faces.identity_count, space.heads), space
    if kind == "network":
        return build("101:magface", tiny, faces.identity_count), None
    return build_backbone("timm.resnet10t:cosface", tiny, faces.identity_count), None


@pytest.mark.parametrize("kind", ["supernet", "network", "backbone"])
def test_a_training_is_the_same_either_way(tiny, faces, kind):
    """Counters exactly, everything else within rounding: weights, averages and statistics of BN, norms before
    clipping."""
    trainers, norms = [], []
    for step in ("paths", "graph"):
        network, space = networks(tiny, faces, kind)
        trainer = trainer_of(network, space, faces, step)
        norms.append([list(progress.gradient_norms.values()) for progress in trainer.run(until=6)])
        trainers.append(trainer)
    paths, graph = trainers
    assert (paths.engine.name, graph.engine.name) == ("paths", "graph")
    assert (paths.operation_updates == graph.operation_updates).all() and paths.head_updates == graph.head_updates
    assert np.allclose(*norms, rtol=1e-3)
    for of in (lambda trainer: trainer.network, lambda trainer: trainer.average.module):
        for (name, value), other in zip(of(paths).state_dict().items(), of(graph).state_dict().values(), strict=True):
            assert torch.allclose(value.double(), other.double(), rtol=1e-3, atol=1e-4), name


def test_a_graph_resumes_bit_for_bit_and_as_it_began(tiny, faces):
    whole = trainer_of(*networks(tiny, faces, "supernet"), faces, "graph")
    list(whole.run())
    half = trainer_of(*networks(tiny, faces, "supernet"), faces, "graph")
    list(half.run(until=5))
    continued = trainer_of(*networks(tiny, faces, "supernet"), faces, "auto")
    assert str(continued.engine) == "path by path (a CPU gains nothing by all paths at once)"
    continued.load_state_dict(half.state_dict())
    assert str(continued.engine) == "as one graph (as this training began)"
    list(continued.run())
    for (name, value), other in zip(
        whole.network.state_dict().items(), continued.network.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other), name
    asked = trainer_of(*networks(tiny, faces, "supernet"), faces, "paths")
    asked.load_state_dict(half.state_dict())
    assert asked.engine.name == "paths"
    state = half.state_dict()
    older = {**state, "dealt": json.dumps({**json.loads(state["dealt"]), "step_engine": "paths"})}
    continued.load_state_dict(older)
    assert continued.engine.name == "paths"


def test_what_runs_before_a_step_is_recorded_does_not_show_in_the_statistics(tiny, faces):
    """Of batch normalisation: a recorded step writes the means of its own passes, warmed up or not."""
    recorded, written = (trainer_of(*networks(tiny, faces, "supernet"), faces, "graph") for _ in range(2))
    recorded.gradients.static_step.record = fake_record
    for trainer in (recorded, written):
        list(trainer.run(until=3))
    expected = written.network.state_dict()
    for name, value in recorded.network.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_recording_is_forgotten_behind_the_last_step(tiny, faces):
    network, space = networks(tiny, faces, "supernet")
    trainer = trainer_of(network, space, faces, "graph")
    trainer.gradients.static_step.record = fake_record
    steps = trainer.run()
    next(steps)
    recorded = trainer.gradients.static_step._replay
    next(steps)
    assert recorded is not None and trainer.gradients.static_step._replay is recorded
    steps.close()
    assert trainer.gradients.static_step._replay is None and not trainer.gradients.static_step._gradients
    list(trainer.run())
    assert (trainer.operation_updates == trainer.steps).all()


def test_the_operation_at_fault_is_named(tiny, faces):
    network, space = networks(tiny, faces, "supernet")
    trainer = trainer_of(network, space, faces, "graph", non_finite_limit=2)
    with torch.no_grad():
        network.trunk.blocks[1].positions[2]["raw5"].conv.weight.fill_(float("nan"))
    with pytest.raises(
        NonFinite, match=r"2 steps in a row had a non-finite loss; path .*trunk\.blocks\.1\.positions\.2"
    ):
        list(trainer.run())


class FakeCuda:
    """Streams that write down who waits for whom, and graphs that write down when they were replayed."""

    def __init__(self, monkeypatch):
        self.events, self.current, self.streams = [], None, 0
        self.current = self.Stream("main")
        for name in ("Stream", "stream", "device", "current_stream", "graph", "CUDAGraph", "current_device"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch.random, "fork_rng", lambda devices: self.note("generator kept"))

    def note(self, *event):
        self.events.append(event)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def Stream(self, name=None):
        stream = SimpleNamespace(name=name if isinstance(name, str) else f"s{self.streams}", device="cuda")
        self.streams += 0 if isinstance(name, str) else 1
        stream.wait_stream = lambda other: self.note(stream.name, "waits for", other.name)
        return stream

    def stream(self, stream):
        return self.note("on", stream.name)

    def device(self, device):
        return self.note("device", device)

    def current_stream(self, device=None):
        return self.current

    def graph(self, graph, stream, capture_error_mode):
        return self.note("recorded", stream.name, capture_error_mode)

    def CUDAGraph(self):
        return SimpleNamespace(replay=lambda: self.note("replayed"))

    def current_device(self):
        return 0


def test_calls_side_by_side_wait_for_what_was_before_and_are_waited_for(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    side_by_side = SideBySide(SimpleNamespace(type="cuda"), 3)
    results = side_by_side([lambda n=n: cuda.note("call", n) and n for n in range(2)])
    assert results == [0, 1]
    assert cuda.events == [
        ("s0", "waits for", "main"),
        ("on", "s0"),
        ("call", 0),
        ("s1", "waits for", "main"),
        ("on", "s1"),
        ("call", 1),
        ("main", "waits for", "s0"),
        ("main", "waits for", "s1"),
    ]
    assert SideBySide(torch.device("cpu"), 3).streams == [] == SideBySide(SimpleNamespace(type="cuda"), 1).streams


def test_a_recording_warms_up_apart_and_replays_on_its_device(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    outputs, replay = record_on_cuda("cuda:1", lambda: cuda.note("computed") and ("outputs",))
    replay()
    assert outputs == ("outputs",)
    computed = [("computed",)]
    assert cuda.events == [
        ("device", "cuda:1"),
        ("s0", "waits for", "main"),
        ("on", "s0"),
        ("generator kept",),
        *recording._WARM_UP * computed,
        ("main", "waits for", "s0"),
        ("recorded", "s0", "thread_local"),
        *computed,
        ("device", "cuda:1"),
        ("replayed",),
    ]
