"""What came out of networks in fewer bits, as a record and as it is told: tables, sentences, and both in a report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.presentation.table import Column, Table, table
from dualfair.runs.layout import Inside, StudyLayout
from dualfair.runs.records.codec import Record
from dualfair.runs.records.study import StudyFigure, StudyReport
from dualfair.studies.quantise import QuantiseOptions
from dualfair.studies.quantise.integers import IntegerNetwork
from dualfair.studies.quantise.verdict import COSINE, IDENTIFICATION, SPREADS, Number, accuracies_part
from dualfair.supernet.production.quantisation import FULL

READ_SO = (
    "[ ] are 95 % bootstrap intervals over people of the difference to 32 bits on the same people",
    "std in percent; it and rank_disparity grow by chance where more goes wrong, and ser falls where all groups lose "
    "alike: whether one loses more than others, its lead says, its accuracy less the groups' mean",
)
"""How tables and sentences are to be read."""


class QuantiseLayout(StudyLayout):
    """The folder that results are written to."""

    numbers = Inside("quantise.json")
    table = Inside("quantise.csv")
    figure = Inside("quantise.png")


@dataclass(frozen=True)
class QuantiseStudy(Record):
    """Networks in fewer bits on the people of `judged_on`, by groups of a column, of faces with a fingerprint; `data`
    are the fingerprints of what networks were tuned on, by name."""

    options: QuantiseOptions
    faces: str
    column: str
    data: Mapping[str, str]
    judged_on: tuple[str, ...]
    numbers: tuple[Number, ...]
    integers: tuple[IntegerNetwork, ...] = ()

    @property
    def networks(self) -> list[str]:
        """The names of the networks, in the order that they were asked for."""
        return list(dict.fromkeys(number.network for number in self.numbers))

    def lines(self) -> Iterator[str]:
        """What is told of every network, as lines of text."""
        for network in self.networks:
            yield from ("", network)
            for each in self.tables(network):
                yield from each.lines()
            yield from (f"  {sentence}" for sentence in self.sentences(network))
        yield from READ_SO

    def report(self, figures: tuple[StudyFigure, ...]) -> StudyReport:
        """The study as a run's report shows it."""
        told = [f"{network}: {sentence}." for network in self.networks for sentence in self.sentences(network)]
        return StudyReport(
            question="What do fewer bits do to networks, and to groups of people?",
            sentences=(f"Judged on {'; '.join(self.judged_on)}.", *told, *(f"{sentence}." for sentence in READ_SO)),
            tables=tuple(each for network in self.networks for each in self.tables(network)),
            figures=figures,
        )

    def sentences(self, network: str) -> list[str]:
        """What changed in a network beyond its interval, a sentence a measure."""
        by_measure: dict[tuple, list[Number]] = {}
        for number in self.numbers:
            if number.network == network and number.bits < FULL:
                key = number.form, number.data, number.part, number.measure
                by_measure.setdefault(key, []).append(number)
        changed = [numbers for numbers in by_measure.values() if any(number.changed for number in numbers)]
        return [*map(_sentence, changed)] or ["No measure is shown to change: all intervals of differences hold 0"]

    def tables(self, network: str) -> list[Table]:
        """Some of the measures of a network; and, where it became integers, how these agree and what they take."""
        return [self._measures(network), *self._integers(network)]

    def _measures(self, network: str) -> Table:
        """Accuracies of groups are of pairs, or of identification where there are none."""
        rows: dict[tuple, dict[tuple[str, str], float | None]] = {}
        for number in self.numbers:
            if number.network == network:
                key = number.form, number.data, number.seed
                rows.setdefault(key, {})[number.part, number.measure] = number.value
        told = [(COSINE, "cosine to float32"), (IDENTIFICATION, "error"), (IDENTIFICATION, "rank_disparity")]
        told += [(accuracies_part(self.numbers), measure) for measure in SPREADS]
        columns = [Column("form", "text"), Column("data", "text"), Column("seed", "whole"), Column("cosine")]
        columns += [Column(f"{measure} ({part})") for part, measure in told[1:]]
        return table(columns, [[*key, *(values[each] for each in told)] for key, values in rows.items()], network)

    def _integers(self, network: str) -> Iterator[Table]:
        rows = [
            (
                *(each.data, each.seed, each.cosine, each.smallest_cosine, each.bytes / 1e6, each.bytes_float32 / 1e6),
                *(each.milliseconds, each.milliseconds_float32),
            )
            for each in self.integers
            if each.network == network
        ]
        names = ("cosine to simulation", "smallest", "MB", "MB in float32", "ms an image, one thread", "ms in float32")
        columns = [Column("integers of", "text"), Column("seed", "whole"), *map(Column, names)]
        if rows:
            yield table(columns, rows, f"{network}, ONNX files of integers")


def _sentence(numbers: Sequence[Number]) -> str:
    """How a measure changes in the tunings of a network by the same bits and data, of which some show that it does."""
    shown, first = [number for number in numbers if number.changed], numbers[0]
    what = f"{first.form}, {first.data}: {first.measure} ({first.part})"
    more = {"higher" if number.difference > 0 else "lower" for number in shown}
    differences = [number.difference for number in numbers]
    told = f"{np.mean(differences):+.3g}"
    if len(numbers) == 1:
        told += f" [{first.difference_low:.3g}, {first.difference_high:.3g}]"
    else:
        told += f" (mean of {len(numbers)} seeds, {min(differences):+.3g} to {max(differences):+.3g})"
    times = "" if len(numbers) == 1 else f" in {len(shown)} of {len(numbers)}"
    return f"{what} {told}: shown to be {' and '.join(sorted(more))}{times}, n = {first.people} people"
