"""What is evaluated: embeddings with identities and groups, from networks or from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualfair.runs.watching import Say, silent
from dualfair.supernet.images.manifest import (
    SPLIT,
    Manifest,
    attributes_of,
    identity_groups,
    read_table,
    split_identities,
)
from dualfair.supernet.training.process_group import ProcessGroup


@dataclass(frozen=True, eq=False)
class Subject:
    """A system under test: embeddings (N, D) of faces with identities and groups (N,), None without groups.

    `pairs` (`evaluation.metrics.pairs.Pairs`) are the pairs to verify, None where they are to be drawn. They are of
    these faces, or of those of `pair_subject`, a verification set of its own.
    """

    name: str
    seed: int
    embeddings: np.ndarray
    identities: np.ndarray
    groups: np.ndarray | None
    group_column: str | None
    description: str
    pairs: object = None
    pair_subject: Subject | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Choice:
    """The images that are judged: rows of a manifest, their group column (or None) and a description."""

    rows: np.ndarray
    identities: np.ndarray
    groups: np.ndarray | None
    group_column: str | None
    description: str


def choose(
    manifest: Manifest,
    where: str,
    group_column: str | None,
    split: str,
    fractions: tuple = (),
    seed: int = 0,
    split_column: str | None = None,
) -> Choice:
    """The rows of a split ("all" for every image) with their groups; a person's group is that of most images.

    A split is drawn alike of every group of `split_column`, that of training: other groups have the same test people.
    Without `group_column` the column `group` is taken where there is one. Raises ValueError for an unknown column, an
    empty split, and a split where the manifest has none and no `fractions` say how to make it.
    """
    column = group_column or ("group" if "group" in manifest.columns else None)
    if column is not None and column not in manifest.columns:
        raise ValueError(
            f"unknown group column {column!r}; {where} has: {', '.join(attributes_of(manifest)) or 'no attributes'}"
        )
    rows = np.arange(len(manifest))
    if split != "all":
        if SPLIT not in manifest.columns and not fractions:
            raise ValueError(
                f"{where} has no column 'split', and these are not the faces that the network was trained on; "
                "use --split all"
            )
        rows = split_identities(manifest, split_column or column or "identity", fractions, seed)[split]
    if not len(rows):
        raise ValueError(f"the {split} split of {where} is empty; use --split all")
    identities = np.asarray(manifest.columns["identity"], dtype=str)[rows]
    groups = None
    if column is not None:
        of_identity = identity_groups(manifest, column)
        groups = np.asarray([of_identity[identity] for identity in identities.tolist()], dtype=str)
    what = "all images" if split == "all" else f"the {split} people"
    return Choice(rows, identities, groups, column, f"{what} of {where}")


def subject_of_embeddings(
    embeddings: Path, identities: Path, pairs: Path | None, group: str | None, split: str | None
) -> Subject:
    """Embeddings of any other system with the table beside them. Needs no torch."""
    vectors = read_embeddings(embeddings)
    manifest = read_identities(identities, len(vectors))
    choice = choose(manifest, identities.name, group, split or "all")
    listed_pairs, notes = None, ()
    if pairs is not None:
        if pairs.suffix == ".bin":
            raise ValueError(
                f"{pairs} holds images, which embeddings of another system do not answer for; give pairs.csv"
            )
        listed_pairs, notes = pairs_of(pairs, manifest, choice)
    return Subject(
        embeddings.stem,
        0,
        vectors[choice.rows],
        choice.identities,
        choice.groups,
        choice.group_column,
        choice.description,
        listed_pairs,
        None,
        notes,
    )


def subjects_of_networks(
    networks: Sequence[Path],
    faces: Path,
    pairs: Path | None,
    group: str | None,
    split: str | None,
    processes: ProcessGroup,
    say: Say,
) -> list[Subject]:
    """Trained networks on the faces of a folder, one subject each.

    Without `split`, the test people where a network was trained on these very faces, and all images otherwise.
    """
    from dualfair.evaluation.scoring.distributed import embed_together
    from dualfair.runs.config import numbers
    from dualfair.runs.standalone import open_standalone
    from dualfair.supernet.images.face_set import FaceSet
    from dualfair.supernet.images.importers.importing import PAIRS
    from dualfair.supernet.images.store import open_store

    store = open_store(faces)
    pairs_file = pairs or (faces / PAIRS if (faces / PAIRS).is_file() else None)
    subjects = []
    for path in networks:
        standalone = open_standalone(path, processes.device, say if processes.leads else silent)
        size, about = standalone.network.skeleton.image_size, standalone.trained_on
        if store.size < size:
            raise ValueError(
                f"the faces are stored at {store.size} px, {path} takes {size} px; import them again with --size {size}"
            )
        at_home = about.faces_fingerprint == store.fingerprint
        fractions = numbers(about.split, ",", float, "split") if at_home else ()
        column = group or (about.group_column if at_home else None)
        choice = choose(
            store.manifest,
            str(faces),
            column,
            split or ("test" if at_home else "all"),
            fractions,
            about.split_seed,
            about.group_column if at_home else None,
        )
        notes = () if at_home or split else (f"{path} was trained on other faces: all images here are evaluated",)
        if at_home and split in ("all", "train"):
            notes = ("the network was trained on some of these people: its numbers are too good",)
        no_groups = np.full(len(choice.rows), "")
        images = FaceSet(store.pixels, choice.rows, choice.identities, no_groups, size)
        embeddings = embed_together(standalone.network, images, processes)
        listed_pairs = pair_subject = None
        if pairs_file is not None and pairs_file.suffix == ".bin":
            listed_pairs, pair_subject = _verification_set(pairs_file, standalone, size)
        elif pairs_file is not None:
            listed_pairs, more = pairs_of(pairs_file, store.manifest, choice)
            notes += more
        subjects.append(
            Subject(
                standalone.training.label,
                standalone.training.seed,
                embeddings,
                choice.identities,
                choice.groups,
                choice.group_column,
                choice.description,
                listed_pairs,
                pair_subject,
                notes,
            )
        )
    return subjects


def pairs_of(path: Path, manifest: Manifest, choice: Choice) -> tuple[object, tuple[str, ...]]:
    """The pairs of a file that are among the chosen images, and notes on those that are not."""
    from dualfair.evaluation.metrics.pairs import Pairs
    from dualfair.supernet.images.pairs import read_lfw_pairs, read_pairs

    listed = (read_lfw_pairs if path.suffix == ".txt" else read_pairs)(path, manifest)
    kept = listed.take(choice.rows, manifest)
    if not len(kept):
        raise ValueError(f"{path}: none of the {len(listed)} pairs is of the evaluated images; use --split all")
    groups = np.full(len(choice.rows), "everyone") if choice.groups is None else choice.groups
    both = np.stack([groups[kept.left], groups[kept.right]], axis=1)
    left_out = f"{len(kept.dropped)} pairs of {path} are not of the evaluated images"
    pairs = Pairs(kept.left, kept.right, kept.same, kept.fold, both)
    return pairs, (left_out,) if kept.dropped else ()


def _verification_set(path: Path, standalone, size: int) -> tuple[object, Subject]:
    """The pairs of a .bin verification set, and the network's embeddings of its images."""
    import io

    from PIL import Image

    from dualfair.evaluation.metrics.pairs import Pairs, contiguous_folds
    from dualfair.evaluation.scoring.embedding import embed
    from dualfair.supernet.images.face_set import FaceSet
    from dualfair.supernet.images.importers.verification_bin import read_bin
    from dualfair.supernet.images.store import square

    verification_set = read_bin(path)
    pixels = np.empty((len(verification_set.images), size, size, 3), dtype=np.uint8)
    for row, encoded in enumerate(verification_set.images):
        try:
            with Image.open(io.BytesIO(encoded)) as image:
                pixels[row] = square(image, size)
        except (OSError, ValueError, SyntaxError) as error:
            raise ValueError(f"{path}: image {row} cannot be read ({error})") from error
    n = len(verification_set.same)
    left, right = np.arange(0, 2 * n, 2), np.arange(1, 2 * n, 2)
    # The file names nobody: the two images of a genuine pair are one person, all others are taken for different ones.
    names = np.array(
        [f"{row // 2:06d}{'' if verification_set.same[row // 2] else 'ab'[row % 2]}" for row in range(2 * n)]
    )
    nobody = np.full(2 * n, "everyone")
    embeddings = embed(standalone.network, FaceSet(pixels, np.arange(2 * n), names, nobody, size))
    pairs = Pairs(
        left, right, verification_set.same, contiguous_folds(n), np.stack([nobody[left], nobody[right]], axis=1)
    )
    return pairs, Subject(standalone.training.label, standalone.training.seed, embeddings, names, None, None, str(path))


def read_identities(path: Path, images: int) -> Manifest:
    """The table beside embeddings of another system: a CSV with `identity` and any attributes, one row an embedding."""
    try:
        columns = read_table(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    columns.setdefault("path", tuple(str(row) for row in range(len(next(iter(columns.values()))))))
    manifest = Manifest(columns)
    if len(manifest) != images:
        raise ValueError(f"{path} has {len(manifest)} rows for {images} embeddings; it needs one row an embedding")
    return manifest


def read_embeddings(path: Path) -> np.ndarray:
    """Embeddings (N, D) from an .npy file; nothing in the file is executed."""
    try:
        embeddings = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no .npy array of numbers ({error}); write one with numpy.save") from error
    if not isinstance(embeddings, np.ndarray) or embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu":
        shape = getattr(embeddings, "shape", "several arrays")
        raise ValueError(f"{path} must hold real numbers of shape (images, D), got {shape}")
    return embeddings
