"""Which networks are trained: the front, controls beside it, and random networks."""

from types import SimpleNamespace

import numpy as np
import pytest

from dualfair.evolution.archive import Archive
from dualfair.runs.layout import RunLayout
from dualfair.runs.options import RetrainOptions
from dualfair.runs.records.search import FrontNetwork
from dualfair.stages.inherited import Scoring
from dualfair.stages.retrain import random_networks, select
from dualfair.supernet.space import dpn_space
from tests.support.records import search_config

SPACE = dpn_space("dpn81-shared", 2)
NAMES = [f"{code}1{code}-{code}1{code}:cosface" for code in range(5)]


def select_of(monkeypatch, folder, values, confirmed=None, **options):
    """What is selected after a search in a folder that scored these networks: {name: (error, disparity)}."""
    archive = Archive(measurement="test", columns=("error", "rank_disparity"), objectives=2)
    archive.add([SPACE.parse(name) for name in values], np.array([*values.values()]), 1.0)
    for module in ("inherited", "retrain"):
        monkeypatch.setattr(f"dualfair.stages.{module}.recorded_search", lambda directory: search_config())
    monkeypatch.setattr("dualfair.stages.inherited.open_scoring", lambda *given, **options: Scoring(None, archive))
    monkeypatch.setattr("dualfair.stages.retrain.confirmed_front", lambda run: confirmed)
    config = SimpleNamespace(options=SimpleNamespace(seed=0))
    directory = SimpleNamespace(layout=RunLayout(folder), path=folder)
    run = SimpleNamespace(directory=directory, setting=SimpleNamespace(space=SPACE), config=config)
    return {str(genotype): of for genotype, of in select(run, RetrainOptions(**options)).items()}


def test_front_controls_and_random_networks_are_selected_with_their_samples(monkeypatch, tmp_path):
    space = [*SPACE.enumerate()]
    rng = np.random.default_rng(1)
    values = {str(space[place]): tuple(rng.random(2)) for place in rng.permutation(len(space))}
    chosen = select_of(monkeypatch, tmp_path, values, controls=4, random=200)
    front, even, random = (
        [name for name, of in chosen.items() if sample in of] for sample in ("front", "even", "random")
    )
    for objective in (0, 1):
        assert min(values, key=lambda name, of=objective: values[name][of]) in front
    assert len(front) <= 3 and len(even) == 4 and not {*front} & {*even} and len(random) == 200
    assert ("front", "random") in chosen.values() and ("even", "random") in chosen.values()
    fewer = select_of(monkeypatch, tmp_path, {name: values[name] for name in front}, controls=0, random=30)
    assert {name for name, of in fewer.items() if "random" in of} == {
        str(genotype) for genotype in random_networks(SPACE, 30, 0)
    }
    assert random_networks(SPACE, 30, 0) != random_networks(SPACE, 30, 1)
    assert random_networks(SPACE, 50, 0)[:30] == random_networks(SPACE, 30, 0)


def test_the_front_is_the_confirmed_one_where_there_is_one(monkeypatch, tmp_path):
    values = {name: (0.1 * place, 1.0 - 0.1 * place) for place, name in enumerate(NAMES)}
    fresh = {NAMES[3]: (0.1, 9.0), NAMES[1]: (0.2, 1.0), NAMES[2]: (0.3, 0.9), NAMES[0]: (0.9, 0.0)}
    confirmed = [
        FrontNetwork(SPACE.parse(name), {}, {"error": error, "rank_disparity": disparity})
        for name, (error, disparity) in fresh.items()
    ]
    chosen = select_of(monkeypatch, tmp_path, values, confirmed=confirmed, controls=2)
    front = [name for name, of in chosen.items() if "front" in of]
    assert front == [NAMES[1], NAMES[3], NAMES[0]], "the knee, then the best in each objective, on fresh people"
    assert {name for name, of in chosen.items() if "even" in of} == {NAMES[2], NAMES[4]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"random": -1}, "controls and random 0 or more, got 2, 6 and -1"),
        ({"random": 244}, "random must be at most 243, all networks of space dpn81-shared; got 244"),
    ],
)
def test_random_networks_that_cannot_be_drawn_are_refused(monkeypatch, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        select_of(monkeypatch, tmp_path, {name: (1.0, 2.0) for name in NAMES}, **options)
