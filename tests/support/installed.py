"""Tests run the installed package: whether that is this tree's."""

import importlib.util
from pathlib import Path

FOLDERS = {"": "tools", "supernet": "supernet", "evaluation": "evaluation", "evolution": "evolution"}
"""Where the tree keeps what is installed as `dualfair` and below it, as setup.cfg maps them."""
SHIPPED = (".py", ".toml", ".css", ".html", ".j2", ".md", ".sh", ".typed")


def differences(root: Path, package: Path) -> list[str]:
    """The shipped files in which an installed package differs from a tree, by their paths in the tree."""
    different = []
    for name, folder in FOLDERS.items():
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in SHIPPED:
                continue
            copy = package / name / path.relative_to(root / folder)
            if not copy.is_file() or copy.read_bytes() != path.read_bytes():
                different.append(path.relative_to(root).as_posix())
    return different


def refusal(root: Path) -> str:
    """Why tests must not run on what is installed; "" where it is this tree's."""
    spec = importlib.util.find_spec("dualfair")
    if spec is None or spec.origin is None:
        return "dualfair is not installed: run python -m pip install '.[test]'"
    package = Path(spec.origin).resolve().parent
    if package == (root / "tools").resolve():
        return ""
    different = differences(root, package)
    if not different:
        return ""
    return (
        f"the installed dualfair differs from this tree in {len(different)} files (first {different[0]}): "
        "run python -m pip install . again"
    )
