"""How many images are nearer than the nearest mate, counted on a CUDA device; equal to `metrics.identification`.

Shape legend: N images, D embedding, G gallery images, P probes, C probes at once, M most mates of one, K pairs.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from dualfair.evaluation.metrics.identification import CountNearer, count_nearer
from dualfair.evaluation.metrics.similarity import DENSE, GRID, Arrangement, rounding, sum_by_halves, tie_tolerance
from dualfair.supernet.memory import Batch, free_memory
from dualfair.supernet.tf32 import tensor_float32

_CHUNK = 2**27
"""Most pairs at once: with more a device is no faster, with fewer it waits for Python."""
_PAIR_BYTES = 64
"""A quarter of the free memory is used: cosines and masks are 16 bytes a pair, mates among them as much again."""
_FLOAT64 = ((8, 0), (9, 0), (10, 0))
"""CUDA capabilities of devices with units for products of float64."""
_PAIRS = 2**16
"""Pairs at once whose rows are multiplied one by one in float64."""


def counter_on(device: torch.device | str) -> CountNearer | None:
    """What counts on a device, for `identification.ranks`; None, numpy, unless it is a CUDA device."""
    return partial(count_on_device, device=device) if torch.device(device).type == "cuda" else None


def count_on_device(
    embeddings: np.ndarray, arranged: Arrangement, count: str = "images", *, device: torch.device | str
) -> np.ndarray:
    """`metrics.identification.count_nearer`, int64 (P,), computed on a device in float32 and, where that cannot decide,
    in float64; all in float64 where the device is as fast at that. Embeddings in float64 are left to numpy. Where
    memory runs out, fewer probes are compared at once."""
    if np.result_type(embeddings.dtype, np.float32) == np.float64:
        return count_nearer(embeddings, arranged, count)
    device = torch.device(device)
    exact = _multiplies_float64(device)
    units = _unit_rows(embeddings, device)
    units = units.double() if exact else units
    unit, probes = (units[torch.from_numpy(images).to(device)] for images in (arranged.gallery, arranged.probes))
    first, last, own = (
        torch.from_numpy(columns).to(device)[:, None]
        for columns in (arranged.bounds[arranged.codes], arranged.bounds[arranged.codes + 1], arranged.own)
    )
    sizes = np.diff(arranged.bounds)
    # As many columns as the largest identity has: smaller ones have their last instead of those beyond.
    steps = torch.arange(sizes.max(), device=device)
    identities = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)).to(device)
    counts = np.empty(len(probes), dtype=np.int64)

    def work(place: slice) -> None:
        cosines = probes[place] @ unit.T
        beyond = (mates := first[place] + steps) >= last[place]
        mates = torch.minimum(mates, last[place] - 1)
        of_mates = cosines.gather(1, mates).masked_fill_(beyond | (mates == own[place]), -torch.inf)
        others = cosines.scatter_(1, mates, -torch.inf)
        if exact:
            nearer = others >= of_mates.amax(1, keepdim=True) - tie_tolerance(np.float32)
        else:
            nearer = _nearer(others, probes[place], unit, _nearest(of_mates, mates, probes[place], unit))
        if count == "identities":
            hits = torch.zeros(len(nearer), len(sizes), dtype=torch.int32, device=device)
            nearer = hits.index_add_(1, identities, nearer.int()) > 0
        counts[place] = nearer.sum(1).cpu().numpy()

    rows = max(1, min(_CHUNK, free_memory(device) // _PAIR_BYTES) // len(unit))
    with tensor_float32(products=False, convolutions=False):
        Batch(rows).over(len(probes), work)
    return counts


def _multiplies_float64(device: torch.device) -> bool:
    """Whether a device has units for products of float64, as A100, H100, H200 and B200 have and others do not."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) in _FLOAT64


def _unit_rows(embeddings: np.ndarray, device: torch.device) -> Tensor:
    """`similarity.unit_rows` of all images, to the bit: sums in the same order, divisions, roots and roundings, which
    are exact everywhere."""
    # Tensors are made of arrays that may be written to.
    rows = torch.from_numpy(np.require(embeddings, requirements=["C", "W"])).to(device).double()
    squares = sum_by_halves(rows.square())
    divisors = squares.where(squares > 0, 1).sqrt_().mul_(GRID)
    return rows.div_(divisors[:, None]).round_().float().mul_(GRID)


def _nearest(of_mates: Tensor, mates: Tensor, probes: Tensor, unit: Tensor) -> Tensor:
    """The cosine to the nearest mate in float64 (C,), from cosines to mates (C, M) and their columns of the gallery.

    Every probe has one. The nearest is among those that are within rounding of the largest in float32.
    """
    rows, places = (of_mates >= of_mates.amax(1, keepdim=True) - 2 * rounding(unit.shape[1])).nonzero(as_tuple=True)
    exact = of_mates.new_full(of_mates.shape, -torch.inf, dtype=torch.float64)
    exact[rows, places] = _exact(probes, unit, rows, mates[rows, places])
    return exact.amax(1)


def _nearer(cosines: Tensor, probes: Tensor, unit: Tensor, nearest: Tensor) -> Tensor:
    """Whether cosines (C, G) to others are as near as the nearest mate or nearer, exactly."""
    bars, width = nearest - tie_tolerance(np.float32), rounding(unit.shape[1])
    low, high = (bars - width).float()[:, None], (bars + width).float()[:, None]
    nearer = cosines >= high
    rows, columns = ((cosines >= low) & ~nearer).nonzero(as_tuple=True)
    nearer[rows, columns] = _exact(probes, unit, rows, columns) >= bars[rows]
    return nearer


def _exact(probes: Tensor, unit: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Cosines of pairs in float64 (K,), exact on the grid; where they are very many, all cosines are computed."""
    if len(rows) > len(probes) * len(unit) // DENSE:
        return (probes.double() @ unit.double().T)[rows, columns]
    parts = zip(rows.split(_PAIRS), columns.split(_PAIRS), strict=True)
    return torch.cat([(probes[row].double() * unit[column].double()).sum(1) for row, column in parts])
