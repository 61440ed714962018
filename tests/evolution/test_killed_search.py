"""Processes killed by SIGKILL while they write an archive, and several at work on one file."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dualfair.evolution.archive import Archive
from dualfair.evolution.nsga2 import evolve
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SPACES

ROOT = Path(__file__).parents[2]
NAME = "scores.sqlite"
COLUMNS = ("error", "disparity")

WRITER = """
import sys
from dualfair.evolution.archive import Archive
from dualfair.supernet.genotype import Genotype
path, label, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Archive(path, measurement="m", columns=("error", "disparity")) as archive:
    start = len(archive) if label < 0 else 0
    for number in range(start, count):
        archive.add([Genotype(((max(label, 0), number),))], [[number / 7, -number]])
        print(number, flush=True)
"""


def writer(path, label=-1, count=10**6):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, path, str(label), str(count)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def kill_often(path, kills):
    rng, written = random.Random(kills), 0
    for _ in range(kills):
        child = writer(path)
        first = child.stdout.readline()
        assert int(first) == written, "what was lost would be written again"
        time.sleep(rng.uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
        acknowledged = int((first + child.communicate()[0]).split("\n")[-2])
        with Archive(path, measurement="m", columns=COLUMNS) as archive:
            values = [evaluation.values for evaluation in archive]
            assert archive.repaired == ""
        # One more may be on the disk than the child came to say.
        assert len(values) in (acknowledged + 1, acknowledged + 2)
        assert values == [(number / 7, -number) for number in range(len(values))]
        written = len(values)


def test_a_killed_writer_loses_nothing_that_it_had_added(tmp_path):
    kill_often(tmp_path / NAME, 5)


@pytest.mark.slow
def test_a_writer_killed_20_times_loses_nothing_that_it_had_added(tmp_path):
    kill_often(tmp_path / NAME, 20)


def test_two_writers_wait_for_each_other_and_a_reader_sees_whole_evaluations_only(tmp_path):
    path = tmp_path / NAME
    with Archive(path, measurement="m", columns=COLUMNS) as reader:
        children = [writer(path, label, 150) for label in (1, 2)]
        seen = 0
        while any(child.poll() is None for child in children):
            values = [evaluation.values for evaluation in reader]
            assert len(values) >= seen and all(error == -disparity / 7 for error, disparity in values)
            seen = len(values)
        assert [child.wait() for child in children] == [0, 0] and len(reader) == 300
        assert {str(evaluation.genotype) for evaluation in reader} == {
            str(Genotype(((label, number),))) for label in (1, 2) for number in range(150)
        }
        for child in children:
            child.stdout.close()


SEARCH = """
import sys, time
import numpy as np
from dualfair.evolution.archive import Archive
from dualfair.evolution.nsga2 import evolve
from dualfair.supernet.space import SPACES
def score(genotypes):
    time.sleep(0.002 * len(genotypes))
    codes = np.array([genotype.indices for genotype in genotypes], dtype=float)
    with open(sys.argv[2], "a") as file:
        file.writelines(f"{genotype}\\n" for genotype in genotypes)
    return np.stack([np.sin(codes @ np.arange(1, 14)), np.cos(codes.sum(axis=1))], axis=1)
print("begins", flush=True)
with Archive(sys.argv[1], measurement="m", columns=("error", "disparity")) as archive:
    result = evolve(SPACES["dpn81"], score, population=8, generations=6, seed=1, archive=archive, batch=4)
print([(str(e.genotype), e.values) for e in result.front], result.trace, result.reference)
"""


def test_a_search_killed_by_sigkill_anywhere_ends_in_the_same_front_and_scores_nothing_twice(tmp_path):
    def run(path, log):
        return subprocess.Popen([sys.executable, "-c", SEARCH, path, log], cwd=ROOT, stdout=subprocess.PIPE, text=True)

    whole, _ = run(tmp_path / "whole.sqlite", tmp_path / "whole.txt").communicate()
    rng, printed, kills = random.Random(0), "", 0
    while len(printed.splitlines()) < 2:
        child = run(tmp_path / NAME, tmp_path / "log.txt")
        child.stdout.readline()
        if kills < 3:
            time.sleep(rng.uniform(0.0, 0.06))
            child.kill()
            kills += 1
        printed = "begins\n" + child.communicate()[0]
    assert printed == whole
    requested = (tmp_path / "log.txt").read_text().split()
    # A call that was killed before its scores were in the archive is made again: at most its four genotypes a kill.
    assert len(requested) - len(set(requested)) <= 4 * kills
    assert set(requested) == set((tmp_path / "whole.txt").read_text().split())
    evaluations = []
    for name in (NAME, "whole.sqlite"):
        with Archive(tmp_path / name, measurement="m", columns=COLUMNS) as archive:
            evaluations.append(list(archive))
    assert evaluations[0] == evaluations[1]


def test_killed_between_proposing_and_scoring_the_same_genotypes_are_proposed_again(tmp_path):
    requested = []

    def score(genotypes):
        requested.append(list(genotypes))
        if len(requested) == 3:
            raise KeyboardInterrupt
        return np.array([[sum(genotype.indices), -genotype.indices[0]] for genotype in genotypes], dtype=float)

    for _ in range(2):
        with Archive(tmp_path / NAME, measurement="m", columns=COLUMNS) as archive:
            try:
                evolve(SPACES["dpn81"], score, population=6, generations=4, seed=3, archive=archive)
            except KeyboardInterrupt:
                assert len(requested) == 3 and len(archive) == 12
    assert requested[3] == requested[2] and len(requested) == 3 + 2
