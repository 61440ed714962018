"""What a machine with a GPU has to show, in at most three minutes: equality of the ways that a training step goes,
speed, memory, scoring, ranks, and the four stages. Not collected by pytest, as it needs a GPU.

    python -m tests.cuda --out FOLDER

writes cuda.json and cuda.txt, anew with every row; the exit status is 1 when something failed. `--device cpu` runs what
a CPU can, smaller. A machine without network is prepared as `tests.cuda.wheels` says; then, in the project's root:

    python -m pip install --no-index --find-links OUT dualfair
    python -m tests.cuda --out FOLDER
"""

import argparse
import sys
from pathlib import Path

from dualfair.benchmarks.run import environment
from dualfair.runs.devices import choose_device
from tests.cuda.checks import checks_on
from tests.cuda.running import run_checks

SECONDS = 180


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cuda", description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--out", type=Path, required=True, help="the folder for cuda.json and cuda.txt")
    parser.add_argument("--only", nargs="+", default=[], metavar="CHECK", help="checks by their names")
    options = parser.parse_args()
    try:
        choose_device(options.device)
    except ValueError as error:
        parser.error(str(error))
    checks = checks_on(options.device)
    if unknown := [name for name in options.only if name not in checks]:
        parser.error(f"unknown check {unknown[0]!r}; choose from {', '.join(checks)}")
    chosen = {name: check for name, check in checks.items() if name in options.only or not options.only}
    passed = run_checks(chosen, options.device, options.out, environment(options.device), SECONDS)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
