"""The parts of a report: counters, usage, drawings, costs and charts, each against numbers worked by hand."""

import json
from xml.etree import ElementTree

import pytest

from dualfair.evaluation.cost import macs
from dualfair.evolution.archive import Archive
from dualfair.planning.spans import kilograms
from dualfair.reporting import drawings, sections
from dualfair.reporting.architecture import architecture
from dualfair.reporting.cost import Factors, cost_section
from dualfair.reporting.html import table as html_table
from dualfair.reporting.setting import Setting
from dualfair.reporting.svg import Frame, Point, Series, chart, ticks
from dualfair.reporting.table import column, csv_rows, records, table
from dualfair.reporting.usage import updates_section, usage_section
from dualfair.runs.layout import RunLayout
from dualfair.runs.run_files import RunFiles
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import SKELETONS
from dualfair.supernet.space import SPACES, ChoiceBlock, SearchSpace
from dualfair.supernet.training.checkpoint import save_checkpoint
from tests.support import records as whole_records

NANO, SPACE = SKELETONS["nano"], SPACES["dpn81"]
EVIL = '<script>"&'


def setting(space=SPACE):
    people = {"train": {"a": 6, "b": 4}}
    return Setting(whole_records.train_config(sampler="strict", batch=8), NANO, space, people, {"train": 60})


def files_of(path):
    return RunFiles(RunLayout(path), "run")


def genotypes(*texts):
    return [Genotype.parse(text) for text in texts]


def counters(run, about, updates, heads):
    dealt = {"operation_updates": updates, "head_updates": heads, "skipped": 2}
    save_checkpoint(run / "train", {"dealt": json.dumps(dealt)}, **about(5, 5))
    return files_of(run)


def test_equal_counters_are_called_equal_and_one_update_more_is_not(tmp_path, about):
    updates = [[[5] * 9 for _ in range(3)] for _ in range(4)]
    heads = {"arcface": 15, "cosface": 15, "magface": 15}
    found = updates_section(counters(tmp_path / "a", about, updates, heads), setting())
    assert (found["equal"], found["least"], found["most"], found["skipped"]) == (True, 5, 5, 2)
    updates[3][1][8] = 6
    found = updates_section(counters(tmp_path / "b", about, updates, heads), setting())
    assert (found["equal"], found["least"], found["most"]) == (False, 5, 6)
    uneven = [row["place"] for row in records(found["operations"]) if not row["equal"]]
    assert uneven == ["block 4, position 2"]
    updates[3][1][8] = 5
    found = updates_section(counters(tmp_path / "c", about, updates, {**heads, "cosface": 14}), setting())
    assert found["equal"] is False


def test_an_operation_that_was_never_trained_counts_and_one_outside_the_space_does_not(tmp_path, about):
    genes = tuple((block, position) for block in range(4) for position in range(3))
    space = SearchSpace([ChoiceBlock("all", ("pre3", "post3"), genes, (0, 6)), ChoiceBlock("head", ("cosface",))])
    updates = [[[5, 0, 0, 0, 0, 0, 5, 0, 0] for _ in range(3)] for _ in range(4)]
    found = updates_section(counters(tmp_path / "a", about, updates, {"cosface": 10}), setting(space))
    assert found["equal"] and found["least"] == 5
    found = updates_section(counters(tmp_path / "b", about, updates, {"cosface": 10}), setting())
    assert not found["equal"] and found["least"] == 0


def test_without_a_checkpoint_there_are_no_counters(tmp_path):
    assert updates_section(files_of(tmp_path), setting()) is None


