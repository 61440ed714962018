"""Planning copies no number of a stage: it follows theirs."""

import subprocess
import sys
from pathlib import Path

import pytest

CHANGED = """
from dualfair.evaluation.scoring import embedding
from dualfair.evolution import baselines
from dualfair.runs import options
from dualfair.stages import confirm, inherited, search

confirm.RANDOM, inherited.CALIBRATION = 5, 3
confirm.GENOTYPES_A_CALL, search.SAMPLE = 7, 4
baselines.LIMIT, options.BATCH, embedding.MIRRORED, search.FREE = 300, 11, 3, ("pixels",)

import math

from dualfair.evaluation.cost import expected_macs
from dualfair.evaluation.scoring.sharing import expected_work, work
from dualfair.planning import forecast, measurement, memory
from dualfair.planning.counts import FaceCounts
from dualfair.planning.workload import Workload
from dualfair.supernet.skeleton import SKELETONS
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe
from tests.support.workloads import workload_of

faces = FaceCounts(training=96, classes=12, validation=40, test=30, confirmation=20)
skeleton = SKELETONS["nano"].resized(32, (1, 1, 1, 1))
evolved = workload_of(dpn_space("dpn81"), skeleton, faces=faces, calibrate=10)
assert evolved.confirmations == 16 + 5 and evolved.confirmation_calibrate(10) == 30 and evolved.batch == 11
everything = workload_of(dpn_space("dpn81-shared"), skeleton, faces=faces, exhaustive=True, confirm_candidates=2)
assert everything.confirmations == 2 + 4 and faces.passes == 3
genotypes = list(everything.space.enumerate())
calls = [genotypes[start:start + 7] for start in range(0, 243, 7)]
shared = sum(work(call, skeleton).shared for call in calls)
one, nothing = forecast.Span(1, 1, 1), forecast.NOTHING
passed = measurement.Measurement(
    train_step=nothing, retrain_step=nothing, scoring=one, judging=nothing, repetitions={},
)
images = 512 + 3 * 40, 96 + 3 * 20
confirmed = expected_work(everything.space, skeleton, 6, 7)
macs = (shared + expected_macs(everything.space, skeleton)) * images[0] + confirmed * images[1]
assert math.isclose(forecast.forecast(everything, passed).stages[1].seconds.middle, macs)
measured = measurement.Measurement(
    train_step=nothing, retrain_step=nothing, scoring=nothing, judging=one, repetitions={},
)
searched = forecast.forecast(everything, measured).stages[1].seconds.middle
assert searched == (243 + 1) * 40**2 + 2 * 6 * 20**2, searched
try:
    workload_of(dpn_space("dpn729-shared"), skeleton, exhaustive=True)
except ValueError as error:
    assert "more than the 300 of an exhaustive search" in str(error), error
else:
    raise AssertionError("the limit is not that of an exhaustive search")
"""


@pytest.mark.slow
def test_a_plan_follows_the_numbers_of_the_stages():
    run = subprocess.run([sys.executable, "-c", CHANGED], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
