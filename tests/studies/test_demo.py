"""The demo: that all of it is done and told, on faces and budgets that are smaller still."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from dualfair.runs.devices import working
from dualfair.runs.options import ProtocolOptions, RetrainOptions, SearchOptions
from dualfair.studies import demo
from dualfair.studies.demo import DemoLayout, demonstrate, summary

STAGES = ["faces", "train", "search", "retrain", "correlate", "report"]


@pytest.fixture
def small(monkeypatch):
    recipe = replace(demo.RECIPE, epochs=0.5, batch=16)
    for name, value in (
        ("IDENTITIES", 64),
        ("IMAGES", 4),
        ("RECIPE", recipe),
        ("STANDALONE_RECIPE", replace(recipe, epochs=1.0)),
        ("SEARCH", SearchOptions(population=6, generations=2)),
        ("RETRAIN", RetrainOptions(seeds=2, controls=0, random=3)),
        ("PROTOCOL", ProtocolOptions(calibrate=32)),
        ("COMPARED_SEEDS", 3),
    ):
        monkeypatch.setattr(demo, name, value)


def test_every_stage_is_run_and_summed_up_with_what_neighbours_do(small, tmp_path):
    layout, said, asked = DemoLayout(tmp_path / "demo"), [], SimpleNamespace(compared=None, page=None)
    neighbours = {
        "compare": lambda run, seeds: setattr(asked, "compared", (run.directory.path, seeds)) or "both did well",
        "report": lambda run, page: setattr(asked, "page", (run, page)),
    }
    with working(layout.run, make=True, device="cpu", say=said.append) as place:
        demonstration = demonstrate(layout, place, 0, **neighbours, say=said.append)
    assert [line for line in said if line.startswith("---")] == [f"--- {stage}" for stage in STAGES]
    assert [*demonstration.seconds] == STAGES
    assert f"{layout.faces}: 256 images of 64 people at 32 px" in said
    assert asked.compared == (layout.run, 3) and asked.page == (layout.run, layout.page)
    lines = summary(demonstration, layout)
    assert lines[1].startswith("=== DualFair demo: ") and max(map(len, lines[:5])) <= demo.WIDTH
    assert any(line.startswith("strict fairness: Every operation got exactly 2 updates") for line in lines)
    assert "search: both did well" in lines
    assert sum(line.startswith("on 16 held-out people: ") for line in lines) == 2
    networks = len(demonstration.ranking.networks)
    assert f"ranking, {networks} networks x 2 seeds, validation identities: Kendall's tau" in lines
    for name, measure in demonstration.ranking.measures.items():
        if name.endswith("validation identities"):
            told = f"{name.split(',')[0]}: {'; '.join(measure.conclusions)}"
            assert told in " ".join(map(str.strip, lines))
    assert f"front: {layout.run}/search/front.png   ranking: {layout.run}/correlate/ranking.png" in lines


@pytest.mark.slow
def test_the_command_compares_searches_and_writes_the_report(small, dualfair, tmp_path):
    result = dualfair("demo", "--out", tmp_path / "demo", "--device", "cpu")
    assert result.status == 0, result.err
    assert "hypervolume of the true front, with 12 of 243 evaluations" in " ".join(result.out.split())
    assert (tmp_path / "demo/report/report.html").stat().st_size > 10_000
    again = dualfair("demo", "--out", tmp_path / "demo", "--device", "cpu")
    assert again.status == 0 and "12 of them known before" in again.out
