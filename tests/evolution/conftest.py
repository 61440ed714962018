"""Archives to damage, and what was written to them."""

import random
import shutil
from types import SimpleNamespace

import pytest

from dualfair.evolution.archive import Archive
from dualfair.supernet.genotype import Genotype

COLUMNS = ("error", "disparity", "error of a")
MEASUREMENTS = tuple(f"weights {number} {'x' * 200}" for number in range(2))


def _open(path, number=0):
    return Archive(path, measurement=MEASUREMENTS[number], columns=COLUMNS)


def _genotype(number):
    return Genotype(((number // 81 % 9, number // 9 % 9, number % 9), (1, 0, 1)), "cosface")


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Two folders with an archive of two measurements, 25 evaluations each.

    `closed` is as an archive is left behind, `killed` as a killed process leaves it: the second measurement is in the
    write-ahead log only. `truth` are the values by number of the measurement and genotype.
    """
    rng = random.Random(0)
    folders = {name: tmp_path_factory.mktemp(name) for name in ("closed", "killed")}
    path, truth = folders["closed"] / "scores.sqlite", {}
    for measurement in range(2):
        with _open(path, measurement) as archive:
            for number in range(25):
                values = tuple(rng.random() for _ in COLUMNS)
                archive.add([_genotype(number)], [values], seconds=0.5)
                truth[measurement, _genotype(number)] = values
            if measurement == 1:
                for part in ("", "-wal"):
                    shutil.copy(f"{path}{part}", folders["killed"])
    return SimpleNamespace(truth=truth, names=MEASUREMENTS, **folders)


@pytest.fixture
def read_both(written):
    """What an archive yields, opened for both measurements, and what it says was repaired; values checked."""

    def read_both(path):
        evaluations, repairs = {}, []
        for measurement in range(2):
            with _open(path, measurement) as archive:
                for evaluation in archive:
                    evaluations[measurement, evaluation.genotype] = evaluation.values
                repairs += [archive.repaired] if archive.repaired else []
        assert all(written.truth[key] == values for key, values in evaluations.items())
        return evaluations, repairs

    return read_both
