"""The Python door: the same stages as the command line's, quietly, from any thread, with records as results."""

import importlib
import inspect
import json
import subprocess
import sys
import threading
from dataclasses import fields

import numpy as np
import pytest
import torch

import dualfair
from dualfair import door
from dualfair.__main__ import load_command
from dualfair.evaluation.options import EvaluateOptions
from dualfair.runs.options import ConstraintOptions, ProtocolOptions, RetrainOptions, SearchOptions, TrainOptions
from dualfair.runs.watching import Stopped
from dualfair.supernet.training.recipe import Recipe

CONFIGS = {
    "train": (TrainOptions, Recipe),
    "search": (SearchOptions, ProtocolOptions, ConstraintOptions),
    "retrain": (RetrainOptions, Recipe),
    "correlate": (),
    "evaluate": (EvaluateOptions,),
    "export": (),
}
WATCHING = {"say", "progress", "should_stop"}
SMALL = {"space": "dpn81-shared", "size": 32, "split": "0.4,0.4,0.2", "epochs": 2, "batch": 16, "device": "cpu"}
"""Epochs are a number with a point; a whole one does."""


@pytest.mark.parametrize("name", CONFIGS)
def test_keyword_arguments_are_the_options_of_the_command(name):
    command = load_command(name)
    options = {parameter.name for parameter in command.params}
    signature = inspect.signature(getattr(door, name)).parameters
    named = {each.name for each in signature.values() if each.kind is not each.VAR_KEYWORD} - WATCHING
    of_configs = {field.name for config in CONFIGS[name] for field in fields(config) if "help" in field.metadata}
    assert named | of_configs == options
    assert not any(importlib.import_module("keyword").iskeyword(option) for option in options)


def test_what_is_recorded_but_no_option_is_refused_at_the_door_and_in_presets(tmp_path):
    with pytest.raises(TypeError, match="unexpected option 'images_at_once'"):
        door.search(tmp_path / "run", images_at_once=64)
    (preset := tmp_path / "mine.toml").write_text("images_at_once = 64")
    with pytest.raises(ValueError, match="unknown option 'images_at_once'"):
        door.search(tmp_path / "run", preset=str(preset))


def test_an_export_has_the_defaults_of_its_command():
    keywords = {
        name: parameter.default
        for name, parameter in inspect.signature(door.export).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "say"
    }
    command = load_command("export")
    options = command.make_context("export", ["NETWORK", "--to", "FOLDER"]).params
    assert keywords == {name: value for name, value in options.items() if name not in ("network", "to")}


