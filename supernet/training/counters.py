"""How often training updated every operation and every head: the evidence of strict fairness, kept in checkpoints."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, eq=False)
class UpdateCounters:
    """Updates of operations, int64 of shape (blocks, positions, codes), and of heads by name.

    `skipped` steps, whose loss or gradient was not finite, updated nothing.
    """

    operations: np.ndarray
    heads: Mapping[str, int]
    skipped: int

    def state_dict(self) -> dict[str, object]:
        """The counters as JSON has them, under the keys that a checkpoint keeps them by."""
        return {
            "skipped": self.skipped,
            "operation_updates": self.operations.tolist(),
            "head_updates": dict(self.heads),
        }

    @classmethod
    def from_state(cls, state: Mapping) -> Self:
        """The counters whose `state_dict` is among the values of `state`. Raises ValueError where they are not."""
        try:
            operations = np.asarray(state["operation_updates"], dtype=np.int64)
            heads = {str(head): int(updates) for head, updates in state["head_updates"].items()}
            return cls(operations, heads, int(state["skipped"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"its counters of updates are damaged ({type(error).__name__}: {error})") from None

    @classmethod
    def of_checkpoint(cls, state: Mapping) -> Self:
        """The counters in what `Trainer.state_dict` gave. Raises ValueError where they are missing or damaged."""
        try:
            sampled = json.loads(state["dealt"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"its counters of updates are damaged ({type(error).__name__}: {error})") from None
        return cls.from_state(sampled)
