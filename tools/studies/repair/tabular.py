"""Repair on tables: rows of numbers with a label and a protected attribute, and the network that is trained on them."""

import csv
import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dualfair.evaluation.decisions import Judge
from dualfair.studies.repair import RepairOptions
from dualfair.studies.repair.baselines import training_options
from dualfair.studies.repair.task import Classifier, Samples, Task
from dualfair.studies.repair.tuning import tune
from dualfair.supernet.images.manifest import shorten

LAYERS, WIDTH, DROPOUT = 11, 32, 0.2
"""Of the network of Savani et al. (2020): linear, ReLU, dropout and batch normalisation each, then a linear layer."""
SPLIT = 0.6, 0.2, 0.2
"""Shares of rows that are trained on, tuned on and tested on."""


class Table:
    """A CSV file, packed (.gz) or not, of numbers with a header: `features` float32 (N, D), standardised by those that
    are trained on later, `labels` and `second`, 1 or 0, the values of two columns.

    Columns that say the label over again are left out and named in `left_out`. Raises ValueError for a file that is no
    such table.
    """

    def __init__(self, path: Path, label: str, protected: str) -> None:
        names, values = _read(path)
        for column in (label, protected):
            if column not in names:
                raise ValueError(f"{path} has no column {column!r}; it has {shorten(names)}")
        columns = dict(zip(names, values.T, strict=True))
        self.labels, self.second = columns[label].astype(np.int64), columns[protected] == 1
        for column in (label, protected):
            if (found := sorted(np.unique(columns[column]).tolist())) != [0.0, 1.0]:
                raise ValueError(f"column {column!r} of {path} must hold 0 and 1, got {shorten(list(map(str, found)))}")
        centred = self.labels - self.labels.mean()
        self.left_out = tuple(
            name
            for name, of in columns.items()
            if name != label
            and of.std()
            and abs((of - of.mean()) @ centred) / (of.std() * centred.std() * len(of)) > 0.999
        )
        kept = [name for name in names if name not in (label, *self.left_out)]
        if not kept:
            raise ValueError(f"{path} has no column but those that say {label} over again")
        self.features = np.stack([columns[name] for name in kept], axis=1).astype(np.float32)


def table_task(table: Table, judge: Judge, options: RepairOptions, seed: int, device: torch.device) -> Task:
    """The task of a network that is trained on a part of a table from a seed; another part, as many rows of every label
    in both groups, is tuned on."""
    order = np.random.default_rng(seed).permutation(len(table.labels))
    ends = np.cumsum([round(share * len(order)) for share in SPLIT[:2]])
    parts = np.split(order, ends)
    trained = table.features[parts[0]]
    features = (table.features - trained.mean(axis=0)) / np.maximum(trained.std(axis=0), 1e-6)

    def samples(rows: np.ndarray) -> Samples:
        inputs, labels, second = features[rows], table.labels[rows], table.second[rows]
        of = (torch.from_numpy(array).to(device) for array in (inputs, labels, second))
        return Samples(*of, rows, lambda inputs: inputs)

    def fresh() -> Classifier:
        return network(features.shape[1]).to(device)

    training, validation, test = map(samples, parts)
    classifier = tune(fresh(), training, training_options(options), seed=seed)
    return Task(classifier, validation, validation.balanced(options.seed), test, judge, fresh, training)


def network(features: int) -> Classifier:
    """The network for so many features, freshly initialised from torch's global generator."""
    layers, wide = [], features
    for _ in range(LAYERS):
        layers += [nn.Linear(wide, WIDTH), nn.ReLU(), nn.Dropout(DROPOUT), nn.BatchNorm1d(WIDTH)]
        wide = WIDTH
    return Classifier(nn.Sequential(*layers), nn.Linear(WIDTH, 2))


def _read(path: Path) -> tuple[list[str], np.ndarray]:
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", newline="", encoding="utf-8-sig") as file:
            names, *rows = csv.reader(file)
        values = np.array(rows, dtype=np.float64)
    except (OSError, EOFError, UnicodeDecodeError, ValueError, csv.Error, zlib.error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:120]
        raise ValueError(f"{path} is no CSV of numbers with a header ({reason})") from None
    if values.ndim != 2 or values.shape[1] != len(names) or not np.isfinite(values).all():
        raise ValueError(f"{path} must have {len(names)} finite numbers in every row, as its header has names")
    return names, values
