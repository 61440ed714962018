"""Planning copies no number of a stage: it follows theirs, and the numbers that stand in it are its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dualfair.planning

OWN_NUMBERS = {
    "flops": {"FORWARD", "TRAINING"},
    "forecast": {"RANKED_AGAIN"},
    "limits": set(),
    "live_memory": set(),
    "measurement": {"SHARES", "STANDALONE", "SCORED", "JUDGED", "FEW", "_FEW_RESAMPLES"},
    "memory": {"FLOAT"},
    "options": {"Terms.efficiency", "PlanOptions.seconds"},
    "plan": set(),
    "report": {"_UNITS"},
    "spans": {"STUDY_WATTS", "STUDY_KG_PER_KWH"},
    "stopwatch": {"repeated.most"},
    "workload": set(),
}
"""Numbers other than 0 and 1 that have a name in a module and are planning's own: of its units, of a published study,
and of how it measures. What a stage decides is imported from it and not in this table."""


def named_numbers(body, prefix=""):
    """The names in a module, a class or a signature that hold numbers written out, other than 0 and 1."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from named_numbers(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            arguments = node.args
            positional = arguments.args[len(arguments.args) - len(arguments.defaults) :]
            for argument, value in (
                *zip(positional, arguments.defaults, strict=True),
                *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
            ):
                if value is not None and numbers_in(value):
                    yield f"{prefix}{node.name}.{argument.arg}"
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None and numbers_in(node.value):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            yield f"{prefix}{target.id}"


def numbers_in(value):
    numbers = {
        each.value for each in ast.walk(value) if isinstance(each, ast.Constant) and type(each.value) in (int, float)
    }
    # What is computed from imported numbers is no number of its own.
    written_out = isinstance(value, (ast.Constant, ast.Tuple, ast.List, ast.Dict))
    option = isinstance(value, ast.Call) and value.args and isinstance(value.args[0], ast.Constant)
    return (written_out or option) and bool(numbers - {0, 1})


@pytest.mark.parametrize(
    "path", sorted(Path(dualfair.planning.__path__[0]).glob("[!_]*.py")), ids=lambda path: path.stem
)
def test_numbers_that_stand_in_planning_are_its_own(path):
    assert set(named_numbers(ast.parse(path.read_text()).body)) == OWN_NUMBERS[path.stem]


CHANGED = """
from dualfair.evaluation.scoring import embedding
from dualfair.evolution import baselines
from dualfair.runs import options
from dualfair.runs.records import training
from dualfair.stages import confirm, correlate, search, search_announcement

confirm.RANDOM, confirm.CALIBRATION = 5, 3
search.GENOTYPES_A_CALL, search.SAMPLE = 7, 4
baselines.LIMIT, options.BATCH, options.RESAMPLES, embedding.MIRRORED = 300, 11, 30, 3
search_announcement.FREE, correlate.BASELINES = ("pixels",), ("params",)

from dualfair.planning import forecast, measurement
from dualfair.planning.workload import FaceCounts, Workload
from dualfair.supernet.skeleton import SKELETONS
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe
from tests.support.workloads import workload_of

faces = FaceCounts(training=96, identities=12, validation=40, test=30, confirmation=20)
skeleton = SKELETONS["nano"].resized(32, (1, 1, 1, 1))
evolved = workload_of(dpn_space("dpn81"), skeleton, faces=faces, calibrate=10)
assert evolved.confirmations == 16 + 5 and evolved.confirming.calibrate == 30 and evolved.batch == 11
everything = workload_of(dpn_space("dpn81-shared"), skeleton, faces=faces, exhaustive=True, confirm_candidates=2)
assert everything.calls == (7,) * 34 + (5,) and everything.confirmations == 2 + 4
assert forecast.CORRELATIONS == 2 * 2 * 2 and forecast.MIRRORED == 3 and measurement.RESAMPLES == 30
one, nothing = forecast.Span(1, 1, 1), forecast.NOTHING
measured = measurement.Measurement(
    train_step=nothing, retrain_step=nothing, calibration=nothing, embedding=nothing, judging_linear=one,
    judging_square=nothing, correlation=nothing, repetitions={},
)
searched = forecast.forecast(everything, measured).stages[1].seconds.middle
assert searched == (243 + 1) * 40 + 2 * 6 * 20, searched
try:
    workload_of(dpn_space("dpn729-shared"), skeleton, exhaustive=True)
except ValueError as error:
    assert "more than the 300 of an exhaustive search" in str(error), error
else:
    raise AssertionError("the limit is not that of an exhaustive search")
"""


def test_a_plan_follows_the_numbers_of_the_stages():
    run = subprocess.run([sys.executable, "-c", CHANGED], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
