"""`dualfair status` on run directories written by hand: every state of every stage, and every kind of damage."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualfair.evolution.archive import Archive
from dualfair.runs.directory import started
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.search import Front
from dualfair.runs.records.training import PlannedTraining, TrainingPlan
from dualfair.runs.status import status
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.checkpoint import Record
from tests.support import records

ROOT = Path(__file__).parents[2]
PROTOCOL = {"calibrate": 64, "people": 0, "objectives": "error,rank_disparity"}
OBJECTIVES = ("error", "rank_disparity")
SEARCH = {"population": 6, "generations": 2, "siblings": 1, "seed": 0, **PROTOCOL}
NETWORKS = ["101-101:cosface", "202-202:arcface", "303-303:magface"]


@dataclass(frozen=True)
class RunWriter:
    """Writes the files of a run directory as the four commands do."""

    path: Path

    def json(self, name, value):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
        return path

    def typed(self, stage, command, device="cpu, 2 threads"):
        folder = self.path / stage
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "commands.jsonl", "a") as file:
            file.write(json.dumps({"time": "2026-01-01T00:00:00+00:00", "command": command, "device": device}) + "\n")

    def checkpoint(self, folder, step, steps, seconds, size=100):
        path = self.path / folder / f"step-{step:08d}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
        record = Record(
            step=step,
            steps=steps,
            sha256="0",
            bytes=size,
            seconds=seconds,
            loss=3.2,
            configuration="c",
            device="cpu",
            threads=1,
            ranks=1,
            versions={},
        )
        self.json(path.with_suffix(".json").relative_to(self.path), asdict(record))
        return path

    def scores(self, count, seconds, weights="w", **protocol_options):
        settings = {**PROTOCOL, **protocol_options, "weights": weights, "faces": "f"}
        (self.path / "search").mkdir(parents=True, exist_ok=True)
        file, measurement = self.path / "search/scores.sqlite", json.dumps({**settings, "scorer": 2})
        with Archive(file, measurement=measurement, columns=OBJECTIVES, objectives=2) as archive:
            names = [Genotype.parse(f"{number:03d}-000:cosface") for number in range(count)]
            archive.add(names, np.ones((count, 2)), seconds)

    def trained(self):
        self.typed("train", "dualfair train --faces faces --out 'my run'")
        self.record("train/config.json", records.train_config())
        self.checkpoint("train", 400, 432, 56.0)
        self.checkpoint("train", 432, 432, 60.0)

    def record(self, name, record):
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        record.write(self.path / name)

    def searched(self, **changes):
        config = records.search_config(**{**SEARCH, **changes})
        self.typed("search", "dualfair search --run 'my run' --population 6")
        self.record("search/config.json", config)
        self.scores(12, 0.5)
        self.record("search/front.json", records.front_of(config))

    def planned(self, networks=NETWORKS, seeds=2):
        self.typed("retrain", "dualfair retrain --run 'my run' --seeds 2")
        self.record("retrain/config.json", records.retrain_config(epochs=12.0))
        jobs = [PlannedTraining(TrainingSpec.of_label(name, seed)) for name in networks for seed in range(seeds)]
        self.record("retrain/plan.json", TrainingPlan(tuple(jobs)))

    def result(self, genotype, seed, seconds=100.0, stage="retrain"):
        place = f"{stage}/{genotype.replace(':', '_')}/seed-{seed}"
        self.checkpoint(place, 288, 288, seconds)
        self.record(f"{place}/result.json", records.result_of(genotype, seed, seconds=seconds))

    def retrained(self):
        self.planned()
        for name in NETWORKS:
            for seed in range(2):
                self.result(name, seed)

    def shortly(self, networks=NETWORKS):
        self.typed("short", "dualfair retrain --run 'my run' --short")
        self.record("short/config.json", records.retrain_config(epochs=2.0))
        for name in networks:
            self.result(name, 0, 10.0, stage="short")

    def ranked(self, networks=NETWORKS):
        self.typed("correlate", "dualfair correlate --run 'my run'")
        study = records.measure_study(baselines={"params": 0.5})
        self.record("correlate/ranking.json", records.ranking_study(tuple(networks), study))

    def compared(self):
        self.typed("studies/compare", "dualfair compare --run 'my run' --seeds 3")
        self.json("studies/compare/study.json", {"question": "?", "sentences": ["No difference shown."]})


@pytest.fixture
def run(tmp_path):
    (tmp_path / "my run").mkdir()
    return RunWriter(tmp_path / "my run")


def stages_of(run):
    return {stage.name: stage for stage in status(run.path).stages}


def test_a_finished_run_has_nothing_left_and_no_next_command(run, dualfair):
    run.trained(), run.searched(), run.retrained(), run.ranked()
    printed = dualfair("status", run.path)
    assert printed.status == 0 and printed.err == ""
    assert printed.out.splitlines() == [
        "train      finished     432 of 432 steps",
        "search     finished     12 of 12 evaluations",
        "retrain    finished     6 of 6 trainings",
        "correlate  finished     3 of 3 networks; 2 seeds each",
    ]


def test_short_trainings_and_a_comparison_have_a_line_each(run, dualfair):
    run.trained(), run.searched(), run.retrained(), run.shortly(), run.ranked()
    run.compared()
    lines = dualfair("status", run.path).out.splitlines()
    assert lines[3:] == [
        "short      finished     3 of 3 trainings",
        "correlate  finished     3 of 3 networks; 2 seeds each",
        "compare    finished     1 of 1 report",
    ]


def test_short_trainings_that_are_missing_are_counted_and_asked_for_before_the_ranking(run, dualfair):
    run.trained(), run.searched(), run.retrained(), run.shortly(NETWORKS[:2])
    lines = dualfair("status", run.path).out.splitlines()
    assert lines[3] == "short      interrupted  2 of 3 trainings; left: 0.00 hours"
    assert lines[-1] == f"Next: dualfair retrain --run '{run.path}' --short"
    (run.path / "short/commands.jsonl").unlink()
    assert status(run.path).next == f"dualfair retrain --run '{run.path}' --short"


def test_an_interrupted_comparison_is_finished_last(run):
    run.trained(), run.searched(), run.compared()
    (run.path / "studies/compare/study.json").unlink()
    assert stages_of(run)["compare"].state == "interrupted"
    assert status(run.path).next == f"dualfair retrain --run '{run.path}'"
    run.retrained(), run.ranked()
    assert status(run.path).next == f"dualfair compare --run '{run.path}' --seeds 3"


@pytest.mark.parametrize(("command", "name"), [("retrain --run r --short", "short"), ("compare --run r", "compare")])
def test_a_command_beside_the_stages_runs_its_own_line_only(run, command, name):
    run.trained(), run.searched(), run.retrained(), run.shortly(), run.compared()
    hold(run, f"dualfair {command}")
    assert [stage.name for stage in status(run.path).stages if stage.state == "running"] == [name]


def test_a_search_is_finished_when_its_confirmed_front_is_written(run):
    run.trained(), run.searched(confirm_candidates=16)
    front = Front.read(run.path / "search/front.json")
    # Confirming keeps its scores in the same archive, measured on other people with other statistics.
    run.scores(9, 0.7, calibrate=4 * PROTOCOL["calibrate"], resamples=400)
    (run.path / "search/front.json").unlink()
    search = stages_of(run)["search"]
    assert (search.state, search.done, search.total, search.hours_left) == ("interrupted", 12, 12, None)
    assert status(run.path).next == f"dualfair search --run '{run.path}' --population 6"
    run.record("search/front.json", replace(front, confirmation=records.confirmed_front()))
    assert stages_of(run)["search"].state == "finished"


def test_an_interrupted_training_costs_its_steps_left_at_the_speed_so_far(run, dualfair):
    run.typed("train", "dualfair train --faces faces --out old")
    run.typed("train", "dualfair train --faces faces --out 'my run' --epochs 18")
    run.record("train/config.json", records.train_config())
    run.checkpoint("train", 100, 1000, 3600.0)
    run.checkpoint("train", 200, 1000, 7200.0)
    printed = dualfair("status", run.path).out.splitlines()
    assert printed[0] == "train      interrupted  200 of 1,000 steps; left: 8.00 hours"
    assert printed[-1] == f"Next: dualfair train --faces faces --out '{run.path}' --epochs 18"


def test_a_training_without_a_checkpoint_has_an_unknown_cost(run):
    run.typed("train", "dualfair train --faces faces --out 'my run'")
    train = stages_of(run)["train"]
    assert (train.state, train.done, train.total, train.hours_left) == ("interrupted", 0, None, None)


def test_scores_without_a_configuration_are_those_on_the_same_faces(run):
    run.trained(), run.searched()
    (run.path / "search/config.json").unlink()
    search = {stage.name: stage for stage in status(RunLayout(run.path)).stages}["search"]
    assert (search.state, search.done, search.total) == ("interrupted", 12, None)


def test_a_stage_that_has_not_begun_gets_the_plain_command(run):
    run.trained()
    assert status(run.path).next == f"dualfair search --run '{run.path}'"


def test_an_interrupted_search_costs_its_evaluations_left(run):
    run.trained(), run.searched(evaluations=12)
    (run.path / "search/front.json").unlink()
    config = json.loads((run.path / "search/config.json").read_text())
    run.json("search/config.json", {**config, "evaluations": 112})
    search = stages_of(run)["search"]
    assert (search.state, search.done, search.total) == ("interrupted", 12, 112)
    assert search.hours_left == pytest.approx(100 * 0.5 / 3600)
    assert status(run.path).next == f"dualfair search --run '{run.path}' --population 6"


def test_a_front_of_a_smaller_budget_is_not_a_finished_search(run):
    run.trained(), run.searched()
    config = json.loads((run.path / "search/config.json").read_text())
    run.json("search/config.json", {**config, "generations": 4, "evaluations": 24})
    search = stages_of(run)["search"]
    assert (search.state, search.done, search.total) == ("interrupted", 12, 24)
    assert "earlier search" in search.notes[0]


def test_scores_of_other_settings_weights_or_faces_are_not_counted(run):
    run.trained()
    run.scores(9, 1.0, weights="older")
    run.scores(3, 1.0)
    run.scores(7, 1.0, calibrate=512)
    run.record("search/config.json", records.search_config(**SEARCH))
    assert stages_of(run)["search"].done == 3
    run.record("train/config.json", records.train_config(faces_fingerprint="other faces"))
    assert stages_of(run)["search"].done == 0


def test_more_scores_than_the_search_asks_for_are_not_taken_for_its_own(run):
    run.trained()
    run.scores(20, 1.0)
    run.record("search/config.json", records.search_config(**SEARCH))
    search = stages_of(run)["search"]
    assert (search.done, search.total, search.hours_left) == (0, 12, 12 / 3600)
    assert search.notes == ("the archive holds 20 scores, also of other searches",)


def test_half_done_and_missing_trainings_cost_what_is_left_of_them(run, dualfair):
    run.trained(), run.searched(), run.planned()
    run.result(NETWORKS[0], 0, 3000.0)
    run.result(NETWORKS[0], 1, 4200.0)
    run.checkpoint("retrain/202-202_arcface/seed-0", 72, 288, 720.0)
    run.result(NETWORKS[1], 1, 3600.0)
    retrain = stages_of(run)["retrain"]
    assert (retrain.state, retrain.done, retrain.total) == ("interrupted", 3, 6)
    assert retrain.hours_left == pytest.approx((2 * 3600 + 216 * 10) / 3600)
    printed = dualfair("status", run.path).out
    assert "retrain    interrupted  3 of 6 trainings; 1 half done; left: 2.60 hours" in printed
    assert printed.splitlines()[-1] == f"Next: dualfair retrain --run '{run.path}' --seeds 2"


def test_before_the_first_result_a_half_done_training_tells_the_price(run):
    run.planned(NETWORKS[:2], seeds=1)
    run.checkpoint("retrain/101-101_cosface/seed-0", 100, 400, 900.0)
    assert stages_of(run)["retrain"].hours_left == pytest.approx((300 * 9 + 400 * 9) / 3600)


def test_networks_retrained_after_the_ranking_are_named(run):
    run.trained(), run.searched(), run.retrained(), run.ranked(NETWORKS[:2])
    correlate = stages_of(run)["correlate"]
    assert (correlate.state, correlate.done, correlate.total) == ("interrupted", 2, 3)
    assert correlate.notes == ("retrained since: 303-303:magface",)
    assert status(run.path).next == f"dualfair correlate --run '{run.path}'"


def test_a_ranking_without_a_training_names_it_until_it_is_there(run):
    run.trained(), run.searched(), run.retrained(), run.ranked(NETWORKS)
    ranking = run.path / "correlate/ranking.json"
    run.json(ranking, {**json.loads(ranking.read_text()), "missing": ["303-303:magface seed 2"]})
    correlate = stages_of(run)["correlate"]
    assert (correlate.state, correlate.notes) == ("finished", ("2 seeds each", "missing: 303-303:magface seed 2"))
    run.result(NETWORKS[2], 2)
    correlate = stages_of(run)["correlate"]
    assert (correlate.state, correlate.notes) == ("interrupted", ("retrained since: 303-303:magface",))


@pytest.mark.parametrize("jobs", [[], [{"genotype": NETWORKS[0]}], [5], None])
def test_a_plan_that_names_no_training_is_not_a_finished_one(run, jobs):
    run.trained(), run.searched(), run.retrained()
    run.json("retrain/plan.json", {"jobs": jobs})
    retrain = stages_of(run)["retrain"]
    assert (retrain.state, retrain.done, retrain.total) == ("interrupted", 6, None)


def test_damaged_files_that_were_set_aside_are_listed(run, dualfair):
    run.trained()
    (run.path / "train/step-00000432.pt.damaged").write_bytes(b"")
    (run.path / "search").mkdir()
    (run.path / "search/scores.sqlite.damaged-2").write_bytes(b"")
    run_status = status(run.path)
    assert run_status.damaged == ("search/scores.sqlite.damaged-2", "train/step-00000432.pt.damaged")
    assert "set aside  train/step-00000432.pt.damaged" in dualfair("status", run.path).out


def test_a_checkpoint_of_another_size_than_written_is_passed_over(run):
    run.trained()
    run.checkpoint("train", 500, 600, 70.0, size=12_345)
    run_status = status(run.path)
    assert run_status.stages[0].done == 432
    assert run_status.problems == ("train/step-00000500.pt will be passed over: it has 100 bytes instead of 12345",)


def test_ranks_of_torchrun_are_part_of_the_next_command(run):
    run.typed("train", "dualfair train --faces faces --out run", device="NVIDIA H200, 8 ranks")
    wanted = "torchrun --standalone --nproc-per-node 8 --no-python -- dualfair train --faces faces --out"
    assert status(run.path).next == f"{wanted} '{run.path}'"


def test_the_next_command_of_a_copied_run_works_on_the_copy(run, tmp_path):
    run.trained(), run.searched(), run.planned()
    copy = Path(shutil.copytree(run.path, tmp_path / "-copy"))
    assert status(copy).next == f"dualfair retrain --run {copy} --seeds 2"
    run.typed("retrain", "dualfair retrain --run=run --genotype 101:cosface")
    assert status(run.path).next == f"dualfair retrain --run='{run.path}' --genotype 101:cosface"
    run.typed("train", "dualfair demo --out 'my run'")
    run.typed("retrain", "dualfair demo --out 'my run'")
    assert status(run.path).next == "dualfair demo --out 'my run'"


def hold(run, command, **changes):
    lock = {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid()), "command": command}
    run.json("lock.json", {**lock, **changes})


def test_the_command_at_work_is_named_and_nothing_is_to_be_typed(run, dualfair):
    run.trained(), run.searched(), run.planned()
    hold(run, "dualfair retrain --run 'my run' --seeds 2")
    printed = dualfair("status", run.path).out
    assert "retrain    running      0 of 6 trainings" in printed and "Next:" not in printed
    where = f"process {os.getpid()} on host {socket.gethostname()}"
    assert f"running    dualfair retrain --run 'my run' --seeds 2, {where}" in printed


def test_a_command_for_all_stages_works_on_the_first_unfinished_one(run):
    run.trained()
    hold(run, "dualfair demo --out train")
    assert [stage.state for stage in status(run.path).stages] == ["finished", "running", "not begun", "not begun"]


def test_a_training_that_holds_the_lock_and_has_written_nothing_else_runs(run):
    hold(run, "dualfair train --faces faces --out run")
    assert status(run.path).stages[0].state == "running"


def test_the_lock_of_a_dead_process_or_of_a_later_one_with_its_number_does_not_count(run):
    run.typed("train", "dualfair train --faces faces --out run")
    for changes in ({"pid": 2**22 + 1}, {"started": "boot/1"}):
        hold(run, "dualfair train", **changes)
        run_status = status(run.path)
        assert run_status.running is None and run_status.stages[0].state == "interrupted"
        assert run_status.next == f"dualfair train --faces faces --out '{run.path}'"


def test_a_process_of_another_host_counts_as_running(run):
    hold(run, "dualfair train", host="elsewhere", pid=1)
    assert status(run.path).running.host == "elsewhere"


def test_json_holds_all_that_the_text_says(run, dualfair):
    run.trained(), run.searched(), run.planned()
    read = json.loads(dualfair("status", run.path, "--json").out)
    assert [stage["state"] for stage in read["stages"]] == ["finished", "finished", "interrupted", "not begun"]
    assert read["next"] == f"dualfair retrain --run '{run.path}' --seeds 2"
    assert read["stages"][2]["total"] == 6 and read["stages"][2]["hours_left"] is None


def test_a_folder_that_is_no_run_is_refused(tmp_path, dualfair):
    (tmp_path / "train").mkdir()
    for folder in (tmp_path, tmp_path / "nowhere"):
        printed = dualfair("status", folder)
        assert printed.status == 2 and "is no run directory" in printed.err and printed.err.count("\n") == 1


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))}


def test_status_changes_no_file_and_sees_what_another_process_writes(run):
    run.trained(), run.searched()
    (run.path / "search/front.json").unlink()
    before = snapshot(run.path)
    assert stages_of(run)["search"].done == 12
    assert snapshot(run.path) == before
    connection = sqlite3.connect(run.path / "search/scores.sqlite", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM evaluations WHERE id > 5")
    assert stages_of(run)["search"].done == 12
    connection.execute("COMMIT")
    assert stages_of(run)["search"].done == 5
    connection.close()


def test_status_needs_no_torch_and_without_a_ranking_no_statistics(run):
    run.trained(), run.searched()
    code = (
        "import sys; from dualfair.__main__ import cli; "
        f"cli(['status', {str(run.path)!r}], standalone_mode=False); "
        "sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    writer = RunWriter(tmp_path_factory.mktemp("whole") / "run")
    writer.trained(), writer.searched(), writer.retrained(), writer.shortly(), writer.ranked(), writer.compared()
    return writer.path


FILES = (
    "train/config.json",
    "train/commands.jsonl",
    "train/step-00000432.json",
    "search/config.json",
    "search/front.json",
    "search/scores.sqlite",
    "search/commands.jsonl",
    "retrain/plan.json",
    "retrain/101-101_cosface/seed-0/result.json",
    "retrain/101-101_cosface/seed-0/step-00000288.json",
    "short/101-101_cosface/seed-0/result.json",
    "correlate/ranking.json",
    "studies/compare/study.json",
    "lock.json",
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["jobs", "step", "steps", "seconds", "bytes", "genotype", "seed", "config",
                                       "networks", "left_out", "measures", "baselines", "seeds", "evaluations", "pid",
                                       "host", "command", "started"]),
                      inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
DAMAGE = st.binary(max_size=40) | VALUES.map(lambda value: json.dumps(value).encode()) | st.just(None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.dictionaries(st.sampled_from(FILES), DAMAGE, min_size=1, max_size=3))
def test_any_damage_ends_in_a_report_of_whole_lines(whole, tmp_path, dualfair, damage):
    copy = tmp_path / "run"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    for name, content in damage.items():
        if content is None:
            (copy / name).unlink(missing_ok=True)
        else:
            (copy / name).write_bytes(content)
    before = snapshot(copy)
    for words in (("status", copy), ("status", copy, "--json")):
        printed = dualfair(*words)
        assert printed.status == 0 and printed.err == "", printed.err
    assert snapshot(copy) == before


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json") and name != "lock.json"])
def test_a_truncated_file_is_named_in_one_line(whole, tmp_path, name):
    shutil.copytree(whole, tmp_path / "run")
    path = tmp_path / "run" / name
    path.write_bytes(path.read_bytes()[:-2])
    problems = status(tmp_path / "run").problems
    if name == "retrain/101-101_cosface/seed-0/step-00000288.json":
        assert problems == ()
    else:
        assert [path.name in problem and "\n" not in problem for problem in problems] == [True]
