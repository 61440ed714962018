"""What is evaluated: embeddings with identities and groups, from networks or from a file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dualfair.evaluation.classification_report import ClassifiedSubject
from dualfair.evaluation.metrics.pairs import Pairs
from dualfair.evaluation.subject import Subject
from dualfair.evaluation.verification_report import PairedFaces
from dualfair.runs.config import numbers
from dualfair.runs.embeddings import read_embeddings
from dualfair.runs.run_files import distinct_names
from dualfair.runs.watching import Say, silent
from dualfair.supernet.images.choice import Choice, choose
from dualfair.supernet.images.labels import GROUP, in_numbers
from dualfair.supernet.images.manifest import SPLIT, Manifest, read_table, shorten
from dualfair.supernet.images.pairs import read_lfw_pairs, read_pairs
from dualfair.supernet.images.store import CLASSIFICATION, IDENTIFICATION, FaceStore
from dualfair.supernet.training.process_group import ProcessGroup

if TYPE_CHECKING:
    from dualfair.runs.standalone import Standalone
    from dualfair.supernet.network import Network


@dataclass(frozen=True, eq=False)
class Asked:
    """On what networks are put under test: images of a `store`, of a `split` or None, by a column `group` or None,
    published `pairs`, if any, and which images are `probes` (`choose`)."""

    store: FaceStore
    pairs: Path | None
    group: str | None
    split: str | None
    drop_unknown: bool
    probes: str
    processes: ProcessGroup


def subject_of_embeddings(
    embeddings: Path,
    identities: Path,
    pairs: Path | None,
    group: str | None,
    split: str | None,
    drop_unknown: bool = False,
    probes: str = "",
) -> Subject:
    """Embeddings of any other system with the table beside them. Needs no torch."""
    vectors = read_embeddings(embeddings)
    manifest = read_identities(identities, len(vectors))
    choice = choose(manifest, identities.name, group, split or "all", drop_unknown=drop_unknown, probes=probes)
    if pairs is not None and pairs.suffix == ".bin":
        raise ValueError(f"{pairs} holds images, which embeddings of another system do not answer for; give pairs.csv")
    chosen, paired, notes = vectors[choice.rows], None, ()
    if pairs is not None:
        paired, notes = _paired(pairs, manifest, choice, chosen, group, drop_unknown)
    return Subject(embeddings.stem, 0, chosen, choice, paired, choice.notes + notes)


def subjects_of_networks(
    networks: Sequence[Path],
    faces: Path,
    pairs: Path | None,
    group: str | None,
    split: str | None,
    processes: ProcessGroup,
    say: Say,
    drop_unknown: bool = False,
    probes: str = "",
) -> list[Subject] | list[ClassifiedSubject]:
    """Trained networks on the faces of a folder, one subject each.

    Without `split`, the test people where a network was trained on these very faces, and all images otherwise.
    Networks of one label and seed have the places that they come from in their names. Raises ValueError for a network
    that is given twice, and where faces, pairs or groups do not fit.
    """
    from dualfair.runs.standalone import open_standalone
    from dualfair.supernet.images.importers.importing import PAIRS
    from dualfair.supernet.images.store import open_store

    places = [path.resolve() for path in networks]
    if twice := next((path for path, place in zip(networks, places, strict=True) if places.count(place) > 1), None):
        raise ValueError(f"network {twice} is given twice; give each once")
    store = open_store(faces)
    pairs = pairs or (faces / PAIRS if (faces / PAIRS).is_file() else None)
    if pairs is None:
        store.require_people()
    subjects = []
    for path in networks:
        standalone = open_standalone(path, processes.device, say if processes.leads else silent)
        store.require_size(standalone.network.skeleton.stored_size, path)
        asked = Asked(store, pairs, group, split, drop_unknown, probes, processes)
        subjects.append(SUBJECTS[store.task](path, standalone, asked))
    times = Counter((subject.name, subject.seed) for subject in subjects)
    return [
        replace(subject, name=f"{subject.name} of {place}") if times[subject.name, subject.seed] > 1 else subject
        for subject, place in zip(subjects, distinct_names(places), strict=True)
    ]


def _of_faces(path: Path, standalone: "Standalone", asked: Asked) -> Subject:
    """A network's embeddings of faces, and of pairs where there are some."""
    from dualfair.evaluation.scoring.distributed import embed_together
    from dualfair.supernet.images.face_set import FaceSet

    store, group, split, pairs = asked.store, asked.group, asked.split, asked.pairs
    skeleton, about = standalone.network.skeleton, standalone.seen_of(store.fingerprint)
    chosen = (group or about.group_column, split or "test", about.splits) if about else (group, split or "all")
    how = {"drop_unknown": asked.drop_unknown, "probes": asked.probes}
    choice = choose(store.manifest, str(store.folder), *chosen, **how)
    notes = () if about or split else (f"{path} was trained on other faces: all images here are evaluated",)
    notes += _seen(standalone, store, split, "people")
    if standalone.bits:
        notes += (f"its {standalone.bits} bits are simulated; integers are measured by 'dualfair quantise --onnx'",)
    if standalone.tuned_on == store.fingerprint and not about:
        notes += ("its fewer bits were tuned on these images, without labels: its numbers may be too good",)
    no_groups = np.full(len(choice.rows), "")
    images = FaceSet(
        store.pixels, choice.rows, choice.identities, no_groups, skeleton.image_size, crop_from=skeleton.crop_from
    )
    embeddings = embed_together(standalone.network, images, asked.processes)
    paired, of_pairs = None, ()
    if pairs is not None and pairs.suffix == ".bin":
        paired = verification_set_of(pairs, standalone.network)
    elif pairs is not None:
        paired, of_pairs = _paired(pairs, store.manifest, choice, embeddings, group, asked.drop_unknown)
    training = standalone.training
    told = notes + choice.notes + of_pairs
    return Subject(training.label, training.seed, embeddings, choice, paired, told, store.linked)


