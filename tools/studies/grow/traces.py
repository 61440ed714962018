"""Published searches by growing, gone through again: do our rules come to the same decisions?

A file of traces is a CSV with a row a candidate in the order they were trained: dataset, max_width, stage, depth,
width, ops and kernels with a digit a layer (ops: 0 separable, 1 not), epochs, params_M, and train_acc and test_acc in
percent, by which those searches decided.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, takewhile
from pathlib import Path

from dualfair.evolution.growing import (
    CONVOLUTION,
    OPERATIONS,
    SEPARABLE,
    Candidate,
    GrowthOptions,
    Outcome,
    Structure,
    grow,
)
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.records.codec import Record
from dualfair.studies.grow.networks import SizedFamily
from dualfair.supernet.families.mix import mix_skeleton

COLUMNS = ("dataset", "max_width", "stage", "depth", "width", "ops", "kernels", "epochs", "params_M", "train_acc")
SCORE = "test_acc"
CHANNELS = (3, 1)
"""Of images, in colour or grey."""


@dataclass(frozen=True)
class Trace:
    """A row: a candidate, its parameters with those of classes, and what it came to."""

    candidate: Candidate
    params: int
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Replayed(Record):
    """What our rules come to by the outcomes of a published search: depth and width that were found, operations and
    kernels as a file of traces has them, the width at which its layers were, and parameters; how many of the published
    candidates are those that our rules ask for, in order and with as many parameters, and whether both end there. None
    where our rules ask for a network that has no outcome in the file."""

    dataset: str
    max_width: int
    depth: int | None
    width: int | None
    ops: str
    kernels: str
    shrunken_width: int | None
    params: int | None
    candidates: int
    agree: int
    same_end: bool


def replay_traces(path: Path) -> tuple[Replayed, ...]:
    """Go through every search of a file of traces. Raises ValueError for a file that is none."""
    return tuple(_replayed(*search) for search in _searches(path))


def replayed_table(searches: Sequence[Replayed]) -> Table:
    """A row a search."""
    columns = [Column("dataset", "text"), Column("max width", "whole"), Column("depth", "whole")]
    columns += [Column("width", "whole"), Column("shrunken width", "whole"), Column("params", "whole")]
    columns += [Column("candidates", "whole"), Column("agree", "whole"), Column("same end", "mark")]
    rows = [
        [
            *(each.dataset, each.max_width, each.depth, each.width, each.shrunken_width, each.params),
            *(each.candidates, each.agree, each.same_end),
        ]
        for each in searches
    ]
    return table(columns, rows, "What the rules come to by published outcomes")


def _searches(path: Path) -> list[tuple[str, int, list[Trace]]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in (*COLUMNS, SCORE) if name not in (reader.fieldnames or ())]:
                raise ValueError(f"it has no column {missing[0]!r}")
            rows = [(row["dataset"], int(row["max_width"]), _trace(row)) for row in reader]
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:120]
        raise ValueError(f"{path} is no CSV of published searches ({reason})") from None
    if not rows:
        raise ValueError(f"{path} is no CSV of published searches (it has no rows)")
    return [(*key, [row[2] for row in of]) for key, of in groupby(rows, key=lambda row: row[:2])]


def _trace(row: dict[str, str]) -> Trace:
    operations = tuple((SEPARABLE, CONVOLUTION)[int(code)] for code in row["ops"])
    structure = Structure(int(row["width"]), operations, tuple(map(int, row["kernels"])))
    if structure.depth != int(row["depth"]) or len(structure.kernels) != structure.depth:
        raise ValueError(f"ops and kernels must have a digit for each of {row['depth']} layers")
    return Trace(
        Candidate(row["stage"], structure, int(row["epochs"])),
        round(float(row["params_M"]) * 1e6),
        Outcome(float(row[SCORE]), float(row["train_acc"])),
    )


def _replayed(dataset: str, max_width: int, traces: list[Trace]) -> Replayed:
    first = traces[0]
    options = GrowthOptions(
        least_depth=first.candidate.structure.depth,
        most_width=max_width,
        epochs=first.candidate.epochs,
        layer_epochs=next((trace.candidate.epochs for trace in traces if trace.candidate.stage == OPERATIONS), 0),
    )
    parameters = partial(_parameters, *_channels_and_classes(dataset, first))
    search, outcomes = grow(options, parameters), {trace.candidate: trace.outcome for trace in traces}
    asked, grown = [next(search)], None
    while grown is None and asked[-1] in outcomes:
        try:
            asked.append(search.send(outcomes[asked[-1]]))
        except StopIteration as end:
            grown = end.value
    alike = [
        ours == trace.candidate and parameters(ours.structure) == trace.params
        for ours, trace in zip(asked, traces, strict=False)
    ]
    of = grown.structure if grown else None
    return Replayed(
        dataset=dataset,
        max_width=max_width,
        depth=of.depth if of else None,
        width=of.width if of else None,
        ops="".join("01"[operation == CONVOLUTION] for operation in of.operations) if of else "",
        kernels="".join(map(str, of.kernels)) if of else "",
        shrunken_width=grown.shrunken_width if grown else None,
        params=parameters(of) if of else None,
        candidates=len(traces),
        agree=sum(takewhile(bool, alike)),
        same_end=grown is not None and len(asked) == len(traces) and all(alike),
    )


def _parameters(channels: int, classes: int, structure: Structure) -> int:
    """Learnt weights with those of classes, for images of so many channels."""
    network = SizedFamily("mix", "softmax", 32).network(structure)
    features = network.skeleton.features
    return network.parameters - (3 - channels) * 9 * 2 * structure.width + features * classes + classes


def _channels_and_classes(dataset: str, first: Trace) -> tuple[int, int]:
    """Of a data set's images, by the parameters of the first network. Raises ValueError where none has so many."""
    structure = first.candidate.structure
    features = mix_skeleton(structure.depth, structure.width).features
    for channels in CHANNELS:
        classes, rest = divmod(first.params - _parameters(channels, 0, structure), features + 1)
        if classes > 0 and not rest:
            return channels, classes
    raise ValueError(f"no network of {dataset} with {structure.depth} layers has {first.params:,} parameters")
