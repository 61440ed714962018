"""The standalone trainings of a run directory: which have a result, which are missing, which are damaged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from supernet.atomic import read_json, write_json

PLAN = "plan.json"
"""The trainings that were ever asked for, in the retrain folder."""
SPLITS = ("validation", "test")
MEASURES = ("error", "disparity")

_SEED = re.compile(r"seed-(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Trained:
    """Standalone trainings of networks: genotypes (n), and results[network][seed] with equal seeds for all.

    `left_out` are networks that lack one of those seeds. `missing` names the trainings that have no result although
    they were asked for, have begun, or would give a network equal seeds; `damaged` says what cannot be read and why.
    """

    genotypes: tuple
    results: tuple[tuple[dict, ...], ...]
    left_out: tuple[str, ...]
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def seeds(self) -> int:
        """Trainings of every network."""
        return len(self.results[0]) if self.results else 0


def collect(run) -> Trained:
    """The trainings of a run with the seeds that most networks have; networks that lack one are left out and named.

    A result that is damaged counts as missing. Raises ValueError when no training was ever asked for.
    """
    folder = run.directory.path / "retrain"
    damaged: list[str] = []
    asked = {*_planned(folder, damaged), *_begun(folder)}
    found: dict[str, dict[int, dict]] = {}
    for path in sorted(folder.glob("*/seed-*/result.json")):
        try:
            result = read_result(path, run.setting.space)
        except ValueError as error:
            damaged.append(f"{path}: {error}")
        else:
            found.setdefault(result["genotype"], {})[result["seed"]] = result
    if not (found or asked or damaged):
        raise ValueError(f"{run.directory.path} has no retrained networks; run 'dualfair retrain' first")
    counted = Counter(tuple(sorted(results)) for results in found.values()).most_common(1)
    seeds = counted[0][0] if counted else ()
    whole = {genotype: results for genotype, results in found.items() if set(seeds) <= set(results)}
    wanted = asked | {(genotype, seed) for genotype in found for seed in seeds}
    return Trained(
        tuple(run.setting.space.parse(genotype) for genotype in whole),
        tuple(tuple(results[seed] for seed in seeds) for results in whole.values()),
        tuple(sorted(set(found) - set(whole))),
        tuple(f"{genotype} seed {seed}" for genotype, seed in sorted(wanted) if seed not in found.get(genotype, ())),
        tuple(damaged),
    )


def read_plan(folder: Path) -> list[tuple[str, int]]:
    """The trainings that were ever asked for, as (genotype, seed), in order. Raises ValueError for a damaged plan."""
    path = folder / PLAN
    if not path.exists():
        return []
    try:
        return [(_text(job["genotype"]), _whole(job["seed"])) for job in read_json(path)["jobs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {_reason(error)}") from None


def add_to_plan(folder: Path, asked: Sequence[tuple[str, int]]) -> None:
    """Keep every training that is asked for in the plan. Raises ValueError for a damaged plan."""
    jobs = dict.fromkeys([*read_plan(folder), *asked])
    write_json(folder / PLAN, {"jobs": [{"genotype": genotype, "seed": seed} for genotype, seed in jobs]})


def _planned(folder: Path, damaged: list[str]) -> set[tuple[str, int]]:
    try:
        return set(read_plan(folder))
    except ValueError as error:
        damaged.append(str(error))
        return set()


def _begun(folder: Path) -> set[tuple[str, int]]:
    """The trainings that have a folder."""
    named = ((path.parent.name, _SEED.fullmatch(path.name)) for path in folder.glob("*/seed-*") if path.is_dir())
    return {(name.replace("_", ":", 1), int(match[1])) for name, match in named if match}


def read_result(path: Path, space) -> dict:
    """The result of one training of a space's network. Raises ValueError when it is not whole, or of another one."""
    try:
        result = read_json(path)
        genotype, seed = str(space.parse(_text(result["genotype"]))), _whole(result["seed"])
        for split in SPLITS:
            for measure in MEASURES:
                float(result[split][measure])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{_reason(error)}; delete it and run 'dualfair retrain' again") from None
    there = (path.parent.parent.name, path.parent.name)
    if there != (genotype.replace(":", "_"), f"seed-{seed}") or result["genotype"] != genotype:
        raise ValueError(f"it is of {genotype} seed {seed}, not of this folder's network; delete it")
    return result


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {type(value).__name__}")
    return value


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 10**9:
        raise ValueError(f"expected a seed of 0 or more, got {str(value)[:40]!r}")
    return value


def _reason(error: Exception) -> str:
    """Why a file is damaged, in one line."""
    if isinstance(error, KeyError):
        return f"damaged, {error} is missing in it"
    return f"damaged, {' '.join(str(error).split())}"