def _of_labelled(path: Path, standalone: "Standalone", asked: Asked) -> ClassifiedSubject:
    """A network's class scores of labelled images. Raises ValueError for pairs, and for other classes than it tells
    apart."""
    from dualfair.evaluation.answers import answered
    from dualfair.evaluation.scoring.scorer import population_answers
    from dualfair.supernet.images.class_labels import known_class_labels
    from dualfair.supernet.images.labelled_set import all_labelled, split_labelled

    store, group, split = asked.store, asked.group, asked.split
    network, about, manifest = standalone.network, standalone.seen_of(store.fingerprint), store.manifest
    split = split or ("test" if about else "all")
    if asked.pairs is not None:
        raise ValueError(f"{asked.pairs} is of faces; labelled images are not verified by pairs")
    if asked.probes:
        raise ValueError("--probes is of faces; labelled images are not looked for")
    column = group or (about.group_column if about else None)
    drop_unknown = asked.drop_unknown or standalone.trained_on.drop_unknown
    images, labels = all_labelled(store, column, network.skeleton.image_size, drop_unknown)
    images = replace(images, crop_from=network.skeleton.crop_from)
    if images.class_names != standalone.classes:
        known = f"the classes {shorten(standalone.classes)}" if standalone.classes else "people"
        raise ValueError(
            f"{path} tells {known} apart, the classes of {store.folder} are {shorten(images.class_names)}; evaluate it "
            "on images of what it was trained on"
        )
    notes = [*labels.decided]
    if split == "all":
        rows = labels.rows
    elif about:
        trained = known_class_labels(manifest, about.group_column, drop_unknown=about.drop_unknown)
        rows = split_labelled(manifest, trained, numbers(about.split, ",", float, "split"), about.split_seed)[split]
    elif SPLIT in manifest.columns:
        rows = np.flatnonzero(manifest.column(SPLIT) == split)
    else:
        raise ValueError(
            f"{store.folder} has no column 'split', and the network was not trained on it; use --split all"
        )
    notes += _seen(standalone, store, split, "images")
    images = images.take(np.flatnonzero(np.isin(images.rows, rows)))
    if not len(images):
        raise ValueError(f"the {split} split of {store.folder} is empty; use --split all")
    scores = population_answers(network, [network.spec], images, None)[network.spec]
    chosen = Choice(
        images.rows,
        images.identities,
        images.groups if labels.column else None,
        labels.column,
        f"{'all' if split == 'all' else f'the {split}'} images of {store.folder}",
    )
    training = standalone.training
    return ClassifiedSubject(
        training.label, training.seed, answered(images, scores), chosen, images.units, tuple(notes)
    )


