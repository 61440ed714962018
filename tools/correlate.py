"""`dualfair correlate`: stage 4, does the inherited score rank networks as training from scratch does?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from supernet.atomic import write_json
from tools.device import describe, deterministic_option, device_option
from tools.judging import searched_with
from tools.launch import join
from tools.run_directory import RunDirectory
from tools.trainings import MEASURES, SPLITS, Trained, collect

PARTIAL = 3
"""Exit status of a study in which a correlation is undefined, or a training that was asked for is missing."""


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), required=True, help="Run directory of retraining.")
@click.option("--resamples", type=int, default=2000, show_default=True, help="Bootstrap resamples of an interval.")
@device_option
@deterministic_option
def command(run_path: Path, resamples: int, device: str, deterministic: bool) -> None:
    """Stage 4: rank correlation of inherited and standalone scores, for error and for disparity."""
    from tools.session import open_trained

    processes = join(device, deterministic)
    with RunDirectory(run_path, processes.leads).locked():
        report = correlate(open_trained(run_path, processes), resamples=resamples)
    if is_partial(report):
        sys.exit(PARTIAL)


def is_partial(report: dict) -> bool:
    """Whether a study lacks a training that was asked for, or has a correlation that is undefined."""
    undefined = any(measure["correlation"]["tau"] is None for measure in report["measures"].values())
    return bool(undefined or report["missing"] or report["left_out"] or report["damaged"])


def correlate(run, *, resamples: int = 2000) -> dict:
    """Write and print the ranking study of a run; returns it as a dictionary."""
    from evolution.run import Run
    from tools.search import open_archive, open_scorer

    trained = collect(run)
    run.directory.record_command("correlate", describe(run.device))
    judging, extra = searched_with(run.directory)
    scorer = open_scorer(run, judging, extra=extra)
    archive = open_archive(run, scorer, judging)
    table = Run(scorer, archive, steps=1).step(trained.genotypes).reshape(-1, len(scorer.columns))
    inherited = {name: table[:, column] for column, name in enumerate(scorer.columns)}
    report = study(trained, inherited, scorer.protocol.disparity_name, resamples)
    folder = run.directory.stage("correlate")
    write_json(folder / "ranking.json", report)
    for line in sentences(report):
        run.directory.say(line)
    if not trained.genotypes:
        run.directory.say(f"Numbers: {folder}/ranking.json")
        return report
    _draw(folder / "ranking.png", trained, inherited, report)
    run.directory.say(f"Numbers: {folder}/ranking.json, scatter: {folder}/ranking.png")
    return report


def truth_of(trained: Trained, measure: str, split: str):
    """Standalone values of a measure ("error" or "disparity") on a split, shape (networks, seeds)."""
    import numpy as np

    values = [[float(result[split][measure]) for result in results] for results in trained.results]
    return np.array(values).reshape(len(values), trained.seeds)


def mean_over_seeds(truth):
    """Means of values (networks, seeds), shape (networks,); nan where infinities cancel."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        return truth.sum(axis=1) / max(truth.shape[1], 1)


def study(trained: Trained, inherited: dict, disparity_name: str, resamples: int) -> dict:
    """Correlations of inherited with standalone scores, the noise between seeds, and plain baselines."""
    from evaluation.ranking import correlation, noise_ceiling, regret

    measures = {}
    for measure, column in zip(MEASURES, ("error", disparity_name), strict=True):
        for split in SPLITS:
            truth = truth_of(trained, measure, split)
            mean = mean_over_seeds(truth)
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
        "seeds": trained.seeds,
        "left_out": list(trained.left_out),
        "missing": list(trained.missing),
        "damaged": list(trained.damaged),
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
        if ours["ties_cheap"] or ours["ties_truth"]:
            pairs = ours["n"] * (ours["n"] - 1) // 2
            lines.append(
                f"    ties: {ours['ties_cheap']} of {pairs} pairs of networks in inherited scores, "
                f"{ours['ties_truth']} in standalone ones"
            )
    if report["left_out"]:
        lines.append(f"  left out, seeds missing: {', '.join(report['left_out'])}")
    if report["missing"]:
        lines.append(f"  missing: {'; '.join(report['missing'])}")
    lines += [f"  {text}" for text in report["damaged"]]
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
        with np.errstate(invalid="ignore"):
            spread = truth.std(axis=1, ddof=1) / truth.shape[1] ** 0.5 if truth.shape[1] > 1 else np.zeros(len(truth))
        tau = measure["correlation"]["tau"]
        verdict = f"n = {len(truth)}, tau = {tau:.2f}" if tau is not None else f"n = {len(truth)}, tau undefined"
        panels.append((column, inherited[column], mean_over_seeds(truth), spread, verdict))
    ranking_figure(path, panels)
