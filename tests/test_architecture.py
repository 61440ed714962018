"""The rooms and who may import whom, read from the source of every module."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("supernet", "evaluation", "evolution", "tools")
ALLOWED = {
    "supernet": {"supernet"},
    "evaluation": {"supernet", "evaluation"},
    "evolution": {"supernet", "evolution"},
    "tools": set(ROOMS),
}
EVOLUTION_MAY_SEE = {"supernet.genotype", "supernet.space"}
MODULES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            modules.add(node.module)
    return modules


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_the_rooms_below_it(path):
    room = path.relative_to(ROOT).parts[0]
    for module in imported_modules(path):
        top = module.split(".")[0]
        assert top not in set(ROOMS) - ALLOWED[room], f"{path} imports {module}"
        if room == "evolution":
            assert top != "torch"
            assert top != "supernet" or module in EVOLUTION_MAY_SEE, f"{path} imports {module}"
        if room != "tools":
            assert top not in ("click", "tqdm", "matplotlib", "argparse"), f"{path} imports {module}"


def test_there_is_no_circle_of_imports():
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in MODULES}
    edges = {name: imported_modules(path) & set(names) for name, path in names.items()}
    settled: set[str] = set()
    while open_names := [name for name in edges if name not in settled]:
        ready = [name for name in open_names if edges[name] <= settled]
        assert ready, f"circle among {open_names}"
        settled |= set(ready)


@pytest.mark.parametrize("module", ["evolution.search", "evolution.exhaustive", "supernet.space", "tools.main"])
def test_torch_is_not_loaded_where_no_tensor_is_needed(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_setup_lists_every_package():
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in MODULES}
    listed = (ROOT / "setup.cfg").read_text().split("packages =")[1].split("install_requires")[0].split()
    assert set(listed) == packages
