"""Files of a run that are read with care: short names, and sentences that name no folder of the machine."""

from dualfair.runs.run_files import open_runs, reason
from dualfair.supernet.files import write_json


def test_names_are_the_shortest_that_differ(tmp_path):
    paths = [tmp_path / one / "run" for one in "ab"]
    for path in paths:
        (path / "train").mkdir(parents=True)
        write_json(path / "train/config.json", {})
    assert [run.name for run in open_runs(paths)] == ["a/run", "b/run"]
    assert [run.name for run in open_runs(paths[:1])] == ["run"]


def test_reasons_name_no_folder_of_the_machine():
    assert reason(ValueError("/home/me/my/faces/x.json is damaged\nat line 1")) == "x.json is damaged at line 1"
    assert reason(KeyError("front")) == "'front' is missing"
