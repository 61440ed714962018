"""What is installed with the package is what it imports, with bounds that say why they are there."""

import ast
import configparser
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("supernet", "evaluation", "evolution", "tools")
INSTALLED_AS = {"PIL": "pillow", "sklearn": "scikit-learn"}
"""Libraries that are installed by another name than they are imported by."""


def third_party(*folders):
    """The libraries that files of some folders import, wherever in them, by the names that they are installed by."""
    libraries = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                libraries |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                # torch's board needs a library of its own.
                board = node.module == "torch.utils.tensorboard"
                libraries |= {node.module.split(".")[0], *(["tensorboard"] if board else [])}
    return {INSTALLED_AS.get(name, name) for name in libraries - sys.stdlib_module_names - {"dualfair", "tests"}}


def declared(section, key):
    """The requirements under a key of setup.cfg by their names."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup[section][key].split("\n")
    return {re.match(r"[\w.-]+", line)[0]: line for line in lines if line}


REQUIRED = declared("options", "install_requires")
ONNX = declared("options.extras_require", "onnx")
REPAIR = declared("options.extras_require", "repair")
TEST = declared("options.extras_require", "test")


def test_every_imported_library_is_declared_and_no_other():
    assert third_party(*PRODUCT) - {*ONNX, *REPAIR} == {*REQUIRED}
    for extra, rooms in ((ONNX, ("tools/exporting", "supernet/production")), (REPAIR, ("tools/studies/repair",))):
        assert third_party(*rooms) & {*extra} == third_party(*PRODUCT) & {*extra}


def test_what_tests_import_comes_with_them():
    ours = {path.stem for folder in ("tools/guides", "tests/support") for path in (ROOT / folder).glob("*.py")}
    assert third_party("tests") - ours <= {*REQUIRED, *TEST}
    assert ONNX.items() | REPAIR.items() <= TEST.items()


@pytest.mark.parametrize("line", REQUIRED.values(), ids=REQUIRED)
def test_a_requirement_has_a_lower_bound_and_an_upper_one_only_for_a_reason(line):
    assert ">=" in line
    if "<" in line:
        before = (ROOT / "setup.cfg").read_text().split(f"    {line}\n")[0].splitlines()[-1]
        assert before.startswith("    #"), f"{line} has an upper bound without a reason"