def test_usage_is_counted_against_equal_choice():
    found = usage_section(
        genotypes("101-101-101-101:cosface", "121-101-101-101:cosface", "808-101-101-101:arcface"), setting()
    )
    cells = {(row["place"], row["choice"]): row for row in records(found["operations"])}
    assert cells["block 1, position 1", "pre1"]["networks"] == 2
    assert cells["block 1, position 1", "post5"]["networks"] == 1
    assert cells["block 1, position 2", "pre5"]["networks"] == 1
    assert all(row["expected"] == pytest.approx(3 / 9) for row in cells.values())
    for place in {place for place, _ in cells}:
        assert sum(row["networks"] for (where, _), row in cells.items() if where == place) == 3
    heads = {row["choice"]: (row["networks"], row["expected"]) for row in records(found["heads"])}
    assert heads == {"arcface": (1, 1.0), "cosface": (2, 1.0), "magface": (0, 1.0)}
    assert usage_section([], setting()) is None


def test_a_heat_map_names_operations_with_their_digits():
    found = usage_section(genotypes("101-101-101-101:cosface"), setting())
    assert ">0 pre3<" in (picture := drawings.heat_map(found["operations"], "x")) and ">8 post5<" in picture
    assert ">cosface<" in drawings.heat_map(found["heads"], "x")


def test_a_heat_map_needs_three_networks_and_equal_counters_are_folded():
    names = ["101-101-101-101:cosface", "121-101-101-101:cosface", "808-101-101-101:arcface"]
    rows = [[name, "search's front"] for name in names]
    run = {
        "usage": usage_section(genotypes(*names), setting()),
        "front": {"confirmation": None, "front": {"rows": rows}},
    }
    assert "<svg" in sections.usage(run)
    run["usage"] = usage_section(genotypes(*names[:2]), setting())
    run["front"]["front"]["rows"] = rows[:2]
    assert "<svg" not in (few := sections.usage(run)) and f"2 networks ({names[0]} and {names[1]}): too few" in few
    columns = [column("place", "text"), *(column(name, "whole") for name in "abc"), column("equal", "mark")]
    counters = {"step": 5, "steps": 5, "sampler": "strict", "skipped": 0, "least": 5, "most": 5, "equal": True}
    counters["heads"] = table([column("head", "text"), column("updates", "whole")], [["x", 15], ["y", 15]])
    same, other = [["p", 9, 5, 5, True], ["q", 9, 5, 5, True]], [["p", 9, 5, 5, True], ["q", 9, 5, 6, False]]
    html = sections.updates({"updates": counters | {"operations": table(columns, same)}})
    assert "<details>" in html and "At each of 2 places all 9 operations have 5 updates." in html and "3 a step" in html
    assert "<details>" not in sections.updates({"updates": counters | {"operations": table(columns, other)}})


def test_a_drawing_has_every_block_with_its_operations_widths_and_sizes():
    found = architecture("101-280-303-747:magface", NANO)
    assert [[one["name"] for one in block["operations"]] for block in found["blocks"]] == [
        ["pre1", "pre3", "pre1"], ["pre5", "post5", "pre3"], ["raw3", "pre3", "raw3"], ["post1", "raw1", "post1"]
    ]  # fmt: skip
    # 48 px: stem and pool halve to 12, stages 2 to 4 halve again.
    assert [block["side"] for block in found["blocks"]] == [12, 6, 3, 2]
    assert [block["out"] for block in found["blocks"]] == [shape.out_channels for shape in NANO.block_shapes()]
    picture = ElementTree.fromstring(drawings.network_drawing(found))
    text = " ".join(picture.itertext())
    assert all(f"block {number}" in text for number in (1, 2, 3, 4)) and "magface" in text and "raw1" in text
    with pytest.raises(ValueError, match="has 2 blocks"):
        architecture("101-101:cosface", NANO)


