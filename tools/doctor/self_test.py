"""A run in small that shows whether DualFair computes what it promises on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PEOPLE, IMAGES, SIZE = 24, 4, 32
STEPS, BATCH = 3, 8
SCORED = 3
"""Subnets that are compared and scored."""


@dataclass
class SelfTest:
    """The checks in their order; each builds on what the ones before it made in `folder`, on `device` by its name."""

    folder: Path
    device: str
    made: dict = field(default_factory=dict)

    @property
    def checks(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        """Name and check: it returns what it saw, and raises ValueError where something is not as promised."""
        return (
            ("faces", self.faces),
            ("training", self.training),
            ("inheritance", self.inheritance),
            ("scoring", self.scoring),
        )

    def faces(self) -> str:
        """Generate faces into the folder and open them again."""
        from dualfair.runs.devices import choose_device
        from dualfair.stages.generate import generate
        from dualfair.supernet.images.face_set import open_splits
        from dualfair.supernet.images.store import open_store
        from dualfair.supernet.images.synthetic.people import SyntheticFaces

        self.made["device"] = choose_device(self.device)
        generate(SyntheticFaces(identities=PEOPLE, images=IMAGES, size=SIZE), self.folder / "faces")
        self.made["splits"] = open_splits(
            open_store(self.folder / "faces"), group_column="group", fractions=(0.5, 0.25, 0.25), seed=0, size=SIZE
        )
        return f"{PEOPLE * IMAGES} faces of {PEOPLE} people generated, written and read"

    def training(self) -> str:
        """Train a supernet for some steps of strict fairness and count the updates."""
        from dualfair.runs.devices import describe, seeded
        from dualfair.supernet.network import Supernet
        from dualfair.supernet.skeleton import skeleton_of
        from dualfair.supernet.space import dpn_space
        from dualfair.supernet.training.recipe import Recipe
        from dualfair.supernet.training.trainer import Trainer

        space, faces = dpn_space("dpn81"), self.made["splits"]["train"]
        recipe = Recipe(epochs=10 * STEPS, batch=BATCH)
        with seeded(0):
            supernet = Supernet(skeleton_of("nano").resized(SIZE), faces.identity_count, space.heads)
            trainer = Trainer(supernet, faces, recipe, seed=0, space=space, device=self.made["device"])
            list(trainer.run(until=STEPS))
        self.made["supernet"], self.made["space"] = supernet.eval(), space
        return f"{equal_updates(trainer)} on {describe(self.made['device'])}"

    def inheritance(self) -> str:
        """Compare subnets with the standalone networks that inherit their weights, bit for bit."""
        import torch

        supernet, images = self.made["supernet"], self._images()
        for genotype in self._genotypes():
            alone = supernet.extract(genotype).to(memory_format=torch.channels_last).eval()
            with torch.no_grad():
                same_bits(str(genotype), supernet(images, genotype), alone(images))
        return f"{SCORED} subnets equal their standalone networks bit for bit"

    def scoring(self) -> str:
        """Score the same subnets twice."""
        from dualfair.evaluation.protocol import EvaluationProtocol
        from dualfair.evaluation.scoring.scorer import InheritedScorer

        faces, protocol = self.made["splits"]["validation"], EvaluationProtocol()
        scorer = InheritedScorer(self.made["supernet"], faces, self._images(), protocol)
        first, second = scorer(self._genotypes()), scorer(self._genotypes())
        same_scores(first, second)
        return f"{SCORED} subnets scored twice have equal scores"

    def _genotypes(self) -> list:
        import numpy as np

        return self.made["space"].sample_distinct(SCORED, np.random.default_rng(0))

    def _images(self):
        import numpy as np

        from dualfair.evaluation.scoring.embedding import network_input

        return network_input(self.made["splits"]["train"], np.arange(2 * BATCH), self.made["device"])


def equal_updates(trainer) -> str:
    """The counters in words. Raises ValueError where operations, or heads, were not updated equally often."""
    counts, heads = trainer.operation_updates, set(trainer.head_updates.values())
    if trainer.skipped:
        raise ValueError(f"{trainer.skipped} of {STEPS} steps had a loss or gradient that is not finite")
    if counts.min() != counts.max() or counts.max() != STEPS or len(heads) != 1:
        raise ValueError(
            f"updates are not equal: operations have {counts.min()} to {counts.max()}, heads {min(heads)} to "
            f"{max(heads)}, after {STEPS} steps"
        )
    return f"{STEPS} steps, every operation has exactly {STEPS} updates and every head {heads.pop()}"


def same_bits(name: str, inherited, alone) -> None:
    """Raise ValueError unless two outputs are equal and finite."""
    import torch

    if not torch.isfinite(inherited).all():
        raise ValueError(f"subnet {name} has outputs that are not finite")
    if not torch.equal(inherited, alone):
        gap = (inherited - alone).abs().max().item()
        raise ValueError(f"subnet {name} and its standalone network differ, by {gap:.3g} at most")


def same_scores(first, second) -> None:
    """Raise ValueError unless two arrays of scores are equal; NaN equals NaN."""
    import numpy as np

    if not np.array_equal(first, second, equal_nan=True):
        raise ValueError(f"scoring twice gave scores that differ by {np.nanmax(np.abs(first - second)):.3g} at most")
