"""`dualfair evaluate`: every measure of trained networks, or of the embeddings of any other system."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from dualfair.runs.config import build_configs, config_options, option
from dualfair.runs.devices import deterministic_option, device_option
from dualfair.runs.distributed import join
from dualfair.stages.evaluation_output import draw, sentences, write_comparison, write_tables
from dualfair.stages.evaluation_reliability import study_reliability
from dualfair.stages.evaluation_sections import measure_sections
from dualfair.supernet.files import write_json
from dualfair.supernet.training.process_group import ALONE, ProcessGroup

METRICS = ("identification", "disparity", "open-set", "verification")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is measured, and how sure one can be of it."""

    metrics: str = option("all", f"all, or some of: {','.join(METRICS)}.")
    enrol: int = option(0, "Random images of each person that form the gallery; 0 = all images against all others.")
    reference: str = option("", "Group that ratios are also taken to, one by one.  [default: all orders]")
    gallery: str = option("all", "Identities that disparities are also taken at: all, or a number.")
    galleries: int = option(8, "Number of galleries of a stated size.")
    resamples: int = option(1000, "Bootstrap resamples over identities; 0 = no intervals.")
    interval: str = option("bca", "bca or percentile.")
    least_people: int = option(5, "Groups with fewer people are listed and stay in galleries, but are not compared.")
    folds: int = option(10, "Folds of pairs that are drawn; fewer where groups have few people.")
    within_group: bool = option(False, "Draw impostor pairs within a group only, as in RFW.")
    seed: int = option(0, "Seed of galleries, pairs, splits into enrolled and unknown people, and resamples.")

    def __post_init__(self) -> None:
        unknown = [name for name in self.sections if name not in METRICS]
        if unknown:
            raise ValueError(f"unknown metrics {unknown[0]!r}; choose from all, {', '.join(METRICS)}")
        if self.enrol < 0:
            raise ValueError(f"enrol must be 0 or more images of each person, got {self.enrol}")
        if self.folds < 2:
            raise ValueError(f"folds must be 2 or more, one to judge and one to learn from, got {self.folds}")
        if self.least_people < 1:
            raise ValueError(f"least_people must be 1 or more, got {self.least_people}")
        if self.gallery != "all" and not self.gallery.isdecimal():
            raise ValueError(f"gallery must be 'all' or a number of identities, got {self.gallery!r}")

    @property
    def sections(self) -> tuple[str, ...]:
        """The metrics asked for."""
        return METRICS if self.metrics == "all" else tuple(part.strip() for part in self.metrics.split(","))


_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--network", "networks", type=_PATH, multiple=True, help="RUN/retrain/GENOTYPE/seed-0; may be repeated.")
@click.option("--faces", type=_PATH, help="Faces folder to evaluate networks on.")
@click.option("--embeddings", type=_PATH, help="Instead of networks, embeddings of any system: .npy (images, D).")
@click.option("--identities", type=_PATH, help="CSV beside the embeddings, a row each: identity[,group][,path][,more].")
@click.option(
    "--pairs", type=_PATH, help="pairs.csv, LFW's pairs.txt, or a .bin set.  [default: the faces' own or drawn]"
)
@click.option("--group", help="Column that says which group a person belongs to.  [default: group]")
@click.option(
    "--split",
    type=click.Choice(["all", "train", "validation", "test"]),
    help="People to evaluate.  [default: test on the faces that the network was trained on, else all]",
)
@click.option("--disparity", "own", multiple=True, help="A measure of your own, module:function; may be repeated.")
@click.option("--reliability", is_flag=True, help="Of several networks: how reliable every measure is, and why.")
@click.option("--baseline", type=_PATH, help="Result of a baseline, for bpc.")
@click.option("--out", type=_PATH, required=True, help="Folder for the results.")
@config_options(EvaluateOptions)
@device_option
@deterministic_option
def command(
    networks: tuple[Path, ...],
    faces: Path | None,
    embeddings: Path | None,
    identities: Path | None,
    pairs: Path | None,
    group: str | None,
    split: str | None,
    own: tuple[str, ...],
    reliability: bool,
    baseline: Path | None,
    out: Path,
    preset: str | None,
    device: str,
    deterministic: bool,
    **given: object,
) -> None:
    """Measure networks, or embeddings of any other system, on faces and groups.

    Identification (error, ranks, CMC), disparities between groups, the open set, and verification, every number with
    its n and a bootstrap interval over people. Writes report.json, groups.csv, disparities.csv and pictures.
    """
    from dualfair.stages.subjects import subject_of_embeddings, subjects_of_networks

    (options,) = build_configs(given, preset, EvaluateOptions, stage="evaluate")
    if bool(networks) == bool(embeddings):
        raise ValueError("name either --network with --faces, or --embeddings with --identities")
    processes = join(device, deterministic) if networks else ALONE
    if networks:
        if not faces:
            raise ValueError("--network needs --faces, the faces folder to evaluate on")
        subjects = subjects_of_networks(networks, faces, pairs, group, split, processes)
    else:
        if not identities:
            raise ValueError("--embeddings needs --identities, a CSV with one row an embedding")
        subjects = [subject_of_embeddings(embeddings, identities, pairs, group, split)]
    measures = _measures(own)
    single = len(subjects) == 1
    reports = []
    for subject in subjects:
        folder = out if single else out / f"{subject.name.replace(':', '_')}-seed-{subject.seed}"
        reports.append(evaluate(subject, measures, options, folder, baseline, processes))
    if not processes.leads:
        return
    if not single:
        write_comparison(out, subjects, reports)
    if reliability:
        study_reliability(out, subjects, measures, options)
    click.echo(f"Everything is in {out}")


