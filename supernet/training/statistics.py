"""Running statistics of batch normalisation in training: one move a step, to the mean over the step's paths.

Gradients of shared weights are means over the paths that used them; this is the same for statistics. It does not
depend on the order of the paths, nor on which rank took which.

Shape legend: V values, of all running means and variances of a step together.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dualfair.supernet.genotype import Genotype

_REMEMBERED = 100
"""Paths whose norms are kept at hand."""


class StepStatistics:
    """The running statistics of a network through a step: `begin`, `use` before each forward pass, then `end`.

    Only norms that some path of the step runs through are looked at.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._all = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        self._path_norms: dict[Genotype | None, list[nn.Module]] = {}
        self._uses: Counter[nn.Module] = Counter()
        self.norms: list[nn.Module] = []

    def begin(self, paths: Sequence[Genotype]) -> None:
        """Remember what there is. `paths` are all of the step, whoever takes them."""
        used = {norm for path in (None, *paths) for norm in self._norms_of(path)}
        norms = [norm for norm in self._all if norm in used]
        if norms != self.norms:
            self._look_at(norms)
        self._before = torch.cat(self._buffers)
        self._tracked_before = torch.stack(self._tracked)
        self._uses.clear()

    def use(self, path: Genotype | None) -> None:
        """Average the norms of a path, or for None of what all paths begin with, over their uses in this step."""
        for norm in self._norms_of(path):
            self._uses[norm] += 1
            norm.momentum = 1 / self._uses[norm]

    def sums(self) -> Tensor:
        """This rank's batch statistics, added up over its uses of each norm: (V,)."""
        uses = self._spread(self._uses)
        return torch.where(uses > 0, uses * torch.cat(self._buffers), 0.0)

    def end(self, sums: Tensor, paths: Sequence[Genotype], ranks: int = 1, sharers: int = 1) -> None:
        """Move on to the means of `sums` (V,), those of all `ranks` added up.

        Each of the `paths` was taken by `sharers` ranks together, which saw the same statistics; what all paths begin
        with, by every rank.
        """
        total: Counter[nn.Module] = Counter(dict.fromkeys(self._norms_of(None), ranks))
        for path in paths:
            total.update(dict.fromkeys(self._norms_of(path), sharers))
        means = (sums / self._spread(total)).to(self._before)
        self._write(torch.lerp(self._before, means, self._momentum), self._tracked_before + 1)

    def undo(self) -> None:
        """Go back to what there was at `begin`."""
        self._write(self._before, self._tracked_before)

    def _look_at(self, norms: list[nn.Module]) -> None:
        self.norms = norms
        self._buffers = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
        self._tracked = [norm.num_batches_tracked for norm in norms]
        self._momenta = [norm.momentum for norm in norms]
        self._values = torch.tensor([2 * norm.num_features for norm in norms])
        # Steps are much alike: what was spread out last is likely to be wanted again.
        self._last_spread: tuple[list[float], Tensor] = ([], torch.empty(0))
        momenta = torch.tensor(self._momenta).repeat_interleave(self._values)
        self._momentum = momenta.to(self._buffers[0])

    def _write(self, values: Tensor, tracked: Tensor) -> None:
        with torch.no_grad():
            torch._foreach_copy_(self._buffers, values.split([buffer.numel() for buffer in self._buffers]))
            torch._foreach_copy_(self._tracked, tracked.unbind())
        for norm, momentum in zip(self.norms, self._momenta, strict=True):
            norm.momentum = momentum

    def _spread(self, uses: Counter) -> Tensor:
        """Uses of every norm as a number for each of its values, (V,)."""
        counts = [float(uses[norm]) for norm in self.norms]
        if counts != self._last_spread[0]:
            spread = torch.tensor(counts).repeat_interleave(self._values).to(self._buffers[0])
            self._last_spread = counts, spread
        return self._last_spread[1]

    def _norms_of(self, path: Genotype | None) -> list[nn.Module]:
        """The norms that a path runs through, each once."""
        if path not in self._path_norms:
            if len(self._path_norms) > _REMEMBERED:
                self._path_norms.clear()
            self._path_norms[path] = list(self._find_norms(path))
        return self._path_norms[path]

    def _find_norms(self, path: Genotype | None) -> Iterator[nn.Module]:
        yield from self.network.trunk.norms(None if path is None else path.blocks)
        if path is not None:
            yield self.network.heads[path.head].neck.bn
