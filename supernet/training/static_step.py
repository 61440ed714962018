"""The gradients of a training step as one computation that is the same in every step: all paths advance together.

In a strict step every choice is used equally often, so only which path's tensor an operation gets changes from step to
step. Every position has as many slots as there are paths, and operations keep theirs; between two positions an index
brings the tensors into the slots where they are wanted. Such a computation can be recorded once and replayed without
Python (`recording`).

Shape legend: B images, P paths and slots, D embedding, O orders of the paths, M moves from one order to another.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.network import Network, Supernet
from dualfair.supernet.training.recording import Record, SideBySide
from dualfair.supernet.training.statistics import StepStatistics

Lesson = Sequence[Tensor]
"""What is to be learnt of a batch: labels (B,), and what else a loss is made of, a row an image."""
LossOf = Callable[[str, Tensor, Lesson, Tensor | float], tuple[Tensor, Tensor]]
"""(a head's name, features, the lesson, the margin's strength) -> the loss, a scalar, and the embedding (B, D)."""
Moves = dict[tuple[int, int], Tensor]
"""The index (2, P) of every move from one order to another, see `Slots.index`."""


@dataclass(frozen=True)
class Slots:
    """What the slots of a step hold: of every block and position P operations by their codes, then P heads, sorted."""

    codes: tuple[tuple[tuple[int, ...], ...], ...]
    heads: tuple[str, ...]

    @classmethod
    def of(cls, paths: Sequence[Genotype]) -> Self:
        """The slots that a step's paths fill."""
        blocks = zip(*(path.blocks for path in paths), strict=True)
        codes = tuple(tuple(tuple(sorted(row)) for row in zip(*block, strict=True)) for block in blocks)
        return cls(codes, tuple(sorted(path.head for path in paths)))

    @property
    def ends(self) -> list[int]:
        """How many positions there are up to the end of every block: the number of the order behind it."""
        return np.cumsum([len(block) for block in self.codes], dtype=int).tolist()

    @property
    def last(self) -> int:
        """The number of the order at the heads."""
        return sum(map(len, self.codes)) + 1

    def orders(self, paths: Sequence[Genotype]) -> np.ndarray:
        """Which path is in which slot: as given, at every position in turn, and at the heads; int64 (O, P).

        Raises ValueError for paths that do not fill these slots.
        """
        if Slots.of(paths) != self:
            raise ValueError(
                "a step as one graph needs a sampler that deals every choice equally often in every step, and this one "
                "deals other choices than in its first step; train with --step paths"
            )
        keys = [[path.blocks[block][position] for path in paths] for block, position in self._positions()]
        keys.append([path.head for path in paths])
        return np.vstack([np.arange(len(paths)), *(np.argsort(row, kind="stable") for row in keys)])

    def moves(self) -> list[tuple[int, int]]:
        """From which order to which tensors are moved, by the numbers of `orders`; M pairs.

        Paths move from position to position and to the heads, what a block carries from its beginning to its end, and
        losses to the order given. Nothing moves up to the first position: all paths begin alike.
        """
        along = [(place, place + 1) for place in range(1, self.last)]
        return [*along, *zip(self.ends, self.ends[1:], strict=False), (self.last, 0)]

    def index(self, paths: Sequence[Genotype]) -> Tensor:
        """For every move the slots that tensors come from, and those that their gradients come from: int64 (M, 2, P).

        Raises ValueError as `orders` does.
        """
        orders = self.orders(paths)
        slots = np.argsort(orders, axis=1)
        forth_and_back = [
            [slots[source][orders[target]], slots[target][orders[source]]] for source, target in self.moves()
        ]
        return torch.from_numpy(np.array(forth_and_back))

    def _positions(self) -> list[tuple[int, int]]:
        return [(block, position) for block, row in enumerate(self.codes) for position in range(len(row))]


