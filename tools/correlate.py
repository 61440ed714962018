"""`dualfair correlate`: stage 4, does the inherited score rank networks as training from scratch does?"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click

from tools.device import describe, device_option
from tools.launch import join
from tools.run_directory import write_json

PARTIAL = 3
"""Exit status of a study in which a correlation is undefined."""


@dataclass(frozen=True)
class Trained:
    """Standalone trainings of networks: genotypes (n), and results[network][seed] with equal seeds for all."""

    genotypes: tuple
    results: tuple[tuple[dict, ...], ...]
    left_out: tuple[str, ...]


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), required=True, help="Run directory of retraining.")
@click.option("--resamples", type=int, default=2000, show_default=True, help="Bootstrap resamples of an interval.")
@device_option
def command(run_path: Path, resamples: int, device: str) -> None:
    """Stage 4: rank correlation of inherited and standalone scores, for error and for disparity."""
    from tools.session import open_trained

    run = open_trained(run_path, join(device))
    report = correlate(run, resamples=resamples)
    if any(measure["correlation"]["tau"] is None for measure in report["measures"].values()):
        sys.exit(PARTIAL)


def collect(run) -> Trained:
    """The trainings of a run with the seeds that most networks have; networks that lack one are left out and named."""
    from supernet.genotype import Genotype

    found: dict[str, dict[int, dict]] = {}
    for path in sorted((run.directory.path / "retrain").glob("*/seed-*/result.json")):
        result = json.loads(path.read_text())
        found.setdefault(result["genotype"], {})[result["seed"]] = result
    if not found:
        raise ValueError(f"{run.directory.path} has no retrained networks; run 'dualfair retrain' first")
    seeds, _ = Counter(tuple(sorted(results)) for results in found.values()).most_common(1)[0]
    whole = {genotype: results for genotype, results in found.items() if set(seeds) <= set(results)}
    return Trained(
        tuple(Genotype.parse(genotype) for genotype in whole),
        tuple(tuple(results[seed] for seed in seeds) for results in whole.values()),
        tuple(sorted(set(found) - set(whole))),
    )


def correlate(run, *, resamples: int = 2000) -> dict:
    """Write and print the ranking study of a run; returns it as a dictionary."""
    from evolution.run import Run
    from tools.retrain import judging_of
    from tools.search import open_archive, open_scorer

    trained, judging = collect(run), judging_of(run)
    scorer = open_scorer(run, judging, extra=run.directory.config("search")["objectives"][2:])
    archive = open_archive(run, scorer, judging)
    table = Run(scorer, archive, steps=1).step(trained.genotypes)
    inherited = {name: table[:, column] for column, name in enumerate(scorer.columns)}
    report = study(trained, inherited, scorer.protocol.disparity_name, resamples)
    folder = run.directory.stage("correlate")
    write_json(folder / "ranking.json", report)
    run.directory.record_command("correlate", describe(run.device))
    _draw(folder / "ranking.png", trained, inherited, report)
    for line in sentences(report):
        run.directory.say(line)
    run.directory.say(f"Numbers: {folder}/ranking.json, scatter: {folder}/ranking.png")
    return report


def truth_of(trained: Trained, measure: str, split: str):
    """Standalone values of a measure ("error" or "disparity") on a split, shape (networks, seeds)."""
    import numpy as np

    return np.array([[result[split][measure] for result in results] for results in trained.results], dtype=float)


def study(trained: Trained, inherited: dict, disparity_name: str, resamples: int) -> dict:
    """Correlations of inherited with standalone scores, the noise between seeds, and plain baselines."""
    from evaluation.ranking import correlation, noise_ceiling, regret

    measures = {}
    for measure, column in (("error", "error"), ("disparity", disparity_name)):
        for split in ("validation", "test"):
            truth = truth_of(trained, measure, split)
            mean = truth.mean(axis=1)
            ours = correlation(inherited[column], mean, resamples=resamples)
            measures[f"{column}, {split} identities"] = {
                "correlation": ours.to_dict(),
                "noise_ceiling": noise_ceiling(truth).to_dict(),
                "regret": regret(inherited[column], mean) if ours.tau is not None else None,
                "baselines": {
                    name: correlation(inherited[name], mean, resamples=resamples).to_dict()
                    for name in ("params", "macs")
                },
            }
    return {
        "networks": [str(genotype) for genotype in trained.genotypes],
        "seeds": len(trained.results[0]),
        "left_out": list(trained.left_out),
        "measures": measures,
    }


def sentences(report: dict) -> list[str]:
    """The study as lines of text."""
    lines = [
        f"Ranking: {len(report['networks'])} networks, {report['seeds']} seeds each; inherited scores on validation "
        "identities against the mean of standalone trainings"
    ]
    for name, measure in report["measures"].items():
        ours, ceiling = measure["correlation"], measure["noise_ceiling"]
        if ours["tau"] is None:
            lines.append(f"  {name}: tau {ours['reason']}")
            continue
        interval = ours["interval"]
        within = f"[{interval[0]:.2f}, {interval[1]:.2f}] ({ours['method']} 95 %)" if interval else "interval undefined"
        noise = f"{ceiling['mean']:.2f}" if ceiling["mean"] is not None else ceiling["reason"]
        plain = ", ".join(
            f"{key} {value['tau']:.2f}" if value["tau"] is not None else f"{key} undefined"
            for key, value in measure["baselines"].items()
        )
        lines.append(
            f"  {name}: tau {ours['tau']:.2f} {within}, rho {ours['spearman']:.2f}; between seeds {noise}; {plain}"
        )
    if report["left_out"]:
        lines.append(f"  left out, seeds missing: {', '.join(report['left_out'])}")
    return lines


def _draw(path: Path, trained: Trained, inherited: dict, report: dict) -> None:
    import numpy as np

    from tools.figures import ranking_figure

    panels = []
    for name, measure in report["measures"].items():
        column, split = name.split(", ")
        if split != "validation identities":
            continue
        truth = truth_of(trained, "error" if column == "error" else "disparity", "validation")
        spread = truth.std(axis=1, ddof=1) / truth.shape[1] ** 0.5 if truth.shape[1] > 1 else np.zeros(len(truth))
        tau = measure["correlation"]["tau"]
        verdict = f"n = {len(truth)}, tau = {tau:.2f}" if tau is not None else f"n = {len(truth)}, tau undefined"
        panels.append((column, inherited[column], truth.mean(axis=1), spread, verdict))
    ranking_figure(path, panels)
