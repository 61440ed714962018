"""`dualfair search`: stage 2, NSGA-II over genotypes scored by the weights that they inherit."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import click

from tools.device import choose_device, describe, device_option
from tools.options import build_configs, config_options, option


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """How networks are judged; the same in the search, for standalone networks and in the ranking study."""

    calibrate: int = option(512, "Training images on which BN statistics of a path are measured; 0 = inherited ones.")
    disparity: str = option("rank_disparity", "A disparity by name, or module:function of your own f(values, groups).")
    count: str = option("images", "A rank counts images or identities nearer than the nearest mate.")
    gallery: str = option("all", "Identities in the gallery, all or a number (then averaged over seeded galleries).")
    galleries: int = option(8, "How many seeded galleries a stated gallery size is averaged over.")


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How long and where NSGA-II searches."""

    population: int = option(32, "Genotypes a generation.")
    generations: int = option(10, "Generations, the random first one included.")
    seed: int = option(0, "Seed of the search.")


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), required=True, help="Run directory of training.")
@click.option("--objective", "extra", multiple=True, type=click.Choice(["params", "macs"]), help="A further objective.")
@click.option("--exhaustive", is_flag=True, help="Score the whole space instead; for -shared spaces.")
@click.option("--batch", type=int, default=128, show_default=True, help="Images scored at once.")
@config_options(ScoringOptions, SearchOptions)
@device_option
def command(
    run_path: Path,
    extra: tuple[str, ...],
    exhaustive: bool,
    batch: int,
    preset: Path | None,
    device: str,
    **given: object,
) -> None:
    """Stage 2: evolve subnets; every score is kept and never computed again."""
    scoring, options = build_configs(given, preset, ScoringOptions, SearchOptions)
    search_run(run_path, scoring, options, extra=extra, exhaustive=exhaustive, batch=batch, device=device)
    click.echo(f"Next: dualfair retrain --run {run_path}")
