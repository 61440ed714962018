"""The rooms and who may import whom, read from the source of every module.

commands, door -> studies, reporting, exporting, planning, benchmarks, conformance, doctor -> stages
-> runs, presentation -> evolution, evaluation -> supernet
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("supernet", "evaluation", "evolution", "tools")
PATHS = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]

STOREYS = (
    ("supernet",),
    ("evaluation", "evolution"),
    ("runs", "presentation"),
    ("stages",),
    ("studies", "reporting", "exporting", "planning", "benchmarks", "conformance", "doctor", "guides"),
    ("commands", "door"),
)
"""A room imports itself and rooms of lower storeys."""
NEIGHBOURS = {("doctor", "conformance"), ("reporting", "planning"), ("commands", "door"), ("runs", "presentation")}
"""Rooms of one storey that may be looked into from another one: what is promised of a space is tested on a machine too,
what a run is measured to cost is told twice, a command is a call of the door, and what a run keeps of its studies are
finished tables."""
EVOLUTION_MAY_SEE = {"supernet.genotype", "supernet.space"}
STOREY = {room: number for number, rooms in enumerate(STOREYS) for room in rooms}


def name_of(path: Path) -> str:
    """A module's name behind `dualfair.`: `supernet.network`, `runs.layout`; "" for the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "tools" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in PATHS}


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it: ours without `dualfair.`, others by their first name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                ours = alias.name.startswith("dualfair.")
                yield alias.name.removeprefix("dualfair.") if ours else alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            package, _, module = node.module.partition(".")
            if package != "dualfair":
                yield package
                continue
            for alias in node.names:
                whole = f"{module}.{alias.name}" if module else alias.name
                yield whole if whole in MODULES else module


def room_of(module: str) -> str:
    return {"": "door", "__main__": "commands"}.get(module, module.split(".")[0])


@pytest.mark.parametrize("name", MODULES)
def test_a_room_imports_only_rooms_below_it(name):
    room = room_of(name)
    for module in imported(MODULES[name]):
        other = room_of(module)
        if other not in STOREY or other == room or (room, other) in NEIGHBOURS:
            continue
        assert STOREY[other] < STOREY[room], f"{name} imports {module}"


@pytest.mark.parametrize("name", MODULES)
def test_what_is_kept_to_some_rooms_stays_there(name):
    room, modules = room_of(name), set(imported(MODULES[name]))
    if room == "evolution":
        assert "torch" not in modules
        assert {module for module in modules if room_of(module) == "supernet"} <= EVOLUTION_MAY_SEE
    if room != "commands":
        assert "click" not in modules
    if name.startswith("evaluation.metrics."):
        ours = {module for module in modules if room_of(module) in STOREY}
        assert all(module.startswith("evaluation.metrics") for module in ours)
    if room in ("supernet", "evaluation", "evolution", "runs", "stages"):
        assert not modules & {"matplotlib", "argparse", "tqdm"}
    if room == "studies":
        own = ".".join(name.split(".")[:2])
        others = {module for module in modules if module.startswith("studies.") and not module.startswith(own)}
        assert not others, f"{name} knows another study"


FILES_OF_STAGES = {
    *("config.json", "commands.jsonl", "scores.sqlite", "front.json", "front.csv", "front.png", "scores.csv"),
    *("hypervolume.csv", "reliability.json", "latency.json", "result.json", "failed.json", "network.json", "plan.json"),
    *("ranking.json", "ranking.png", "log.txt", "lock.json", "seed-*"),
}
NAMED_ELSEWHERE = {
    # timm's own file of that name, in an export.
    ("exporting.export", "config.json"),
}
"""Names of files that are not a stage's, though they are alike."""


def file_names(path: Path) -> Iterator[str]:
    """The last parts of all paths that stand in a module as text, whole or behind what is filled in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.rpartition("/")[2]
            yield from (part for part in node.value.split("/") if "*" in part)


@pytest.mark.parametrize("name", [name for name in MODULES if STOREY.get(room_of(name), 0) > 1])
def test_files_of_a_stage_are_named_in_the_layout_of_runs_alone(name):
    if name == "runs.layout" or room_of(name) == "studies":
        return
    named = {file for file in file_names(MODULES[name]) if file in FILES_OF_STAGES}
    assert not {file for file in named if (name, file) not in NAMED_ELSEWHERE}


FILES_OF_STUDIES = {
    file
    for name, path in MODULES.items()
    if name.startswith("studies.")
    for file in file_names(path)
    if file.endswith((".json", ".csv", ".png"))
} - {*FILES_OF_STAGES, "manifest.csv"}


@pytest.mark.parametrize("name", [name for name in MODULES if room_of(name) not in ("studies", "commands")])
def test_nobody_opens_the_files_of_a_study(name):
    """What a study leaves for readers is one record that all studies share, in a folder that is found by looking."""
    assert {"comparison.json", "baselines.json", "tune.json"} <= FILES_OF_STUDIES
    assert not {*file_names(MODULES[name])} & (FILES_OF_STUDIES - {"study.json"})


def test_there_is_no_circle_of_imports():
    edges = {name: set(imported(path)) & set(MODULES) - {name} for name, path in MODULES.items()}
    settled: set[str] = set()
    while open_names := [name for name in edges if name not in settled]:
        ready = [name for name in open_names if edges[name] <= settled]
        assert ready, f"circle among {open_names}"
        settled |= set(ready)


@pytest.mark.parametrize(
    "module", ["evolution.nsga2", "evolution.baselines", "supernet.space", "supernet.families.backbone", "__main__"]
)
def test_torch_is_not_loaded_where_no_tensor_is_needed(module):
    code = f"import sys, dualfair.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_setup_lists_every_package():
    packages = {f"dualfair.{name_of(path)}".rstrip(".") for path in PATHS if path.name == "__init__.py"}
    listed = (ROOT / "setup.cfg").read_text().split("packages =")[1].split("install_requires")[0].split()
    assert set(listed) == packages
    assert {path.parent for path in PATHS} == {path.parent for path in PATHS if path.name == "__init__.py"}
