"""The standalone trainings of a run directory: which have a result, which are missing, which are damaged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dualfair.runs.training_spec import TrainingSpec, folder_of_label, is_plain, label_of_folder
from dualfair.supernet.files import read_json, write_json

_SEED = re.compile(r"seed-(0|[1-9][0-9]{0,8})")

PLAN = "plan.json"
"""The trainings that were ever asked for, in the retrain folder."""
SHORT = "short"
"""The folder of a run with the short trainings that cost together what the supernet did."""
INHERIT = "inherit"
"""The folder of a run with the trainings that began with the supernet's weights."""
TUNE = "tune"
"""The folder of a run with the trials of networks and hyper-parameters."""
SAMPLES = ("front", "even", "random", "named", "shelf")
"""Why a network is trained: it is on the front, evenly spaced in inherited error, drawn at random, named by hand, or a
backbone from the shelf."""
NAMED = ("named",)
SHELF = ("shelf",)
SPLITS = ("validation", "test")
MEASURES = ("error", "disparity")


@dataclass(frozen=True)
class Trained:
    """Standalone trainings of networks: genotypes (n), and results[network][seed] with equal seeds for all.

    `left_out` are networks that lack one of those seeds. `missing` names the trainings that have no result although
    they were asked for, have begun, or would give a network equal seeds; `damaged` says what cannot be read and why.
    `samples` tell why each network was asked for, one or more of SAMPLES.
    """

    genotypes: tuple
    results: tuple[tuple[dict, ...], ...]
    left_out: tuple[str, ...]
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    samples: tuple[frozenset[str], ...] = ()

    @property
    def seeds(self) -> int:
        """Trainings of every network."""
        return len(self.results[0]) if self.results else 0


def collect(run) -> Trained:
    """The trainings of a run with the seeds that most networks have; networks that lack one are left out and named.

    Only networks of the space trained by the stage's own recipe are looked at: backbones, and trainings by a changed
    recipe, have no inherited score to compare with (`read_trainings` has them). A result that is damaged counts as
    missing. Raises ValueError when no such training was ever asked for.
    """
    folder = run.directory.path / "retrain"
    damaged: list[str] = []
    plan = {(label, seed): of for (label, seed), of in _planned(folder, damaged).items() if is_plain(label)}
    asked = {*plan, *((label, seed) for label, seed in begun(folder) if is_plain(label))}
    samples = _by_network(plan)
    found: dict[str, dict[int, dict]] = {}
    for training, result in _read_all(folder, run.setting.space, damaged, plain=True):
        found.setdefault(training.label, {})[training.seed] = result
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
        tuple(samples.get(genotype, frozenset(NAMED)) for genotype in whole),
    )


def read_trainings(folder: Path, damaged: list[str]) -> dict[TrainingSpec, dict]:
    """The result of every training in a retrain folder: of searched networks and of backbones, by any recipe.

    Sentences on results that cannot be read are added to `damaged`.
    """
    return dict(_read_all(folder, None, damaged))


def _read_all(folder: Path, space, damaged: list[str], plain: bool = False) -> Iterator[tuple[TrainingSpec, dict]]:
    """The trainings of a folder with their results, in order of their paths; with `plain` only those of `is_plain`."""
    for path in sorted(folder.glob("*/seed-*/result.json")):
        if plain and not is_plain(label_of_folder(path.parts[-3])):
            continue
        try:
            result = read_result(path, space)
        except ValueError as error:
            damaged.append(f"{path}: {error}")
        else:
            yield TrainingSpec.of_label(result["genotype"], result["seed"]), result


def read_short(run, trained: Trained) -> tuple[dict, ...]:
    """The results of the short trainings of all trained networks, in their order; none where one is not there.

    Raises ValueError for a damaged one.
    """
    paths = [
        run.directory.path / SHORT / folder_of_label(str(genotype)) / "seed-0/result.json"
        for genotype in trained.genotypes
    ]
    if not all(path.is_file() for path in paths):
        return ()
    results = []
    for path in paths:
        try:
            results.append(read_result(path, run.setting.space))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return tuple(results)


def read_plan(folder: Path) -> list[tuple[str, int]]:
    """The trainings that were ever asked for, as (label, seed), in order. Raises ValueError for a damaged plan."""
    return [*_jobs(folder)]


def read_samples(folder: Path) -> dict[str, frozenset[str]]:
    """Why each searched network of the plan that is trained by the stage's own recipe was asked for: samples by
    genotype, in order. Raises as `read_plan` does."""
    return _by_network({(label, seed): samples for (label, seed), samples in _jobs(folder).items() if is_plain(label)})


def add_to_plan(folder: Path, asked: Mapping[tuple[str, int], Sequence[str]]) -> None:
    """Keep every training (label, seed) that is asked for, and its samples. Raises ValueError for a damaged plan."""
    jobs = _jobs(folder)
    for job, samples in asked.items():
        jobs[job] = jobs.get(job, frozenset()) | {*samples}
    rows = [
        {"genotype": genotype, "seed": seed, "samples": sorted(samples)} for (genotype, seed), samples in jobs.items()
    ]
    write_json(folder / PLAN, {"jobs": rows})


def _jobs(folder: Path) -> dict[tuple[str, int], frozenset[str]]:
    path = folder / PLAN
    if not path.exists():
        return {}
    try:
        return {
            (_text(job["genotype"]), _whole(job["seed"])): _samples(job.get("samples", NAMED))
            for job in read_json(path)["jobs"]
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {_reason(error)}") from None


def _samples(value: object) -> frozenset[str]:
    if not isinstance(value, (list, tuple)) or not value or not all(name in SAMPLES for name in value):
        raise ValueError(f"expected samples out of {', '.join(SAMPLES)}, got {str(value)[:40]!r}")
    return frozenset(value)


def _by_network(jobs: Mapping[tuple[str, int], frozenset[str]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for (genotype, _), samples in jobs.items():
        found[genotype] = found.get(genotype, frozenset()) | samples
    return found


def _planned(folder: Path, damaged: list[str]) -> dict[tuple[str, int], frozenset[str]]:
    try:
        return _jobs(folder)
    except ValueError as error:
        damaged.append(str(error))
        return {}


def begun(folder: Path) -> list[tuple[str, int]]:
    """The trainings of a stage's folder that have a folder of their own, as (label, seed)."""
    places = sorted(path for path in folder.glob("*/seed-*") if path.is_dir())
    named = ((place.parent.name, _SEED.fullmatch(place.name)) for place in places)
    return [(label_of_folder(name), int(match[1])) for name, match in named if match]


def read_result(path: Path, space=None) -> dict:
    """The result of one training of a space's network or of a backbone, short or not. Its label is under "genotype".

    Without a space any genotype will do.

    Raises ValueError when it is not whole, or of another one.
    """
    try:
        result = read_json(path)
        training = TrainingSpec.of_label(_text(result["genotype"]), _whole(result["seed"]))
        if space is not None and not training.on_shelf:
            training = replace(training, network=space.parse(str(training.network)))
        for split in SPLITS:
            for measure in MEASURES:
                float(result[split][measure])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        again = "dualfair retrain --short" if path.parents[2].name == SHORT else "dualfair retrain"
        raise ValueError(f"{_reason(error)}; delete it and run '{again}' again") from None
    if Path(*path.parts[-3:-1]) != training.folder or result["genotype"] != training.label:
        raise ValueError(f"it is of {training}, not of this folder's network; delete it")
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
