"""The networks trained from scratch: what they reach on validation and on test people, and which of them to take."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dualfair.reporting.run_files import RunFiles, number
from dualfair.reporting.setting import Setting
from dualfair.reporting.table import column, table
from dualfair.reporting.words import spoken

MEASURES = ("error", "disparity")
SPLITS = ("validation", "test")
_SEED = re.compile(r"seed-[0-9]{1,9}")


def read_results(run: RunFiles) -> list[dict]:
    """The results of all trainings in retrain/, by network and seed; damaged ones are told and left out."""
    found = []
    for path in sorted((run.path / "retrain").glob("*/seed-*/result.json")):
        file = path.relative_to(run.path).as_posix()
        result = run.json(file)
        if result is None or not _SEED.fullmatch(path.parent.name):
            continue
        try:
            whole = isinstance(result["genotype"], str) and all(
                number(result[split][measure]) is not None for split in SPLITS for measure in MEASURES
            )
        except (KeyError, TypeError):
            whole = False
        if whole:
            found.append(result)
        else:
            run.tell(f"{file} is damaged: it is not the result of a training")
    return found


def tell_unfinished(run: RunFiles, results: Sequence[Mapping]) -> None:
    """Tell where trainings that retrain/plan.json lists have no result yet: what is chosen may still change."""
    jobs = (run.json("retrain/plan.json") or {}).get("jobs", [])
    listed = jobs if isinstance(jobs, list) else ()
    planned = {(str(job.get("genotype")), str(job.get("seed"))) for job in listed if isinstance(job, dict)}
    missing = planned - {(result["genotype"], str(result.get("seed"))) for result in results}
    if missing:
        run.tell(
            f"retraining is not finished: {len(planned) - len(missing)} of {len(planned)} trainings are done, so the "
            "network to take may change"
        )


def read_samples(run: RunFiles) -> dict[str, list[str]]:
    """Why each network was trained, by genotype, as retrain/plan.json has it."""
    samples: dict[str, list[str]] = {}
    jobs = (run.json("retrain/plan.json") or {}).get("jobs", [])
    for job in jobs if isinstance(jobs, list) else ():
        if isinstance(job, dict) and isinstance(job.get("genotype"), str):
            names = job.get("samples", ["named"])
            known = samples.setdefault(job["genotype"], [])
            known += [str(name) for name in names if str(name) not in known] if isinstance(names, list) else []
    return samples


def networks_of(results: Sequence[Mapping], samples: Mapping[str, list[str]], setting: Setting) -> list[dict]:
    """The trained networks, a dictionary each, by test error.

    {"genotype", "samples", "seeds", "params", "macs", "validation" and "test": {"error", "disparity": {"mean", "se",
    "values"}}, "probes" of test, "groups": [{"group", "probes", "error", "mean_rank"}]}. Means and standard errors are
    over seeds, "values" one a seed; "se" is None for one seed. Parameters and MACs are None where neither formula nor
    file tells them.
    """
    by_network: dict[str, list[Mapping]] = {}
    for result in results:
        by_network.setdefault(result["genotype"], []).append(result)
    found = []
    for genotype, own in by_network.items():
        params, macs = _size(genotype, own[0], setting)
        found.append(
            {
                "genotype": genotype,
                "samples": samples.get(genotype, ["named"]),
                "seeds": len(own),
                "params": params,
                "macs": macs,
                **{
                    split: {measure: over_seeds([result[split][measure] for result in own]) for measure in MEASURES}
                    for split in SPLITS
                },
                "probes": own[0]["test"].get("probes"),
                "groups": _groups(own),
            }
        )
    return sorted(found, key=lambda one: (one["test"]["error"]["mean"], one["genotype"]))


def over_seeds(values: Sequence[object]) -> dict:
    """Mean and standard error (sample deviation over the root of n) of finite values, which are returned too as
    "values"; None for the error of one."""
    numbers = [found for value in values if (found := number(value)) is not None]
    if not numbers:
        return {"mean": None, "se": None, "values": []}
    n, mean = len(numbers), sum(numbers) / len(numbers)
    if n < 2:
        return {"mean": mean, "se": None, "values": numbers}
    se = (sum((value - mean) ** 2 for value in numbers) / (n - 1) / n) ** 0.5
    return {"mean": mean, "se": se, "values": numbers}


def choose(networks: Sequence[Mapping]) -> dict:
    """Which networks to take: by the means on validation people, so that test numbers play no part in the choice.

    Of those that no other one dominates in error and disparity: the knee, then the best in each. Of equal ones the one
    with the fewest multiply-accumulates is first. {"chosen": [{"genotype", "because", "tied": how many others have its
    very validation values}], "front": genotypes that are not dominated}.
    """
    import numpy as np

    from dualfair.evolution.pareto import knee, non_dominated

    order = sorted(networks, key=lambda one: (one["macs"] is None, one["macs"] or 0, one["genotype"]))
    values = np.array([[one["validation"][measure]["mean"] for measure in MEASURES] for one in order], dtype=float)
    values = values.reshape(len(order), len(MEASURES))
    finite = np.isfinite(values).all(axis=1)
    order, values = [one for one, use in zip(order, finite, strict=True) if use], values[finite]
    if not order:
        return {"chosen": [], "front": []}
    front = np.flatnonzero(non_dominated(values))
    points = values[front]
    places = {"best compromise": knee(points), "lowest error": int(points[:, 0].argmin())}
    places["lowest disparity"] = int(points[:, 1].argmin())
    chosen: dict[int, list[str]] = {}
    for because, place in places.items():
        chosen.setdefault(int(front[place]), []).append(because)
    return {
        "chosen": [
            {
                "genotype": order[place]["genotype"],
                "because": reasons,
                "tied": int((values == values[place]).all(axis=1).sum()) - 1,
            }
            for place, reasons in chosen.items()
        ],
        "front": [order[place]["genotype"] for place in front],
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
            *(one["genotype"], ", ".join(one["samples"]), one["seeds"]),
            *(one[split][m][part] for split in reversed(SPLITS) for m in MEASURES for part in ("mean", "se")),
            *(one["probes"], one["params"], one["macs"]),
        ]
        for one in networks
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
            *(one["genotype"], group["group"], people.get(group["group"]), group["probes"], one["seeds"]),
            *(group[name][part] for name in ("error", "mean_rank") for part in ("mean", "se")),
        ]
        for one in networks
        for group in one["groups"]
    ]
    return table(columns, rows)


def network_of(label: str) -> str:
    """The network of a training's label, without the changes of its recipe: `101:cosface` of `101:cosface,lr=0.3`."""
    codes, colon, rest = label.partition(":")
    return codes + colon + rest.partition(",")[0]


def _groups(results: Sequence[Mapping]) -> list[dict]:
    by_group: dict[str, list[Mapping]] = {}
    for result in results:
        for group in result["test"].get("groups", []):
            by_group.setdefault(str(group["group"]), []).append(group)
    return [
        {
            "group": group,
            "probes": own[0].get("probes"),
            **{name: over_seeds([one.get(name) for one in own]) for name in ("error", "mean_rank")},
        }
        for group, own in sorted(by_group.items())
    ]


def _size(genotype: str, result: Mapping, setting: Setting) -> tuple[float | None, float | None]:
    """Parameters and MACs: by formula for a network of the skeleton, else as the result has them."""
    from dualfair.evaluation.cost import macs, parameters

    try:
        if setting.skeleton is not None:
            network = network_of(genotype)
            return parameters(network, setting.skeleton), macs(network, setting.skeleton)
    except ValueError:
        # A network from a shelf has no genotype; its result may say what it costs.
        pass
    return number(result.get("params")), number(result.get("macs"))
