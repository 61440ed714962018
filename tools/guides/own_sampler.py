"""A sampler of your own: which paths a step of the supernet's training takes.

    dualfair train --faces faces --out run --sampler own_sampler:Padded

It is made from the sizes of the choice blocks and a seed. `paths_per_step` paths are passed through the supernet before
an update, `updates_per_batch` updates are made for every batch of an epoch. `deal` gives the paths of a step, a row of
choices each, and the state is what a checkpoint keeps, so that an interrupted training continues as if it had not been.
"""

import numpy as np


class Padded:
    """Strict fairness as FairNAS pads it: every choice once a step, and random repeats where a block has fewer."""

    updates_per_batch = 1

    def __init__(self, sizes, seed):
        self.sizes, self.paths_per_step = sizes, max(sizes)
        self.rng = np.random.default_rng(seed)

    def deal(self):
        """The paths of a step, integers of shape (paths_per_step, choice blocks)."""
        return np.stack([self._column(size) for size in self.sizes], axis=1)

    def _column(self, size):
        padding = self.rng.integers(size, size=self.paths_per_step - size)
        return self.rng.permutation(np.concatenate([np.arange(size), padding]))

    def state_dict(self):
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state):
        self.rng.bit_generator.state = state["rng"]
