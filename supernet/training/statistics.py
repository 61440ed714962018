"""Running statistics of batch normalisation in training: one move a step, to the mean over the step's paths.

Gradients of shared weights are means over the paths that used them; this is the same for statistics. It does not
depend on the order of the paths, nor on which rank took which.

Shape legend: V values, of all running means and variances of a step together.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dualfair.supernet.genotype import Genotype


class StepStatistics:
    """The running statistics of a network through a step: `begin`, `use` before norms run, then `end`.

    Only norms that some path of the step runs through are looked at.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._all = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        self._norms_of_stage: dict[nn.Module, tuple[nn.Module, ...]] = {}
        self._uses: Counter[nn.Module] = Counter()
        # Of the paths that were asked about last: a step asks several times.
        self._last_uses: tuple[tuple, Counter[nn.Module]] = ((), Counter())
        self.norms: list[nn.Module] = []

    def begin(self, paths: Sequence[Genotype]) -> None:
        """Remember what there is. `paths` are all of the step, whoever takes them."""
        used = self._uses_of(paths)
        norms = [norm for norm in self._all if norm in used]
        if norms != self.norms:
            self._look_at(norms)
        self._before = torch.cat(self._buffers)
        self._tracked_before = torch.stack(self._tracked)
        self.use_anew()

    def use(self, stages: Iterable[nn.Module]) -> None:
        """Average the norms of layers that are about to run over their uses in this step."""
        for stage in stages:
            for norm in self._norms_in(stage):
                self._uses[norm] += 1
                norm.momentum = 1 / self._uses[norm]

    def use_anew(self) -> None:
        """Forget the uses of this step: its forward passes run once more, as when a step is recorded."""
        self._uses.clear()

    def sums(self, paths: Sequence[Genotype]) -> Tensor:
        """The batch statistics of this rank, which took these paths, added up over its uses of each norm: (V,)."""
        uses = self._spread(self._uses_of(paths))
        return torch.where(uses > 0, uses * torch.cat(self._buffers), 0.0)

    def end(self, sums: Tensor, paths: Sequence[Genotype], ranks: int = 1, sharers: int = 1) -> None:
        """Move on to the means of `sums` (V,), those of all `ranks` added up.

        Each of the `paths` was taken by `sharers` ranks together, which saw the same statistics; what all paths begin
        with, by every rank.
        """
        uses = self._spread(self._uses_of(paths, ranks, sharers))
        means = (sums / uses).to(self._before)
        self._write(torch.lerp(self._before, means, self._momentum), self._tracked_before + 1)

    def undo(self) -> None:
        """Go back to what there was at `begin`."""
        self._write(self._before, self._tracked_before)

    def _look_at(self, norms: list[nn.Module]) -> None:
        self.norms = norms
        self._buffers = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
        self._tracked = [norm.num_batches_tracked for norm in norms]
        self._momenta = {norm: norm.momentum for norm in norms}
        self._values = torch.tensor([2 * norm.num_features for norm in norms])
        # Steps are much alike: what was spread out last is likely to be wanted again.
        self._last_spread: tuple[list[float], Tensor] = ([], torch.empty(0))
        momenta = torch.tensor(list(self._momenta.values())).repeat_interleave(self._values)
        self._momentum = momenta.to(self._buffers[0])

    def _write(self, values: Tensor, tracked: Tensor) -> None:
        with torch.no_grad():
            torch._foreach_copy_(self._buffers, values.split([buffer.numel() for buffer in self._buffers]))
            torch._foreach_copy_(self._tracked, tracked.unbind())
        for norm in self._uses:
            norm.momentum = self._momenta[norm]

    def _spread(self, uses: Counter) -> Tensor:
        """Uses of every norm as a number for each of its values, (V,)."""
        counts = [float(uses[norm]) for norm in self.norms]
        if counts != self._last_spread[0]:
            spread = torch.tensor(counts).repeat_interleave(self._values).to(self._buffers[0])
            self._last_spread = counts, spread
        return self._last_spread[1]

    def _uses_of(self, paths: Sequence[Genotype], ranks: int = 1, sharers: int = 1) -> Counter:
        """Uses of every norm along paths, each taken by so many `sharers`; by all `ranks` of what paths begin with."""
        asked = (tuple(paths), ranks, sharers)
        if asked != self._last_uses[0]:
            uses: Counter[nn.Module] = Counter()
            for path, users in ((None, ranks), *((path, sharers) for path in paths)):
                for stage in self.stages_of(path):
                    for norm in self._norms_in(stage):
                        uses[norm] += users
            self._last_uses = asked, uses
        return self._last_uses[1]

    def stages_of(self, path: Genotype | None) -> Iterator[nn.Module]:
        """The layers that a path runs through; for None those of what all paths begin with."""
        yield from self.network.trunk.stages(None if path is None else path.blocks)
        if path is not None:
            yield self.network.heads[path.head].neck

    def _norms_in(self, stage: nn.Module) -> tuple[nn.Module, ...]:
        if stage not in self._norms_of_stage:
            norms = (module for module in stage.modules() if isinstance(module, _BatchNorm))
            self._norms_of_stage[stage] = tuple(norm for norm in norms if norm.track_running_stats)
        return self._norms_of_stage[stage]