def test_names_at_the_door_are_there_and_nothing_is_loaded_before_it_is_asked_for():
    code = (
        "import sys, dualfair\n"
        "assert not {'torch', 'numpy', 'click'} & set(sys.modules)\n"
        "missing = [name for name in dualfair.__all__ if getattr(dualfair, name, None) is None]\n"
        "assert not missing and set(dualfair.__all__) == set(dir(dualfair)), missing"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dualfair.nothing  # noqa: B018


def test_type_checkers_see_the_names_that_are_loaded_late():
    declared = inspect.getsource(dualfair).split("if TYPE_CHECKING:")[1].split("_HOMES")[0]
    for module, names in dualfair._HOMES.items():
        for name in names:
            assert f"from dualfair.{module} import" in declared and name in declared
    assert sorted(dualfair.__all__) == sorted(dualfair._MODULE_OF)


def test_values_of_the_field_at_the_door():
    genotype = dualfair.Genotype.parse("101-101-101-101:cosface")
    assert dualfair.parameters(genotype, "nano") > 0 and dualfair.macs(genotype, "nano", 48) > 0
    network = dualfair.build(genotype, "nano")
    assert network(torch.zeros(2, 3, 48, 48)).shape[0] == 2
    paths = dualfair.StrictFairSampler([9, 3], 0).deal()
    assert paths.shape == (9, 2) and sorted(paths[:, 0].tolist()) == list(range(9))
    found = dualfair.ranks(np.eye(4)[[0, 0, 1, 1]], np.array([0, 0, 1, 1]), "images")
    assert found.values.tolist() == [0, 0, 0, 0]
    assert dualfair.DISPARITIES["rank_disparity"](np.array([0.0, 4.0, 1.0, 1.0]), np.array(list("aabb"))) == 1.0


def test_a_search_of_ones_own_scores_needs_no_torch():
    code = (
        "import sys, dualfair\n"
        "space = dualfair.SPACES['dpn81-shared']\n"
        "score = lambda genotypes: [[sum(map(sum, g.blocks)), -sum(map(sum, g.blocks))] for g in genotypes]\n"
        "import numpy as np\n"
        "result = dualfair.evolve(space, lambda gs: np.array(score(gs), float), population=8, generations=2, seed=1)\n"
        "assert result.front and 'torch' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with faces, and a run trained and searched through the door, in a thread that is not the main one."""
    folder = tmp_path_factory.mktemp("door")
    dualfair.generate_faces(folder / "faces", identities=30, images=4, size=32)
    results, before = {}, torch.random.get_rng_state()

    def work():
        results["checkpoint"] = dualfair.train(folder / "faces", folder / "run", **SMALL)
        results["front"] = dualfair.search(folder / "run", population=4, generations=2, calibrate=16, device="cpu")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert torch.equal(torch.random.get_rng_state(), before), "torch's generator changed behind the caller's back"
    (folder / "results.json").write_text(json.dumps({name: each.to_json() for name, each in results.items()}))
    return folder, results


def test_a_stage_returns_what_it_wrote(folder):
    place, results = folder
    checkpoint, front = results["checkpoint"], results["front"]
    assert checkpoint.step == checkpoint.steps and checkpoint.fewest_updates == checkpoint.most_updates > 0
    run = dualfair.open_run(place / "run")
    assert run.front.to_json() == json.loads((place / "run/search/front.json").read_text()) == front.to_json()
    assert run.training.recipe.epochs == 2.0 and run.searched.options.population == 4
    assert [stage.state for stage in run.status.stages[:2]] == ["finished", "finished"]
    with pytest.raises(ValueError, match=r"no ranking\.json of correlate yet; run 'dualfair correlate' first"):
        run.ranking  # noqa: B018


def test_the_door_is_quiet_and_says_what_it_is_asked_to(folder, capfd):
    place, _ = folder
    lines, steps = [], []
    dualfair.search(
        place / "run", population=4, generations=2, calibrate=16, device="cpu", say=lines.append, progress=steps.append
    )
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""
    assert lines[0].startswith("Search: 4 genotypes x 2 generations") and lines[-1].startswith("Searched: 8 genotypes")
    assert [(step.work, step.done, step.total) for step in steps] == [("search", 1, 2), ("search", 2, 2)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda run: dualfair.train("faces", run, epoch=3), TypeError, r"train\(\) got an unexpected option 'epoch'"),
        (lambda run: dualfair.search(run, population=1), ValueError, "population must be"),
        (lambda run: dualfair.search(run, exhaustive=True, start=["paper"]), ValueError, "leave out --start"),
        (lambda run: dualfair.correlate(), ValueError, "give either --run RUN, or --table"),
        (lambda run: dualfair.search(run / "none"), ValueError, "there is no run directory"),
        (lambda run: dualfair.open_run(run / "none").front, ValueError, "run 'dualfair search' first"),
    ],
)
def test_mistakes_are_ordinary_errors(folder, call, error, message):
    with pytest.raises(error, match=message):
        call(folder[0] / "run")


def test_a_training_that_is_stopped_goes_on_where_it_was(folder, tmp_path):
    place, results = folder
    asked = iter([False, False, True])
    with pytest.raises(Stopped, match=r"train was stopped at step 3 of \d+, and saved"):
        dualfair.train(place / "faces", tmp_path / "run", **SMALL, should_stop=lambda: next(asked))
    whole = dualfair.train(place / "faces", tmp_path / "run", **SMALL)
    digests = [
        json.loads(path.read_text())["sha256"]
        for run in (place / "run", tmp_path / "run")
        for path in [sorted((run / "train").glob("step-*.json"))[-1]]
    ]
    assert whole.step == results["checkpoint"].step and digests[0] == digests[1]


def test_a_search_that_is_stopped_keeps_its_scores(folder, tmp_path):
    place, _ = folder
    length = {"population": 4, "generations": 3, "calibrate": 16, "seed": 7, "device": "cpu"}
    with pytest.raises(Stopped, match="stopped behind generation 1"):
        dualfair.search(place / "run", **length, should_stop=lambda: True)
    lines = []
    dualfair.search(place / "run", **length, say=lines.append)
    assert any("12 genotypes, 4 of them known before" in line for line in lines), lines