SUBJECTS = {IDENTIFICATION: _of_faces, CLASSIFICATION: _of_labelled}
"""How a network is put under test, by what the images are for."""


def _seen(standalone: "Standalone", store: "FaceStore", split: str | None, units: str) -> tuple[str, ...]:
    """Notes on people, or images, of a split that the network has seen."""
    notes = ()
    if standalone.seen_of(store.fingerprint) and split in ("all", "train"):
        notes += (f"the network was trained on some of these {units}: its numbers are too good",)
    if standalone.repaired_on == store.fingerprint and split in ("all", "validation"):
        notes += (f"the network was repaired by some of these {units}: its numbers are too good",)
    return notes


def _paired(
    path: Path, manifest: Manifest, choice: Choice, embeddings: np.ndarray, group: str | None, drop_unknown: bool
) -> tuple[PairedFaces, tuple[str, ...]]:
    """The pairs of a file that are among the chosen images, and notes on those that are not.

    Their groups are those that the list was published with, unless the user names another column; else their people's.
    """
    read = read_lfw_pairs if path.suffix == ".txt" else partial(read_pairs, drop_unknown=drop_unknown)
    listed = read(path, manifest)
    kept = listed.take(choice.rows, manifest)
    if not len(kept):
        raise ValueError(f"{path}: none of the {len(listed)} pairs is of the evaluated images; use --split all")
    notes = []
    if kept.dropped:
        notes.append(f"{len(kept.dropped)} pairs of {path} are left out, first {kept.dropped[0]}")
    groups = np.full(len(choice.rows), "everyone") if choice.groups is None else choice.groups
    groups = np.stack([groups[kept.left], groups[kept.right]], axis=1)
    if kept.group is not None and group in (None, GROUP):
        groups = kept.group
        notes.append(f"pairs are judged by the groups of their list: {in_numbers(Counter(groups.tolist()))}")
    elif kept.group is not None:
        notes.append(f"pairs are judged by column {group!r} of their people, not by the groups of their list")
    paired = PairedFaces(embeddings, choice.identities, Pairs(kept.left, kept.right, kept.same, kept.fold, groups))
    return paired, tuple(notes)


def verification_set_of(path: Path, network: "Network") -> PairedFaces:
    """The pairs of a .bin verification set, with the network's embeddings of its images. The file names nobody."""
    from dualfair.evaluation.scoring.embedding import embed
    from dualfair.supernet.images.face_set import FaceSet
    from dualfair.supernet.images.importers.containers import verification_set
    from dualfair.supernet.images.importers.reading import read_image

    listing, size, side = verification_set(path), network.skeleton.image_size, network.skeleton.stored_size
    pixels = np.empty((len(listing.manifest), side, side, 3), dtype=np.uint8)
    for row in range(len(pixels)):
        image = read_image(listing, row, side)
        if image.pixels is None:
            raise ValueError(f"{path}: image {row} cannot be read ({image.reason})")
        pixels[row] = image.pixels
    names, nobody = listing.manifest.column("identity"), np.full(len(pixels), "everyone")
    images = FaceSet(pixels, np.arange(len(pixels)), names, nobody, size, crop_from=network.skeleton.crop_from)
    embeddings = embed(network, images)
    pairs = listing.pairs
    both = np.stack([nobody[pairs.left], nobody[pairs.right]], axis=1)
    return PairedFaces(embeddings, names, Pairs(pairs.left, pairs.right, pairs.same, pairs.fold, both), grouped=False)


def read_identities(path: Path, images: int) -> Manifest:
    """The table beside embeddings of another system: a CSV with `identity` and any attributes, one row an embedding."""
    try:
        columns = read_table(path, "identity,group")
        if "identity" not in columns:
            raise ValueError(
                f"no column 'identity' in the first line, which is {shorten([*columns])}; expected a header such as "
                "identity,group and one row an embedding below it"
            )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    columns.setdefault("path", tuple(str(row) for row in range(len(next(iter(columns.values()))))))
    manifest = Manifest(columns)
    if len(manifest) != images:
        raise ValueError(f"{path} has {len(manifest)} rows for {images} embeddings; it needs one row an embedding")
    return manifest
