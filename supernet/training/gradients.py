"""The gradients of a batch, the way that a step engine says: path by path and part by part, or as one graph.

A lesson is what is to be learnt of a batch: labels (B,), and where there is a teacher its embeddings (B, D).

Shape legend: B images, P paths, D embedding.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.network import Network, Supernet
from dualfair.supernet.training.distillation import disagreement
from dualfair.supernet.training.non_finite import first_non_finite
from dualfair.supernet.training.optimisation import classification_loss
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.recipe import GRAPH, PATHS, Recipe
from dualfair.supernet.training.recording import record_on_cuda
from dualfair.supernet.training.static_step import Lesson, StaticStep
from dualfair.supernet.training.statistics import StepStatistics
from dualfair.supernet.training.step import accumulate
from dualfair.supernet.training.step_engine import StepEngine
from dualfair.supernet.training.synchronised_norm import SynchronisedNorms


class BatchGradients:
    """Puts the gradients of a batch along some paths into `.grad`, and tells `statistics` of the forward passes.

    `parts` are the numbers of images that go one after the other, of this rank's; the ranks of `team` share the images.
    Forward passes compute in `half` precision, None: in float32.
    """

    def __init__(
        self,
        network: Supernet | Network,
        recipe: Recipe,
        statistics: StepStatistics,
        device: torch.device,
        half: torch.dtype | None,
        team: ProcessGroup,
        parts: Sequence[int],
        engine: StepEngine,
    ) -> None:
        self.network, self.recipe, self.statistics = network, recipe, statistics
        self.parts, self.engine = list(parts), engine
        # Functions without this object in them: they would keep it, and all of its memory, alive.
        self._loss = partial(path_loss, network, recipe)
        # Operations side by side must not read what autocast kept on another's stream.
        cached = engine.name == PATHS
        self._context = partial(_forward_context, device.type, half, cached, team)
        record = partial(record_on_cuda, device) if device.type == "cuda" else None
        self.static_step = StaticStep(network, self._loss, statistics, self._context, record)

    def __call__(
        self,
        images: Tensor,
        lesson: Lesson,
        paths: Sequence[Genotype],
        margin: float,
        share: float = 1.0,
        loss_scale: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Losses, times the `share` of the batch that these images are, and mean embedding norms of the paths, (P,)
        each; gradients are those of the losses times `loss_scale`."""
        if self.engine.name == GRAPH:
            return self.static_step(images, lesson, paths, margin, loss_scale)

        def loss_along(lesson: Lesson, weight: float, path: Genotype, features: Tensor) -> tuple[Tensor, Tensor]:
            loss, embedding = self._loss(path.head, features, lesson, margin)
            return share * weight * loss, embedding

        losses, norms = [], []
        for part, of_part in self._parts_of(images, lesson):
            weight = len(part) / len(images)
            loss_of = partial(loss_along, of_part, weight)
            recompute = self.recipe.recompute
            results = accumulate(
                self.network, part, paths, loss_of, self.statistics, self._context, loss_scale, recompute
            )
            losses.append(results[0])
            norms.append(weight * results[1])
        return torch.stack(losses).sum(0), torch.stack(norms).sum(0)

    def first_non_finite(self, images: Tensor, lesson: Lesson, path: Genotype, margin: float) -> str | None:
        """The first layer along a path whose output is not finite; None where all are."""

        def forward() -> None:
            for part, of_part in self._parts_of(images, lesson):
                with self._context():
                    self._loss(path.head, self.network.trunk(part, path.blocks), of_part, margin)

        return first_non_finite(self.network, forward)

    def forget(self) -> None:
        """Give back the memory of what was recorded."""
        self.static_step.forget()

    def _parts_of(self, images: Tensor, lesson: Lesson) -> Iterator[tuple[Tensor, Lesson]]:
        lessons = zip(*(tensor.split(self.parts) for tensor in lesson), strict=True)
        return zip(images.split(self.parts), lessons, strict=True)


def path_loss(
    network: Supernet | Network, recipe: Recipe, head: str, features: Tensor, lesson: Lesson, margin: float | Tensor
) -> tuple[Tensor, Tensor]:
    """The mean loss of images behind their features, and their embeddings; `margin` is the share of its full size.

    A teacher's share of it is disagreement with its embeddings; where that is all of it, nothing is classified.
    """
    labels, *taught = lesson
    scale, share = recipe.scale_of(head), recipe.teacher_share if taught else 0.0
    if share == 1:
        embedding = network.heads[head].neck(features)
        return disagreement(embedding, *taught, scale), embedding
    classification = network.heads[head](features, labels, recipe.margin_of(head) * margin)
    loss = classification_loss(classification.logits(scale), labels, recipe)
    loss = loss + recipe.penalty_of(head) * classification.penalty
    if share:
        loss = (1 - share) * loss + share * disagreement(classification.embedding, *taught, scale)
    return loss, classification.embedding


@contextmanager
def _forward_context(device: str, half: torch.dtype | None, cached: bool, team: ProcessGroup) -> Iterator[None]:
    """How forward passes run: in half precision on CUDA, and with the statistics of the whole batch."""
    norms = SynchronisedNorms(team) if team.size > 1 else nullcontext()
    with torch.autocast(device, dtype=half, enabled=half is not None, cache_enabled=cached), norms:
        yield