class StaticStep:
    """The gradients of steps whose paths always fill the same slots: those that the first call's paths fill.

    `loss_of` gives a path's loss behind its features, forward passes run inside `context()`, and `statistics` hears of
    them. With `record`, the computation is recorded at the first call and replayed from then on: inputs keep their
    shapes, and `.grad` are tensors that the next call overwrites. Without, it runs as it is written.
    """

    def __init__(
        self,
        network: Supernet | Network,
        loss_of: LossOf,
        statistics: StepStatistics,
        context: Callable[[], AbstractContextManager] = nullcontext,
        record: Record | None = None,
    ) -> None:
        self.network, self.loss_of, self.statistics, self.context = network, loss_of, statistics, context
        self.record = record
        self._slots: Slots | None = None
        # Of the paths of the last step: one network has the same in every step.
        self._last_index: tuple[Sequence[Genotype], Tensor] = ((), torch.empty(0))
        self.forget()

    def __call__(
        self, images: Tensor, lesson: Lesson, paths: Sequence[Genotype], margin: float, loss_scale: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Put the gradients of the sum of the paths' losses, times `loss_scale`, into `.grad`, which has to be empty;
        returns losses and mean embedding norms, (P,) each.

        Raises ValueError for paths that do not fill the slots of the first call's.
        """
        if self._slots is None:
            self._slots, self._first = Slots.of(paths), paths[0]
            self._side_by_side = SideBySide(images.device, len(paths))
        # As precise as the numbers: they are rounded where they are used, to what the tensors there are.
        factors = torch.tensor([margin, loss_scale], dtype=torch.float64)
        if paths != self._last_index[0]:
            self._last_index = list(paths), self._slots.index(paths).to(images.device)
        inputs = [images, *lesson, factors.to(images.device), self._last_index[1]]
        if self.record is None:
            return self._compute(*inputs)
        if self._replay is None:
            self._begin_recording(inputs)
        for place, value in zip(self._inputs, inputs, strict=True):
            place.copy_(value)
        self._replay()
        for weight, gradient in self._gradients:
            weight.grad = gradient
        return self._outputs

    def forget(self) -> None:
        """Give back the memory of what was recorded; the next call records anew."""
        self._replay, self._inputs, self._outputs, self._gradients = None, [], (), []

    def _begin_recording(self, inputs: Sequence[Tensor]) -> None:
        self._inputs = [value.clone() for value in inputs]
        weights = list(self.network.parameters())

        def compute() -> tuple[Tensor, Tensor]:
            # Where there is no gradient yet it is written, not added to: a replay overwrites it. It has to overwrite
            # the statistics as well, whatever ran before it was recorded.
            for weight in weights:
                weight.grad = None
            self.statistics.use_anew()
            return self._compute(*self._inputs)

        self._outputs, self._replay = self.record(compute)
        self._gradients = [(weight, weight.grad) for weight in weights if weight.grad is not None]

    def _compute(self, images: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        *lesson, factors, index = inputs
        margin, loss_scale = factors.unbind()
        moves = dict(zip(self._slots.moves(), index, strict=True))
        with self.context():
            begun = self._run(self.network.trunk.begin, self.statistics.stages_of(None), images)
            results = [
                self._run(self.loss_of, [self.network.heads[head].neck], head, features, lesson, margin)
                for head, features in zip(self._slots.heads, self._features(begun, moves), strict=True)
            ]
        losses = torch.stack([loss for loss, _ in results])
        norms = torch.stack([embedding.detach().norm(dim=1).mean() for _, embedding in results])
        (loss_scale * losses.sum()).backward()
        as_given, _ = moves[self._slots.last, 0]
        return losses.detach().index_select(0, as_given), norms.index_select(0, as_given)

    def _features(self, begun: tuple[Tensor, ...], moves: Moves) -> list[Tensor]:
        """The features of all paths, in the order of the heads."""
        trunk, paths = self.network.trunk, len(self._slots.heads)
        if paths == 1:
            return [self._run(trunk.finish, trunk.stages(self._first.blocks), begun, self._first.blocks)]
        x, carried = begun
        slots, beside = [x] * paths, [carried] * paths
        place = 0
        for block, positions, end in zip(trunk.blocks, self._slots.codes, self._slots.ends, strict=True):
            start = place
            if start > 0:
                shortcut = [] if block.shortcut is None else [block.shortcut]
                beside = [self._run(block.carry, shortcut, tensor) for tensor in slots]
            for position, codes in enumerate(positions):
                slots = self._moved(slots, moves, place, place + 1)
                slots = self._operate([block.operation(position, code) for code in codes], slots)
                place += 1
            beside = self._moved(beside, moves, start, end)
            slots = [block.join(kept, tensor) for kept, tensor in zip(beside, slots, strict=True)]
        slots = self._moved(slots, moves, place, place + 1)
        return [self._run(trunk.tail, [trunk.tail], tensor) for tensor in slots]

    def _operate(self, operations: Sequence[nn.Module], slots: Sequence[Tensor]) -> list[Tensor]:
        """Every slot's operation on its tensor, operations side by side; several slots of one take turns."""
        places = {
            operation: [n for n, other in enumerate(operations) if other is operation] for operation in operations
        }

        def outputs(operation: nn.Module) -> list[Tensor]:
            return [self._run(operation, [operation], slots[place]) for place in places[operation]]

        rows = self._side_by_side([partial(outputs, operation) for operation in places])
        return [output for row in rows for output in row]

    @staticmethod
    def _moved(tensors: list[Tensor], moves: Moves, source: int, target: int) -> list[Tensor]:
        """Tensors in the order of another place; up to the first position all paths have the same."""
        return moved(tensors, moves[source, target]) if source > 0 else tensors

    def _run(self, call: Callable, stages: Sequence[nn.Module], *inputs: object) -> object:
        self.statistics.use(stages)
        return call(*inputs)


def moved(tensors: Sequence[Tensor], index: Tensor) -> list[Tensor]:
    """P tensors (B, C, H, W) in another order: `index` (2, P) has the places that they come from, and those that their
    gradients come from. They keep the layout channels last."""
    stacked = torch.stack([tensor.permute(0, 2, 3, 1) for tensor in tensors])
    return [tensor.permute(0, 3, 1, 2) for tensor in _Permuted.apply(stacked, *index).unbind()]


class _Permuted(torch.autograd.Function):
    """Rows in another order. Backward selects by the inverse order: no sums, hence the same bits every time."""

    @staticmethod
    def forward(ctx, rows: Tensor, forth: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return rows.index_select(0, forth)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return gradient.index_select(0, back), None, None