def evaluate(
    subject,
    measures: Mapping[str, object],
    options: EvaluateOptions,
    folder: Path,
    baseline: Path | None = None,
    processes: ProcessGroup = ALONE,
) -> dict:
    """Measure one subject, print the numbers, and write them with pictures into a folder; returns the report."""
    from dualfair.evaluation.identification_report import Resampling

    resampling = Resampling(resamples=options.resamples, method=options.interval, seed=options.seed)
    report = {
        "name": subject.name,
        "training_seed": subject.seed,
        "faces": subject.description,
        "images": len(subject.identities),
        "identities": len(set(subject.identities.tolist())),
        "group_column": subject.group_column,
        "options": asdict(options),
        "intervals": f"{resampling.confidence:.0%} bootstrap over people as probes, gallery fixed, {resampling.method}",
        "notes": list(subject.notes),
    }
    sections, curves = measure_sections(subject, measures, options, resampling, report["notes"], processes)
    report |= sections
    if baseline:
        report["bpc"] = against_baseline(report, baseline)
    if not processes.leads:
        return report
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", report)
    write_tables(folder, report)
    draw(folder, report, curves)
    for line in sentences(report):
        click.echo(line)
    return report


def _measures(own: Sequence[str]) -> dict[str, object]:
    from dualfair.evaluation.metrics.disparity import DISPARITIES
    from dualfair.runs.plug_in import look_up

    return {**DISPARITIES, **{name: look_up(name, DISPARITIES, "disparity") for name in own}}


def against_baseline(report: dict, baseline: Path) -> list[dict]:
    """bpc of every disparity that is fair at 0, against the report of a baseline, with TAR at the same FAR."""
    from dualfair.evaluation.metrics.pair_disparity import bpc

    path = baseline / "report.json" if baseline.is_dir() else baseline
    try:
        other = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"baseline {path} cannot be read: {error}; name a folder made by 'dualfair evaluate'"
        ) from error
    missing = [name for name in ("disparities", "verification") if name not in other or name not in report]
    if missing:
        raise ValueError(f"bpc needs {missing[0]} in both results; evaluate both with --metrics all")
    theirs = {(row["name"], row["variant"]): row["value"] for row in other["disparities"]}
    rows = []
    for mine, its in zip(report["verification"]["at_far"], other["verification"]["at_far"], strict=True):
        for row in report["disparities"]:
            before, after = theirs.get((row["name"], row["variant"])), row["value"]
            if row["fair"] or before is None or after is None:
                continue
            finite = math.isfinite(float(before)) and math.isfinite(float(after))
            value = bpc(float(before), float(after), its["tar"], mine["tar"]) if finite else None
            rows.append(
                {
                    "disparity": row["name"],
                    "variant": row["variant"],
                    "far": mine["far_asked"],
                    "value": value,
                    "baseline": other["name"],
                }
            )
    return rows
