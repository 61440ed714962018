"""Packs what a machine without network needs for `python -m tests.cuda` besides torch: wheels of the project and of all
that it needs, in the versions that are installed here.

    python -m tests.cuda.wheels OUT --python 3.12
    python -m pip install --no-index --find-links OUT dualfair

The first command is for a machine with network and an installed dualfair, the second for the one with the GPU. What
torch and torchvision bring is left out, and scipy, as the whole would be too large; `--without` names what is there in
place of scipy.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "tools", "supernet", "evaluation", "evolution")
THERE = ("torch", "torchvision", "numpy")
LIMIT = 64 * 10**6
"""Bytes of all wheels."""
GLIBC = ("28", "27", "24", "17", "12", "5")
OLDER = ("2014", "2010", "1")


def needs(names: Iterable[str], python: str) -> set[str]:
    """Packages and all that they need on a Linux with that Python, by the metadata of what is installed here."""
    environment = {"extra": "", "python_version": python, "python_full_version": f"{python}.0"}
    known: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        if (name := waiting.pop()) in known:
            continue
        known.add(name)
        for requirement in map(Requirement, metadata.requires(name) or ()):
            if requirement.marker is None or requirement.marker.evaluate(environment):
                waiting.append(canonicalize_name(requirement.name))
    return known


def missing(without: Iterable[str], python: str) -> list[str]:
    """`name==version` of all that dualfair needs where torch and what is named are."""
    names = needs(["dualfair"], python) - needs([*THERE, *without], python) - {"dualfair"}
    return [f"{name}=={metadata.version(name)}" for name in sorted(names)]


def platforms() -> Iterator[str]:
    """Tags of wheels that run on a Linux of today; pip takes each by its exact name."""
    yield from (f"manylinux_2_{minor}_x86_64" for minor in GLIBC)
    yield from (f"manylinux{year}_x86_64" for year in OLDER)


def pack(folder: Path, without: Iterable[str], python: str) -> int:
    """Put the wheels into a folder; their bytes. Raises CalledProcessError where pip cannot."""
    pip = [sys.executable, "-m", "pip"]
    tags = [word for tag in platforms() for word in ("--platform", tag)]
    kind = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *tags]
    subprocess.run([*pip, "download", "-q", "--no-deps", *kind, "-d", folder, *missing(without, python)], check=True)
    with tempfile.TemporaryDirectory() as copy:
        # Building leaves folders behind, and takes what earlier builds left there.
        for name in SOURCES:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, Path(copy) / name)
        subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", folder, copy], check=True)
    return sum(path.stat().st_size for path in folder.glob("*.whl"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cuda.wheels", description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, help="the folder for the wheels")
    parser.add_argument("--python", default=f"3.{sys.version_info.minor}", help="Python of the other machine: 3.12")
    parser.add_argument("--without", nargs="*", default=["scipy"], help="packages that the other machine has")
    options = parser.parse_args()
    size = pack(options.out, options.without, options.python)
    print(f"{size / 1e6:.0f} MB in {options.out}")
    if size > LIMIT:
        sys.exit(
            f"that is more than {LIMIT / 1e6:.0f} MB: name what the other machine has by --without, in a new folder"
        )


if __name__ == "__main__":
    main()
