"""What a run directory writes can be read by everyone."""

import json

from tools.run_directory import write_json


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_json_is_strict_and_numbers_that_it_lacks_are_written_by_name(tmp_path):
    value = {"disparity": float("inf"), "rows": [(1.5, float("nan")), {"low": -float("inf")}], "n": 3, "none": None}
    write_json(tmp_path / "result.json", value)
    read = json.loads((tmp_path / "result.json").read_text(), parse_constant=refuse)
    assert read == {"disparity": "inf", "rows": [[1.5, "nan"], {"low": "-inf"}], "n": 3, "none": None}
    assert float(read["disparity"]) == float("inf")
