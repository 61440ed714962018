"""The parts of a report: counters, usage and costs, each against numbers worked by hand; and what its figures show."""

import json
from xml.etree import ElementTree

import pytest

from dualfair.evaluation.over_seeds import SeedMean, TrainedNetwork
from dualfair.evolution.archive import Archive
from dualfair.planning.options import kilograms
from dualfair.presentation.figures import svg
from dualfair.presentation.network import network_figure
from dualfair.reporting.architecture import architecture
from dualfair.reporting.cost import Factors, cost_tables
from dualfair.reporting.page import trained_picture
from dualfair.reporting.run import RunReport
from dualfair.reporting.setting import Setting
from dualfair.reporting.tables import count_updates
from dualfair.runs.layout import RunLayout
from dualfair.runs.run_files import RunFiles
from dualfair.stages.recommendation import Choice, Recommendation
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import SKELETONS
from dualfair.supernet.space import SPACES, ChoiceBlock, SearchSpace
from dualfair.supernet.training.checkpoint import save_checkpoint
from tests.support import records as whole_records

NANO, SPACE = SKELETONS["nano"], SPACES["dpn81"]


def words(picture):
    """What is written in a figure."""
    return " ".join(ElementTree.fromstring(svg(*picture)).itertext())


def setting(space=SPACE):
    people = {"train": {"a": 6, "b": 4}}
    return Setting(whole_records.train_config(sampler="strict", batch=8), NANO, space, people, {"train": 60})


def files_of(path):
    return RunFiles(RunLayout(path), "run")


def counters(run, about, updates, heads):
    dealt = {"operation_updates": updates, "head_updates": heads, "skipped": 2}
    save_checkpoint(run / "train", {"dealt": json.dumps(dealt)}, **about(5, 5))
    return files_of(run)


def test_equal_counters_are_called_equal_and_one_update_more_is_not(tmp_path, about):
    updates = [[[5] * 9 for _ in range(3)] for _ in range(4)]
    heads = {"arcface": 15, "cosface": 15, "magface": 15}
    counted, _ = count_updates(counters(tmp_path / "a", about, updates, heads), setting())
    assert (counted.equal, counted.least, counted.most, counted.skipped) == (True, 5, 5, 2)
    updates[3][1][8] = 6
    counted, content = count_updates(counters(tmp_path / "b", about, updates, heads), setting())
    assert (counted.equal, counted.least, counted.most) == (False, 5, 6)
    assert [row["place"] for row in content.records() if not row["equal"]] == ["block 4, position 2"]
    updates[3][1][8] = 5
    uneven = {**heads, "cosface": 14, "magface": 16}
    counted, content = count_updates(counters(tmp_path / "c", about, updates, uneven), setting())
    assert not counted.equal and content.rows[-1] == ("head", 3, 14, 16, False)
    # 45 paths over two heads.
    counted, _ = count_updates(counters(tmp_path / "d", about, updates, {"arcface": 22, "own": 23}), setting())
    assert counted.equal


def test_an_operation_that_was_never_trained_counts_and_one_outside_the_space_does_not(tmp_path, about):
    genes = tuple((block, position) for block in range(4) for position in range(3))
    space = SearchSpace([ChoiceBlock("all", ("pre3", "post3"), genes, (0, 6)), ChoiceBlock("head", ("cosface",))])
    updates = [[[5, 0, 0, 0, 0, 0, 5, 0, 0] for _ in range(3)] for _ in range(4)]
    counted, _ = count_updates(counters(tmp_path / "a", about, updates, {"cosface": 10}), setting(space))
    assert counted.equal and counted.least == 5
    counted, _ = count_updates(counters(tmp_path / "b", about, updates, {"cosface": 10}), setting())
    assert not counted.equal and counted.least == 0


def test_without_a_checkpoint_there_are_no_counters(tmp_path):
    assert count_updates(files_of(tmp_path), setting()) is None


