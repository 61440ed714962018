"""The README is true: its code runs, and its commands and options exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GUIDES = {path.name: path.read_text() for path in sorted((ROOT / "tools/guides").glob("*.md"))}
BLOCKS = re.findall(r"```python\n(.*?)```", README + GUIDES["plug-in.md"], re.DOTALL)
COMMANDS = sorted(
    {line.split("#")[0].split("&&")[-1].strip() for line in re.findall(r"^    (.*dualfair .*)$", README, re.M)}
)


@pytest.mark.slow
@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.splitlines()[0][:40])
def test_code_runs(code, tmp_path):
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr


def names_in(code):
    """What a block of code defines."""
    names: dict = {}
    exec(code, names)
    return names


def block_with(text):
    return next(code for code in BLOCKS if text in code)


def test_the_examples_are_what_the_text_says():
    worst_group = names_in(block_with("def worst_group"))["worst_group"]
    assert worst_group(np.array([0.0, 4.0, 1.0, 1.0]), np.array(list("aabb"))) == 2.0
    result = names_in(block_with("result = evolve"))["result"]
    assert [str(evaluation.genotype) for evaluation in result.front] == ["2-3", "1-3", "0-3"]
    space = names_in(block_with("myspace.py"))["space"]
    assert (space.size, space.blocks, space.heads) == (256, 4, ("cosface",))
    assert str(next(space.enumerate())) == "000-000-000-000:cosface"
    overlap = names_in(block_with("def overlap"))["overlap"]
    faces = SimpleNamespace(embeddings=np.array([[1.0, 0], [2, 0], [0, 1], [1, 1]]), identities=np.array(list("aabb")))
    # The nearest image of somebody else: cosines of root 1/2 from either side, and 0 for the third image.
    assert overlap(faces, nearest=1) == pytest.approx((2 * 0.5**0.5 + 0.0 + 0.5**0.5) / 4)


def test_it_is_short_enough_to_be_read():
    lines = README.splitlines()
    assert len(lines) <= 230 and max(map(len, lines)) <= 120


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_and_its_options_exist(dualfair, command):
    words = shlex.split(command)
    words = words[words.index("dualfair") + 1 :]
    names = [words[0]]
    if words[0] in ("faces", "images"):
        names = words[: 3 if words[1] == "import" else 2]
    shown = dualfair(*names, "--help")
    assert shown.status == 0, shown.err
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in shown.out, word


def test_every_fault_of_the_table_has_its_tests():
    rows = re.findall(r"^\| (\d+) \|.*\| (`test_.*) \|$", GUIDES["safety.md"], re.M)
    assert [int(number) for number, _ in rows] == list(range(1, 26))
    text = "\n".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
    for number, cell in rows:
        named = re.findall(r"`(test_\w+)`", cell)
        assert named, number
        for name in named:
            assert f"def {name}(" in text, f"fault {number}: {name}"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", *(f"tools/guides/{name}" for name in GUIDES)])
def test_every_file_that_a_document_links_to_is_there(document):
    path = ROOT / document
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text())]
    missing = [link for link in links if not (path.parent / link).is_file()]
    assert not missing
    if document == "README.md":
        assert {f"tools/guides/{name}" for name in GUIDES} <= set(links), "a guide is not in the README"
