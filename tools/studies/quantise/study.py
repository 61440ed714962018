"""What fewer bits do to networks and to groups of people: every network before and after, on the same people."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.scoring.device_ranks import counter_on
from dualfair.evaluation.scoring.distributed import embed_together
from dualfair.evaluation.subject import drawn_pairs
from dualfair.presentation.figures import save
from dualfair.presentation.table import Column, table
from dualfair.runs.devices import Workplace
from dualfair.runs.layout import TrainingLayout
from dualfair.runs.records.codec import Record
from dualfair.runs.run_files import distinct_names
from dualfair.runs.standalone import open_standalone
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.stages.standalone_training import queue
from dualfair.studies.quantise import OWN, QuantiseOptions
from dualfair.studies.quantise.figure import accuracy_figure
from dualfair.studies.quantise.tuning import Data, Source, Tuning, tune, tunings
from dualfair.studies.quantise.verdict import (
    COSINE,
    IDENTIFICATION,
    SHARED,
    Judged,
    Number,
    Part,
    compared,
    measured,
)
from dualfair.supernet.files import write_csv
from dualfair.supernet.images.choice import Choice, choose
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.store import FaceStore, open_store
from dualfair.supernet.production.quantisation import FEWEST, FULL
from dualfair.supernet.training.process_group import divide

TOLD = (
    (IDENTIFICATION, "error"),
    (IDENTIFICATION, "rank_disparity"),
    (SHARED, "mean accuracy"),
    (SHARED, "std"),
    (SHARED, "ser"),
)
"""The measures of the table; everything is in the CSV."""


@dataclass(frozen=True)
class QuantiseStudy(Record):
    """Networks in fewer bits on the people of `judged_on`, by groups of a `column`."""

    options: QuantiseOptions
    judged_on: tuple[str, ...]
    numbers: tuple[Number, ...]

    def lines(self) -> Iterator[str]:
        """A table a network, and what changed beyond its interval, as lines of text."""
        for network in dict.fromkeys(number.network for number in self.numbers):
            yield from ("", network, *self._table(network))
            changed = [number for number in self.numbers if number.network == network and number.changed]
            for number in changed:
                more = "higher" if number.difference > 0 else "lower"
                ends = sorted(abs(end) for end in (number.difference_low, number.difference_high))
                yield (
                    f"  {number.bits} bits, {number.data}, seed {number.seed}: {number.measure} ({number.part}) is "
                    f"{abs(number.difference):.3g} {more} [{ends[0]:.3g}, {ends[1]:.3g}], n = {number.people} people"
                )
            if not changed:
                yield "  No measure is shown to change: all intervals of differences hold 0"
        yield "[ ] are 95 % bootstrap intervals over people of the difference to 32 bits on the same people"
        yield "std in percent; ser falls where all groups get worse alike, so never read it alone"

    def _table(self, network: str) -> list[str]:
        rows: dict[tuple, dict[tuple[str, str], Number]] = {}
        for number in self.numbers:
            if number.network == network:
                key = number.bits, number.data, number.seed
                rows.setdefault(key, {})[number.part, number.measure] = number
        titles = [f"{measure} ({part.partition(',')[0]})" for part, measure in TOLD]
        columns = [Column("bits", "whole"), Column("data", "text"), Column("seed", "whole"), Column("cosine")]
        columns += [Column(title) for title in titles]
        cells = []
        for (bits, data, seed), numbers in rows.items():
            values = [numbers[key].value if key in numbers else None for key in ((COSINE, "cosine to float32"), *TOLD)]
            cells.append([bits, data, seed, *values])
        return table(columns, cells).lines()


def quantise(
    networks: Sequence[Path],
    faces: Path,
    bits: Sequence[int],
    data: Sequence[str],
    options: QuantiseOptions,
    place: Workplace,
    *,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> QuantiseStudy:
    """Tune networks in fewer bits and measure them beside what they were; all is kept in the workplace's directory.

    `data` are "own", the networks' own training people of `faces`, or folders. Networks are judged on their test people
    where they were trained on these faces, and on all people otherwise. Raises ValueError, before anything is tuned,
    for networks that are no trainings of ours or quantised already, data that would be judged on, and bits out of
    range.
    """
    store = open_store(faces)
    store.require_people()
    if wrong := [each for each in bits if not FEWEST <= each < FULL]:
        raise ValueError(f"bits must be {FEWEST} to {FULL - 1}, got {wrong[0]}; 32 are measured anyway")
    sources = _sources(networks, store, place)
    chosen = _choice(sources, store, options)
    images = _data(data, sources, store)
    for source in sources:
        for each in images:
            each.store.require_size(source.standalone.network.skeleton.stored_size, source.name)
            options.recipe(len(each.rows), source.dimensions)
    directory, out = place.directory, place.directory.path
    jobs = list(tunings(sources, dict.fromkeys(bits), images, options))
    for number in queue(place.processes, divide(place.processes, 1), len(jobs)):
        job = jobs[number]
        directory.say(f"{number + 1} of {len(jobs)}: {job}, {options.steps:,} steps on {len(job.data.rows):,} images")
        tune(job, options, place, progress=progress, should_stop=should_stop)
    place.processes.wait()
    numbers = []
    for source in sources:
        numbers += _verdict(source, [job for job in jobs if job.source is source], chosen, store, options, place)
    study = QuantiseStudy(options, (chosen.description, *chosen.notes), tuple(numbers))
    if directory.leads:
        study.write(out / "quantise.json")
        cells = [number.to_json() for number in numbers]
        write_csv(out / "quantise.csv", [[*cells[0]], *([*row.values()] for row in cells)])
        save(accuracy_figure(numbers), out / "quantise.png")
    for line in (f"Judged on {chosen.description}", *chosen.notes, *study.lines(), f"Everything is in {out}"):
        directory.say(line)
    return study


def _sources(networks: Sequence[Path], store: FaceStore, place: Workplace) -> list[Source]:
    """The networks that are asked for. Raises ValueError for what cannot be quantised, and for one that is given
    twice."""
    places, opened = [path.resolve() for path in networks], []
    for path in networks:
        if not TrainingLayout(path).description.is_file():
            raise ValueError(f"{path} is no training of ours; name one such as RUN/retrain/GENOTYPE/seed-0")
        standalone = open_standalone(path, place.processes.device, place.directory.say)
        standalone.refuse_quantised(path)
        if standalone.classes:
            raise ValueError(f"{path} tells labelled images apart; 'dualfair quantise' is for networks of faces")
        store.require_size(standalone.network.skeleton.stored_size, path)
        opened.append(standalone)
    if twice := next((path for path, where in zip(networks, places, strict=True) if places.count(where) > 1), None):
        raise ValueError(f"network {twice} is given twice; give each once")
    names = [
        f"{each.training.label} seed {path.name.removeprefix('seed-')}"
        for path, each in zip(networks, opened, strict=True)
    ]
    if len(set(names)) < len(names):
        names = [f"{name} of {where}" for name, where in zip(names, distinct_names(places), strict=True)]
    return [Source(*parts) for parts in zip(names, networks, opened, strict=True)]


def _choice(sources: Sequence[Source], store: FaceStore, options: QuantiseOptions) -> Choice:
    """The people that all networks are judged on. Raises ValueError where networks are of other people of the faces, or
    where there are no groups."""
    seen = {source.standalone.seen_of(store.fingerprint) for source in sources}
    if len(seen) > 1:
        raise ValueError("these networks are trained on different people of the faces; quantise them one by one")
    (about,) = seen
    how = (options.group or about.group_column, "test", about.splits) if about else (options.group or None, "all")
    chosen = choose(store.manifest, str(store.folder), *how, drop_unknown=options.drop_unknown)
    if chosen.groups is None or len(np.unique(chosen.groups)) < 2:
        raise ValueError(f"{store.folder} has no two groups of people to compare; name a column with --group")
    return chosen


def _data(names: Sequence[str], sources: Sequence[Source], store: FaceStore) -> list[Data]:
    """What networks are tuned on. Raises ValueError for images that they are judged on, and for two of one name."""
    data = []
    for name in dict.fromkeys(names):
        if name == OWN:
            about = sources[0].standalone.seen_of(store.fingerprint)
            if about is None:
                raise ValueError(f"--data own is of networks that were trained on {store.folder}; name a folder")
            data.append(Data(OWN, store, about.splits(store.manifest)["train"]))
            continue
        folder = open_store(Path(name))
        if folder.fingerprint == store.fingerprint:
            raise ValueError(f"networks are judged on people of {name}; take --data own, their training people")
        data.append(Data(folder.folder.resolve().name, folder, np.arange(len(folder.manifest))))
    if twice := [name for name, times in Counter(each.name for each in data).items() if times > 1]:
        raise ValueError(f"two folders of images are named {twice[0]}; rename one, as results are named by them")
    return data


def _verdict(
    source: Source, jobs: Sequence[Tuning], chosen: Choice, store: FaceStore, options: QuantiseOptions, place: Workplace
) -> list[Number]:
    """A network in 32 bits and as it was tuned, on the people that are chosen."""
    skeleton, processes = source.standalone.network.skeleton, place.processes
    images = FaceSet(
        store.pixels,
        chosen.rows,
        chosen.identities,
        chosen.groups,
        skeleton.image_size,
        crop_from=skeleton.crop_from,
    )
    float32 = embed_together(source.standalone.network, images, processes)
    pairs = EvaluateOptions(folds=options.folds, within_group=True, seed=options.seed)
    paired = drawn_pairs(float32, chosen.identities, chosen.groups, pairs, notes := [])
    judged = Judged(chosen.identities, chosen.groups, paired and paired.pairs, counter_on(processes.device))
    for note in notes:
        place.directory.say(f"{source.name}: {note}")

    def of(bits: int, data: str, seed: int | None, embeddings: np.ndarray, before: dict[str, Part] | None):
        parts = measured(embeddings, float32, judged)
        about = {"network": source.name, "bits": bits, "data": data, "seed": seed}
        return parts, compared(parts, before, options, **about)

    before, numbers = of(FULL, "", None, float32, None)
    for job in jobs:
        folder = job.layout(place.directory.path).folder
        network = open_standalone(folder, processes.device, place.directory.say).network
        numbers += of(job.bits, job.data.name, job.seed, embed_together(network, images, processes), before)[1]
    return numbers
