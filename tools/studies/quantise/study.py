"""What fewer bits do to networks and to groups of people: every network before and after, on the same people."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.scoring.device_ranks import counter_on
from dualfair.evaluation.scoring.distributed import embed_together
from dualfair.evaluation.subject import drawn_pairs, groups_of
from dualfair.presentation.figures import save
from dualfair.runs.devices import Workplace
from dualfair.runs.layout import TrainingLayout
from dualfair.runs.records.study import StudyFigure
from dualfair.runs.records.training import Failure
from dualfair.runs.standalone import open_standalone
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.stages.standalone_training import queue
from dualfair.studies.quantise import OWN, QuantiseOptions
from dualfair.studies.quantise.figure import accuracy_figure
from dualfair.studies.quantise.integers import (
    IntegerNetwork,
    integer_embeddings,
    integer_network,
    write_integers,
)
from dualfair.studies.quantise.result import QuantiseLayout, QuantiseStudy
from dualfair.studies.quantise.tuning import Data, Source, Tuning, tune, tunings
from dualfair.studies.quantise.verdict import Judged, Number, compared, measured
from dualfair.supernet.files import write_csv
from dualfair.supernet.images.choice import Choice, choose
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.store import FaceStore, open_store
from dualfair.supernet.production import onnx_model
from dualfair.supernet.production.integers import BITS
from dualfair.supernet.production.quantisation import FEWEST, FULL
from dualfair.supernet.training.process_group import divide


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
    if options.onnx:
        onnx_model.check_packages()
        if BITS not in bits:
            raise ValueError(f"--onnx writes networks of {BITS} bits; add --bits {BITS}")
    sources = _sources(networks, store, place)
    chosen = _choice(sources, store, options)
    judged, notes = _judged(chosen, options, place)
    images = _data(data, sources, store)
    for source in sources:
        for each in images:
            each.store.require_size(source.standalone.network.skeleton.stored_size, source.name)
            options.recipe(len(each.rows), source.dimensions)
    directory, results = place.directory, QuantiseLayout(place.directory.path)
    jobs = list(tunings(sources, dict.fromkeys(bits), images, options))
    for number in queue(place.processes, divide(place.processes, 1), len(jobs)):
        job = jobs[number]
        if job.layout(directory.path).failure.is_file():
            continue
        directory.say(f"{number + 1} of {len(jobs)}: {job}, {options.steps:,} steps on {len(job.data.rows):,} images")
        tune(job, options, place, progress=progress, should_stop=should_stop)
    place.processes.wait()
    numbers, of_integers = [], []
    for source in sources:
        of_source = [job for job in jobs if job.source is source]
        told = _verdict(source, of_source, judged, _images(source, chosen, store), options, place)
        numbers += told[0]
        of_integers += told[1]
    fingerprints = {each.name: each.store.fingerprint for each in images}
    judged_on = chosen.description, *chosen.notes, *notes
    found = tuple(numbers), tuple(of_integers)
    study = QuantiseStudy(options, store.fingerprint, chosen.group_column, fingerprints, judged_on, *found)
    if directory.leads:
        study.write(results.numbers)
        cells = [number.to_json() for number in numbers]
        write_csv(results.table, [[*cells[0]], *([*row.values()] for row in cells)])
        figures = ()
        if any(number.bits < FULL for number in numbers):
            save(accuracy_figure(numbers), results.figure)
            figures = (StudyFigure(results.figure.name, "Accuracies of groups over bits, as simulated"),)
        study.report(figures).write(results.report)
    if not options.onnx and any((job.layout(directory.path).folder / onnx_model.FILE).is_file() for job in jobs):
        directory.say(f"Not measured, for want of --onnx: the integers that lie in {directory.path}")
    for line in (f"Judged on {judged_on[0]}", *judged_on[1:], *study.lines(), f"Everything is in {directory.path}"):
        directory.say(line)
    return study


def _sources(networks: Sequence[Path], store: FaceStore, place: Workplace) -> list[Source]:
    """The networks that are asked for. Raises ValueError for what cannot be quantised, and for two of one name."""
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
        f"{each.training.label} seed {where.name.removeprefix('seed-')}"
        for where, each in zip(places, opened, strict=True)
    ]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two networks are named {twice}, as their results would be; quantise them one by one")
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
        if data[-1].name == OWN:
            raise ValueError(f"{name} would be taken for the networks' own people; rename the folder")
    if twice := [name for name, times in Counter(each.name for each in data).items() if times > 1]:
        raise ValueError(f"two folders of images are named {twice[0]}; rename one, as results are named by them")
    return data


def _judged(chosen: Choice, options: QuantiseOptions, place: Workplace) -> tuple[Judged, list[str]]:
    """The people that are judged on with pairs of theirs, and what was decided about them. Raises ValueError where
    fewer than two groups have enough people."""
    groups = groups_of(chosen, options.least_people)
    names = tuple(name for name in np.unique(chosen.groups).tolist() if name not in groups.small)
    notes = [f"not compared, fewer than {options.least_people} people: {', '.join(groups.small)}"] * bool(groups.small)
    if len(names) < 2:
        raise ValueError(
            f"no two groups of {options.least_people} people or more are among {chosen.description}; take more people, "
            "another --group or a lower --least-people"
        )
    rows = np.flatnonzero(np.isin(chosen.groups, names))
    how = EvaluateOptions(folds=options.folds, within_group=True, seed=options.seed)
    drawn = drawn_pairs(np.empty((len(rows), 0)), chosen.identities[rows], chosen.groups[rows], how, notes)
    pairs = replace(drawn.pairs, left=rows[drawn.pairs.left], right=rows[drawn.pairs.right]) if drawn else None
    return Judged(chosen.identities, chosen.groups, names, pairs, counter_on(place.processes.device)), notes


def _images(source: Source, chosen: Choice, store: FaceStore) -> FaceSet:
    """The images that a network is judged on, at its size."""
    skeleton, of = source.standalone.network.skeleton, (chosen.rows, chosen.identities, chosen.groups)
    return FaceSet(store.pixels, *of, skeleton.image_size, crop_from=skeleton.crop_from)


def _verdict(
    source: Source,
    jobs: Sequence[Tuning],
    judged: Judged,
    images: FaceSet,
    options: QuantiseOptions,
    place: Workplace,
) -> tuple[list[Number], list[IntegerNetwork]]:
    """A network in 32 bits and as it was tuned, on the same people, and what is to be said of its integers; without
    what left the finite numbers, which is said."""
    processes, say = place.processes, place.directory.say
    float32 = embed_together(source.standalone.network, images, processes)
    before, of_integers = measured(float32, float32, judged), []

    def against_float32(embeddings: np.ndarray, job: Tuning, integers: bool) -> list[Number]:
        form = {"bits": job.bits, "integers": integers, "data": job.data.name, "seed": job.seed}
        return compared(measured(embeddings, float32, judged), before, options, network=source.name, **form)

    form = {"bits": FULL, "integers": False, "data": "", "seed": None}
    numbers = compared(before, None, options, network=source.name, **form)
    for job in jobs:
        layout, remedy = job.layout(place.directory.path), "delete it to try again, with a lower --lr in another --out"
        if layout.failure.is_file():
            reason = Failure.read(layout.failure, remedy).reason
            say(f"Left out: {job} has no result, {reason}; see {layout.failure}")
            continue
        network = open_standalone(layout.folder, processes.device, say).network
        simulated = embed_together(network, images, processes)
        if not np.isfinite(simulated).all():
            say(f"Left out: {job} has embeddings that are not finite")
            continue
        numbers += against_float32(simulated, job, integers=False)
        # Only the leader tells, so only it asks onnxruntime, with nobody beside it.
        if options.onnx and job.bits == BITS and place.directory.leads:
            path = layout.folder / onnx_model.FILE
            try:
                write_integers(job, network, path)
                embeddings = integer_embeddings(path, images)
                of_integers.append(integer_network(job, path, embeddings, simulated))
            except ValueError as error:
                say(f"Left out: {job} has no integers, {error}")
                continue
            numbers += against_float32(embeddings, job, integers=True)
    return numbers, of_integers