def test_a_drawing_has_every_block_with_its_operations_widths_and_sizes():
    found = architecture("101-280-303-747:magface", NANO)
    assert [[one["name"] for one in block["operations"]] for block in found["blocks"]] == [
        ["pre1", "pre3", "pre1"], ["pre5", "post5", "pre3"], ["raw3", "pre3", "raw3"], ["post1", "raw1", "post1"]
    ]  # fmt: skip
    # 48 px: stem and pool halve to 12, stages 2 to 4 halve again.
    assert [block["side"] for block in found["blocks"]] == [12, 6, 3, 2]
    assert [block["out"] for block in found["blocks"]] == [shape.out_channels for shape in NANO.block_shapes()]
    text = words((network_figure(found), "drawing"))
    assert all(f"block {number}" in text for number in (1, 2, 3, 4)) and "magface" in text and "raw1" in text
    with pytest.raises(ValueError, match="has 2 blocks"):
        architecture("101-101:cosface", NANO)


def test_costs_are_hours_times_factors(tmp_path, about):
    run = files_of(tmp_path)
    save_checkpoint(tmp_path / "train", {}, **about(10, 10, seconds=1800.0, ranks=2))
    folder = tmp_path / "retrain/101-101-101-101_cosface/seed-0"
    save_checkpoint(folder, {}, **about(20, 20))
    result = whole_records.result_of("101-101-101-101:cosface", seconds=360.0)
    result.write(folder / "result.json")
    whole_records.retrain_config(batch=4).write(tmp_path / "retrain/config.json")
    (tmp_path / "search").mkdir()
    whole_records.search_config(evaluations=50).write(tmp_path / "search/config.json")
    with Archive(tmp_path / "search/scores.sqlite", measurement="m", columns=("e", "d"), objectives=2) as archive:
        archive.add([Genotype.parse(f"{code}01-101-101-101:cosface") for code in (1, 2)], [[0.1, 1], [0.2, 1]], 90.0)
    found = cost_tables(run, setting(), [result], Factors(watts=100.0, kg_per_kwh=0.5))
    spent = {row["what"]: row for row in found["cost"].records()}
    assert spent["train: steps"]["device hours"] == pytest.approx(1.0)
    assert spent["search: scores"]["count"] == 2 and spent["search: scores"]["device hours"] == pytest.approx(0.05)
    assert spent["retrain: trainings"]["device hours"] == pytest.approx(0.1)
    assert spent["together"]["device hours"] == pytest.approx(1.15)
    assert spent["together"]["kg CO2eq"] == pytest.approx(kilograms(1.15 * 3600, 100.0, 0.5))
    instead = {row["what"]: row for row in found["cost-instead"].records()}
    assert instead["every network that the search scored"]["device hours"] == pytest.approx(50 * 0.1)
    assert instead["every network of the space"]["count"] == SPACE.size
    assert instead["every network that the search scored"]["times train and search"] == pytest.approx(5 / 1.05)


def test_without_a_training_the_cost_of_all_candidates_is_not_made_up(tmp_path, about):
    assert cost_tables(files_of(tmp_path), setting(), [], Factors()) == {}
    save_checkpoint(tmp_path / "train", {}, **about(10, 10))
    assert list(cost_tables(files_of(tmp_path), setting(), [], Factors())) == ["cost"]


def trained(label, error, second, samples=("random",)):
    test = {"error": SeedMean((), error, 0.01), "my_objective": SeedMean((), second, None)}
    return TrainedNetwork(label, 2, {}, test, 9, (), samples, macs=100.0)


@pytest.mark.parametrize(
    ("objectives", "axes"),
    [
        (["error", "my_objective"], ("error, test people", "my objective, test people")),
        (["my_objective", "error", "third"], ("my objective, test people", "error, test people")),
        (["error"], ("error, test people", "MACs")),
    ],
)
def test_trained_networks_are_drawn_by_the_first_objectives_and_numbered(objectives, axes):
    networks = trained("a", 0.1, 2.0, ("front",)), trained("b", 0.2, None), trained("c", 0.3, 1.0)
    choice = Recommendation((Choice("b", (), 0),))
    text = words(trained_picture(RunReport(name="r", objectives=objectives, networks=networks, choice=choice)))
    assert all(f"{axis}, lower is better" in text for axis in axes)
    assert "on the front of the search (n = 1)" in text and "random networks (n = 2)" in text and "first choice" in text
    assert ("2" in text.split()) == (objectives == ["error"]), "what has no value is not drawn"
