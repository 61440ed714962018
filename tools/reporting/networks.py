"""The networks trained from scratch as the report's data: their numbers, the choice among them, and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from dualfair.evaluation.over_seeds import SeedMean, TrainedNetwork, standing
from dualfair.evaluation.protocol import ObjectiveNames
from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, Table, spread_columns, table
from dualfair.runs.records.training import SPLITS
from dualfair.stages.recommendation import Recommendation, recommend


def network_data(network: TrainedNetwork, names: ObjectiveNames) -> dict:
    """A trained network as data, with its numbers in the objectives that are measured on images.

    {"genotype", "samples", "seeds", "params", "macs", "validation" and "test": {objective, also "error" and
    "disparity": {"mean", "se", "values"}}, "probes" of test, "groups": [{"group", "probes", "error", "mean_rank"}]}.
    Means and standard errors are over seeds, "values" one a seed; "se" is None for one seed.
    """
    return {
        "genotype": network.label,
        "samples": list(network.samples),
        "seeds": network.seeds,
        "params": network.params,
        "macs": network.macs,
        **{
            split: _by_objective({name: _mean(of_seeds) for name, of_seeds in network.on(split).items()}, names)
            for split in SPLITS
        },
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


def choice_data(networks: Sequence[TrainedNetwork], names: ObjectiveNames) -> dict:
    """Which networks to take, and how the first of them stands among all on test people.

    {"choice": {"chosen": [{"genotype", "because", "tied"}], "front": genotypes}, "standing": {"of", "fewest", "most",
    objective, also "disparity": {"place", "shared", "better", "worse", "unknown"}}, None without a network}.
    """
    recommendation = recommend(networks, names) if networks else Recommendation()
    chosen = [
        {"genotype": choice.label, "because": list(choice.because), "tied": choice.tied}
        for choice in recommendation.chosen
    ]
    place = None
    if chosen:
        of = standing(networks, chosen[0]["genotype"])
        by_objective = _by_objective({name: asdict(at) for name, at in of.places.items()}, names)
        place = {"of": of.networks, "fewest": of.fewest, "most": of.most, **by_objective}
    return {"choice": {"chosen": chosen, "front": list(recommendation.front)}, "standing": place}


def network_table(networks: Sequence[Mapping], objectives: Sequence[str]) -> Table:
    """All trained networks: the objectives on both splits with standard errors over seeds, and sizes."""
    cells = [(split, name) for split in reversed(SPLITS) for name in objectives]
    columns = [Column("network", "text"), Column("trained as", "text"), Column("trainings", "whole")]
    columns += [column for split, name in cells for column in spread_columns(f"{split} {spoken(name)}")]
    columns += [Column("test images", "whole"), Column("parameters", "millions"), Column("MACs", "millions")]
    rows = [
        [
            *(network["genotype"], ", ".join(network["samples"]), network["seeds"]),
            *(network[split][name][part] for split, name in cells for part in ("mean", "se")),
            *(network["probes"], network["params"], network["macs"]),
        ]
        for network in networks
    ]
    caption = "Networks trained from scratch, best on test people first (± one standard error over trainings)"
    return table(columns, rows, caption)


def group_table(networks: Sequence[Mapping], people: Mapping[str, int]) -> Table:
    """Error and mean rank of every group on test people, for every network; `people` are those of each group."""
    columns = [Column("network", "text"), Column("group", "text")]
    columns += [Column(name, "whole") for name in ("people", "images", "trainings")]
    columns += [*spread_columns("error"), *spread_columns("mean rank")]
    rows = [
        [
            *(network["genotype"], group["group"], people.get(group["group"]), group["probes"], network["seeds"]),
            *(group[name][part] for name in ("error", "mean_rank") for part in ("mean", "se")),
        ]
        for network in networks
        for group in network["groups"]
    ]
    return table(columns, rows, "Each group on test people (± one standard error over trainings)")


def _by_objective(values: Mapping[str, object], names: ObjectiveNames) -> dict:
    """Values by the names of the measures, that of the disparity also by "disparity"."""
    return {**values, "disparity": values[names.disparity]} if names.disparity in values else dict(values)


def _mean(numbers: SeedMean) -> dict:
    return {"mean": numbers.mean, "se": numbers.standard_error, "values": list(numbers.values)}
