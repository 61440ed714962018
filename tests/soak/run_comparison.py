"""Compares what two runs came to, and what a run holds before and after a kill; times are left out. Needs no torch."""

import contextlib
import hashlib
import json
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dualfair.supernet.files import TEMPORARY
from dualfair.supernet.training.checkpoint import DAMAGED, checkpoints, read_record

WHOLE_FILES = (
    "faces/manifest.csv",
    "faces/pixels.npy",
    "faces/faces.json",
    "run/train/config.json",
    "run/search/config.json",
    "run/search/front.csv",
    "run/search/front.json",
    "run/search/hypervolume.csv",
    "run/retrain/config.json",
    "run/retrain/plan.json",
    "run/correlate/ranking.json",
)
"""Files that have to be equal to the byte."""

_ASKED = re.compile(r"Searched: ([\d,]+) genotypes, ([\d,]+) of them known before")


def differences(expected: Path, found: Path) -> list[str]:
    """What differs between two folders that hold `faces` and `run`, one sentence each; none for equal results.

    Compared are the faces, the last checkpoints (bytes, and the SHA-256 that their records state), every evaluation
    in the archive, the front, every result, and the ranking. What a killed writer left behind in `found`, and files
    that had to be set aside as damaged, count as differences.
    """
    one, other = results(expected), results(found)
    said = [f"{name} is missing" for name in one if name not in other]
    said += [f"{name} is there, but not in the undisturbed run" for name in other if name not in one]
    said += [
        f"{name} differs: {one[name]} undisturbed, {other[name]} here"
        for name in one
        if other.get(name, one[name]) != one[name]
    ]
    return said + [f"{path.relative_to(found)} was left behind" for path in left_behind(found)]


def results(folder: Path) -> dict[str, str]:
    """What a run has come to, by name: texts that are equal for equal results."""
    named = {name: _file_digest(folder / name) for name in WHOLE_FILES if (folder / name).is_file()}
    for place in training_folders(folder / "run"):
        if found := checkpoints(place):
            named[f"last checkpoint in {place.relative_to(folder)}"] = f"{found[-1].name} {_sealed(found[-1])}"
    named |= {
        f"result in {place.relative_to(folder)}": _result(place / "result.json")
        for place in training_folders(folder / "run")
        if (place / "result.json").is_file()
    }
    return named | {f"evaluation of {name}": values for name, (_, values) in evaluations(folder).items()}


def finished_work(folder: Path) -> dict[str, object]:
    """What a run may never lose or compute again: evaluations with their places in the archive, and results."""
    scores = {f"evaluation of {name}": row for name, row in evaluations(folder).items()}
    paths = sorted((folder / "run" / "retrain").glob("*/seed-*/result.json"))
    return scores | {f"{path.relative_to(folder)}": _file_digest(path) for path in paths}


def lost(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """What of the finished work is gone or was computed again, one sentence each."""
    gone = [f"{name} is gone after a kill" for name in before if name not in after]
    return gone + [f"{name} was written again" for name in before if name in after and after[name] != before[name]]


def evaluations(folder: Path) -> dict[str, tuple[str, str]]:
    """When every evaluation in a run's archive was made, and its values, by genotype and what it was measured with.

    When: its place among the others, and the seconds that it took, which no second evaluation takes again. A copy is
    read: opening an archive that a killed process left would clean it up before the next command does.
    """
    path = folder / "run" / "search" / "scores.sqlite"
    if not path.is_file():
        return {}
    with tempfile.TemporaryDirectory() as elsewhere:
        for part in (path, path.with_name(path.name + "-wal")):
            if part.is_file():
                shutil.copyfile(part, Path(elsewhere) / part.name)
        with contextlib.closing(sqlite3.connect(Path(elsewhere) / path.name)) as archive:
            try:
                rows = archive.execute(
                    'SELECT name, genotype, seconds, "values" FROM evaluations '
                    "JOIN measurements ON measurement = measurements.id ORDER BY evaluations.id"
                ).fetchall()
            except sqlite3.DatabaseError:
                # Killed before it was set up; what it held before a kill and holds no more is named as gone.
                return {}
    named: dict[str, tuple[str, str]] = {}
    places = Counter[str]()
    for measurement, genotype, seconds, values in rows:
        places[measurement] += 1
        name = hashlib.sha256(measurement.encode()).hexdigest()[:8]
        named[f"{genotype} by measurement {name}"] = (f"place {places[measurement]}, {seconds!r} s", values)
    return named


def asked_and_known(folder: Path) -> tuple[int, int] | None:
    """Genotypes that the last finished search of a run asked for, and how many of them it knew before."""
    log = folder / "run" / "log.txt"
    found = _ASKED.findall(log.read_text(encoding="utf-8")) if log.is_file() else []
    return tuple(int(number.replace(",", "")) for number in found[-1]) if found else None


def left_behind(folder: Path) -> list[Path]:
    """Temporary files, locks, and files that were set aside as damaged."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.name.endswith(TEMPORARY) or path.name == "lock.json" or DAMAGED in path.name
    )


def training_folders(run: Path) -> Iterator[Path]:
    """The folders of a run that hold checkpoints."""
    yield run / "train"
    yield from sorted((run / "retrain").glob("*/seed-*"))


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sealed(path: Path) -> str:
    """The SHA-256 of a checkpoint, and what its record says if that is something else."""
    digest = _file_digest(path)
    try:
        recorded = read_record(path).sha256
    except ValueError as error:
        return f"{digest}, but {error}"
    return digest if recorded == digest else f"{digest}, but its record says {recorded}"


def _result(path: Path) -> str:
    """A result as text, without times."""
    try:
        return json.dumps(_timeless(json.loads(path.read_text(encoding="utf-8"))), sort_keys=True)
    except ValueError as error:
        return f"damaged: {error}"


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {name: _timeless(inner) for name, inner in value.items() if name != "seconds"}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value