def test_costs_are_hours_times_factors_and_flops_by_formula(tmp_path, about):
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
    found = cost_section(run, setting(), [result], Factors(watts=100.0, kg_per_kwh=0.5))
    spent = {row["what"]: row for row in records(found["spent"])}
    assert spent["train: steps"]["device hours"] == pytest.approx(1.0)
    assert spent["search: scores"]["count"] == 2 and spent["search: scores"]["device hours"] == pytest.approx(0.05)
    assert spent["retrain: trainings"]["device hours"] == pytest.approx(0.1)
    # 6 FLOPs a MAC of network and class weights (10 people x 64), 20 steps of 4 images.
    flops = 6 * (macs("101-101-101-101:cosface", NANO) + 10 * 64) * 4 * 20
    assert spent["retrain: trainings"]["FLOPs"] == pytest.approx(flops)
    assert spent["together"]["device hours"] == pytest.approx(1.15)
    assert spent["together"]["kg CO2eq"] == pytest.approx(kilograms(1.15 * 3600, 100.0, 0.5))
    instead = {row["what"]: row for row in records(found["instead"])}
    assert instead["every network that the search scored"]["device hours"] == pytest.approx(50 * 0.1)
    assert instead["every network of the space"]["count"] == SPACE.size
    assert instead["every network that the search scored"]["times train and search"] == pytest.approx(5 / 1.05)


def test_without_a_training_the_cost_of_all_candidates_is_not_made_up(tmp_path):
    found = cost_section(files_of(tmp_path), setting(), [], Factors())
    assert found["instead"] is None and found["spent"]["rows"] == []


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-0.5, 0.5, [-0.4, -0.2, 0, 0.2, 0.4]), (0, 120, [0, 50, 100]), (3, 3, [3])],
)
def test_ticks_are_round_numbers_within_the_range(low, high, wanted):
    assert ticks(low, high) == pytest.approx(wanted)


def test_points_lie_where_their_numbers_say_and_error_bars_end_in_the_frame():
    frame = Frame((0.0, 1.0), (0.0, 1.0))
    left, bottom = frame.at(0, 0)
    right, top = frame.at(1, 1)
    assert left < right and top < bottom
    assert frame.at(0.5, 0.5) == pytest.approx(((left + right) / 2, (top + bottom) / 2))
    points = [Point(0.5, 0.5, (0.4, 9.0), (0.2, 0.6), EVIL), Point(2.0, 0.5)]
    picture = ElementTree.fromstring(chart([Series(EVIL, "#000", "circle", points)], (EVIL, EVIL), EVIL, frame=frame))
    space = "{http://www.w3.org/2000/svg}"
    assert picture.attrib["aria-label"] == EVIL
    bars = [line for line in picture.iter(f"{space}line") if line.get("class") == "bar"]
    assert (float(bars[0].get("x2")), float(bars[1].get("y1"))) == (right, frame.at(0.5, 0.2)[1])
    # One for the point inside, one for the legend; the point outside is not drawn.
    assert len(list(picture.iter(f"{space}circle"))) == 2


def test_cells_are_blue_above_what_is_expected_and_orange_below():
    assert drawings._tint({"networks": 1, "expected": 1.0}) == "#ffffff"
    more, less = (drawings._tint({"networks": n, "expected": 1.0}) for n in (2, 0))
    assert int(more[5:], 16) > int(more[1:3], 16) and int(less[1:3], 16) > int(less[5:], 16)


def test_a_table_prints_errors_beside_their_means_and_leaves_empty_columns_out():
    found = table(
        [column("network", "text"), column("error", spread="SE"), column("SE"), column("nobody")],
        [[EVIL, 0.5, 0.25, None], ["b", 0.00001, None, None]],
    )
    html = html_table(found, "caption", {"b"})
    assert "0.500 ± 0.250" in html and "1.0e-05" in html and "nobody" not in html and "<th scope" in html
    assert "<script" not in html and '<tr class="chosen"><td class="name">b' in html
    assert csv_rows([("run", found)])[1] == ["run", EVIL, 0.5, 0.25, None]
    sparse = table([column("name", "text"), column("n", "whole"), column("x")], [["kept", 3, 0.0], ["gone", 2, None]])
    html = html_table(sparse, "caption")
    assert "kept" in html and "gone" not in html and "caption; 1 row without a value left out" in html
    with pytest.raises(ValueError, match="a row has 1 cells for 2 columns"):
        table([column("a"), column("b")], [[1]])
