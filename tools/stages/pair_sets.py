"""Networks on published sets of pairs (LFW, CFP-FP, CPLFW, AgeDB, CALFW), in one table."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.report import Verification
from dualfair.evaluation.verification_report import verification_report
from dualfair.presentation.table import Column, Table, interval_columns, table
from dualfair.runs.standalone import open_standalone
from dualfair.runs.watching import Say, silent
from dualfair.stages.subjects import verification_set_of
from dualfair.supernet.files import write_csv
from dualfair.supernet.training.process_group import ProcessGroup

USED = ("resamples", "interval", "far", "seed")
"""Options of evaluation that sets of pairs follow."""
MEAN = "mean"
"""In place of a set: the mean over all sets."""


def evaluate_pair_sets(
    networks: Sequence[Path],
    sets: Sequence[Path],
    options: EvaluateOptions,
    out: Path,
    processes: ProcessGroup,
    say: Say = silent,
) -> Table:
    """Verify the pairs of every set by every network, on the leading rank, and write pair_sets.csv: accuracy over
    folds, its interval and TAR at every FAR, by network and set, and the mean of the sets' accuracies.

    Raises ValueError for two sets of one name, for what is no network or no set, and for an option that such sets have
    no use for.
    """
    usual = EvaluateOptions()
    for name in (field.name for field in fields(EvaluateOptions) if field.name not in USED):
        if getattr(options, name) != getattr(usual, name):
            raise ValueError(f"--pair-set goes without --{name.replace('_', '-')}: such sets know pairs only")
    names = [path.stem for path in sets]
    if twice := next((name for name in names if names.count(name) > 1 or name == MEAN), None):
        raise ValueError(f"two sets are called {twice!r}; give each file a name of its own")
    columns = [Column("network", "text"), Column("seed", "whole"), Column("set", "text"), Column("pairs", "whole")]
    columns += [*interval_columns("accuracy"), *(Column(f"TAR at FAR {far:g}") for far in options.fars)]
    rows = []
    for place in networks if processes.leads else ():
        standalone = open_standalone(place, processes.device, say)
        training, accuracies = standalone.training, []
        for name, path in zip(names, sets, strict=True):
            of, _ = verification_report(verification_set_of(path, standalone.network), options)
            accuracies.append(of.accuracy.accuracy)
            rows.append([training.label, training.seed, name, of.pairs, *_numbers(of)])
        if len(sets) > 1:
            mean = sum(accuracies) / len(accuracies)
            rows.append([training.label, training.seed, MEAN, None, mean, None, None, *[None] * len(options.fars)])
    told = table(
        columns, rows, "Accuracy over folds [95 %]; such files name nobody: people are known within a pair only"
    )
    if processes.leads:
        out.mkdir(parents=True, exist_ok=True)
        write_csv(out / "pair_sets.csv", told.csv())
        for line in (*told.lines(), f"Everything is in {out}"):
            say(line)
    processes.wait()
    return told


def _numbers(of: Verification) -> list[float | None]:
    interval = of.accuracy.interval
    ends = (interval.low, interval.high) if interval else (None, None)
    return [of.accuracy.accuracy, *ends, *(point.tar for point in of.at_far)]
