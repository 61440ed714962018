"""The networks trained from scratch as the report's data: their numbers, the choice among them, and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from dualfair.presentation.format import spoken
from dualfair.reporting.table import column, table
from dualfair.runs.records.training import MEASURES, SPLITS
from dualfair.stages.recommendation import MeasuresOverSeeds, Recommendation, SeedMean, Standing, TrainedNetwork


def network_data(network: TrainedNetwork) -> dict:
    """A trained network as data.

    {"genotype", "samples", "seeds", "params", "macs", "validation" and "test": {"error", "disparity": {"mean", "se",
    "values"}}, "probes" of test, "groups": [{"group", "probes", "error", "mean_rank"}]}. Means and standard errors are
    over seeds, "values" one a seed; "se" is None for one seed.
    """
    return {
        "genotype": network.label,
        "samples": list(network.samples),
        "seeds": network.seeds,
        "params": network.params,
        "macs": network.macs,
        **{split: _measures(network.on(split)) for split in SPLITS},
        "probes": network.probes,
        "groups": [
            {
                "group": group.group,
                "probes": group.probes,
                "error": _mean(group.error),
                "mean_rank": _mean(group.mean_rank),
            }
            for group in network.groups
        ],
    }


def choice_data(recommendation: Recommendation) -> dict:
    """The networks to take as data: {"chosen": [{"genotype", "because", "tied"}], "front": genotypes}."""
    chosen = [
        {"genotype": choice.label, "because": list(choice.because), "tied": choice.tied}
        for choice in recommendation.chosen
    ]
    return {"chosen": chosen, "front": list(recommendation.front)}


def standing_data(standing: Standing) -> dict:
    """A network's standing as data: {"of", "fewest", "most", "error" and "disparity": {"place", "shared", "better",
    "worse", "unknown"}}."""
    return {
        "of": standing.networks,
        "fewest": standing.fewest,
        "most": standing.most,
        "error": asdict(standing.error),
        "disparity": asdict(standing.disparity),
    }


def network_table(networks: Sequence[Mapping], disparity: str) -> dict:
    """All trained networks as a table: both measures on both splits with standard errors over seeds, and sizes."""
    columns = [column("network", "text"), column("trained as", "text"), column("trainings", "whole")]
    for split in reversed(SPLITS):
        for name in ("error", disparity):
            title = f"{split} {spoken(name)}"
            columns += [column(title, spread=f"{title} SE"), column(f"{title} SE")]
    columns += [column("test images", "whole"), column("parameters", "whole"), column("MACs", "whole")]
    rows = [
        [
            *(network["genotype"], ", ".join(network["samples"]), network["seeds"]),
            *(network[split][m][part] for split in reversed(SPLITS) for m in MEASURES for part in ("mean", "se")),
            *(network["probes"], network["params"], network["macs"]),
        ]
        for network in networks
    ]
    return table(columns, rows)


def group_table(networks: Sequence[Mapping], people: Mapping[str, int]) -> dict:
    """Error and mean rank of every group on test people, for every network; `people` are those of each group."""
    columns = [
        *(column("network", "text"), column("group", "text"), column("people", "whole"), column("images", "whole")),
        *(column("trainings", "whole"), column("error", spread="error SE"), column("error SE")),
        *(column("mean rank", spread="mean rank SE"), column("mean rank SE")),
    ]
    rows = [
        [
            *(network["genotype"], group["group"], people.get(group["group"]), group["probes"], network["seeds"]),
            *(group[name][part] for name in ("error", "mean_rank") for part in ("mean", "se")),
        ]
        for network in networks
        for group in network["groups"]
    ]
    return table(columns, rows)


def _measures(measures: MeasuresOverSeeds) -> dict:
    return {measure: _mean(measures.of(measure)) for measure in MEASURES}


def _mean(numbers: SeedMean) -> dict:
    return {"mean": numbers.mean, "se": numbers.standard_error, "values": list(numbers.values)}
