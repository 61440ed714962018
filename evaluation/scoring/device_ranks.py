"""How many images are nearer than the nearest mate, counted on a CUDA device; equal to `metrics.identification`.

Shape legend: N images, D embedding, G gallery images, P probes, C probes at once, K pairs.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from dualfair.evaluation.metrics.identification import CountNearer, count_nearer
from dualfair.evaluation.metrics.similarity import DENSE, GRID, Arrangement, lengths, rounding, tie_tolerance
from dualfair.supernet.memory import Batch, free_memory
from dualfair.supernet.tf32 import tensor_float32

_ROWS = 2048
"""Most probes at once: with more a device is no faster."""
_PAIR_BYTES = 64
"""A quarter of the free memory is used: cosines and masks are 16 bytes a pair."""
_PAIRS = 2**16
"""Pairs at once whose rows are multiplied one by one in float64."""


def counter_on(device: torch.device | str) -> CountNearer | None:
    """What counts on a device, for `identification.ranks`; None, numpy, unless it is a CUDA device."""
    return partial(count_on_device, device=device) if torch.device(device).type == "cuda" else None


def count_on_device(
    embeddings: np.ndarray, arranged: Arrangement, count: str = "images", *, device: torch.device | str
) -> np.ndarray:
    """`metrics.identification.count_nearer`, int64 (P,), computed on a device in float32 and, where that cannot decide,
    in float64. Embeddings in float64 are left to numpy. Where memory runs out, fewer probes are compared at once."""
    if np.result_type(embeddings.dtype, np.float32) == np.float64:
        return count_nearer(embeddings, arranged, count)
    device = torch.device(device)
    unit = _unit_rows(embeddings, arranged.gallery, device)
    probes = _unit_rows(embeddings, arranged.probes, device)
    first, last, own = (
        torch.from_numpy(columns).to(device)[:, None]
        for columns in (arranged.bounds[arranged.codes], arranged.bounds[arranged.codes + 1], arranged.own)
    )
    columns, sizes = torch.arange(len(unit), device=device), np.diff(arranged.bounds)
    identities = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)).to(device)
    counts = np.empty(len(probes), dtype=np.int64)

    def work(place: slice) -> None:
        cosines = probes[place] @ unit.T
        mates = (columns >= first[place]) & (columns < last[place])
        nearest = _nearest(cosines.where(mates & (columns != own[place]), -torch.inf), probes[place], unit)
        nearer = _nearer(cosines.masked_fill_(mates, -torch.inf), probes[place], unit, nearest)
        if count == "identities":
            hits = torch.zeros(len(nearer), len(sizes), dtype=torch.int32, device=device)
            nearer = hits.index_add_(1, identities, nearer.int()) > 0
        counts[place] = nearer.sum(1).cpu().numpy()

    rows = min(_ROWS, max(1, free_memory(device) // (_PAIR_BYTES * len(unit))))
    with tensor_float32(products=False, convolutions=False):
        Batch(rows).over(len(probes), work)
    return counts


def _unit_rows(embeddings: np.ndarray, images: np.ndarray, device: torch.device) -> Tensor:
    """`similarity.unit_rows` to the bit: lengths by numpy, a division and a rounding, which are exact everywhere."""
    rows = embeddings[images]
    divisors = torch.from_numpy(lengths(rows) * GRID).to(device)
    return (torch.from_numpy(rows).to(device).double() / divisors[:, None]).round_().float().mul_(GRID)


def _nearest(mates: Tensor, probes: Tensor, unit: Tensor) -> Tensor:
    """The cosine to the nearest mate in float64 (C,), from cosines to mates (C, G), -inf elsewhere.

    Every probe has one. The nearest is among those that are within rounding of the largest in float32.
    """
    within = mates >= mates.amax(1, keepdim=True) - 2 * rounding(unit.shape[1])
    rows, columns = within.nonzero(as_tuple=True)
    exact = _exact(probes, unit, rows, columns)
    # In ascending order of rows: every row's pairs side by side, without an operation that is not deterministic.
    place = torch.arange(len(rows), device=rows.device) - torch.searchsorted(rows, rows)
    table = exact.new_full((len(probes), int(place.max()) + 1), -torch.inf)
    table[rows, place] = exact
    return table.amax(1)


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
