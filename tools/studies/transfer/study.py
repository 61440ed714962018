"""`dualfair transfer`: networks trained on one face set, measured on others and by other attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from dualfair.runs.config import build_configs, config_options, option
from dualfair.runs.devices import deterministic_option, device_option
from dualfair.runs.distributed import join, say
from dualfair.runs.protocol import ProtocolOptions
from dualfair.supernet.files import write_csv, write_json
from dualfair.supernet.training.process_group import ProcessGroup


@dataclass(frozen=True, kw_only=True)
class TransferOptions:
    """What is measured, and how sure one can be of it."""

    disparity: str = option("rank_disparity", "A disparity by name, or module:function of your own f(ranks, groups).")
    count: str = option("images", "A rank counts the images, or the identities, nearer than the nearest mate.")
    gallery: str = option("all", "Identities the disparity is taken at: all, or a number (mean over seeded galleries).")
    galleries: int = option(8, "Number of galleries of a stated size.")
    resamples: int = option(2000, "Bootstrap resamples over networks, for the intervals of tau.")
    seed: int = option(0, "Seed of those.")

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise ValueError(f"resamples must be 1 or more, got {self.resamples}")

    def protocol(self):
        """The evaluation protocol of these options."""
        own = {name: getattr(self, name) for name in ("disparity", "count", "gallery", "galleries")}
        return ProtocolOptions(**own).protocol()


_PATH = click.Path(path_type=Path)
LEAST_PEOPLE = 5
"""Groups of fewer people are warned of."""


@click.command()
@click.option(
    "--run", "runs", type=_PATH, multiple=True, required=True, help="Run whose networks are measured; may be repeated."
)
@click.option("--to", "targets", type=_PATH, multiple=True, help="Other faces folder; may be repeated.")
@click.option("--group", "columns", multiple=True, help="Column of groups; may be repeated.  [default: group]")
@click.option("--out", type=_PATH, required=True, help="Folder for the results.")
@config_options(TransferOptions)
@device_option
@deterministic_option
def command(
    runs: tuple[Path, ...],
    targets: tuple[Path, ...],
    columns: tuple[str, ...],
    out: Path,
    preset: str | None,
    device: str,
    deterministic: bool,
    **given: object,
) -> None:
    """Measure all retrained networks of runs on other faces and by other attributes, without fine-tuning.

    One table: error and disparity by network and population, as mean and standard error over training seeds, beside
    what they are at home, on the test people of the faces that they were trained on; and whether the networks' ranking
    carries over. Of other faces, all people are measured. Writes transfer.json and transfer.csv.
    """
    (options,) = build_configs(given, preset, TransferOptions, stage="transfer")
    transfer(runs, targets, columns or ("group",), options, out, join(device, deterministic))


def transfer(
    runs: Sequence[Path],
    targets: Sequence[Path],
    columns: Sequence[str],
    options: TransferOptions,
    out: Path,
    processes: ProcessGroup,
) -> dict:
    """Measure, print and write; returns what transfer.json holds.

    Raises ValueError for a run without retrained networks, a target without any of the columns, and where there is
    nothing but home.
    """
    from dualfair.runs.directory import RunDirectory
    from dualfair.runs.trained_run import faces_of
    from dualfair.studies.transfer.measure import carried_over, measure, on_front
    from dualfair.supernet.images.store import open_store

    protocol = options.protocol()
    table, rankings = [], []
    for run in runs:
        config = RunDirectory(run).config("train")
        home = faces_of(run, config)
        asked = {home: dict.fromkeys((config["group_column"], *_of(open_store(home), columns)))}
        for target in targets:
            there = _of(open_store(target), columns)
            if not there:
                raise ValueError(
                    f"{target} has none of the columns {', '.join(columns)}; it has: "
                    f"{', '.join(open_store(target).manifest.columns)}; name one with --group"
                )
            asked.setdefault(target, {}).update(dict.fromkeys(there))
        if sum(map(len, asked.values())) < 2:
            raise ValueError(f"{run} has nowhere to go: name other faces with --to, or another column with --group")
        populations: dict = {}
        for target, wanted in asked.items():
            say(processes, f"Transfer: the networks of {run.name} on {target.name}, {protocol.disparity_name}")
            for row in measure(run, target, [*wanted], protocol, processes):
                populations.setdefault(row.population, []).append(row)
        at_home = next(rows for population, rows in populations.items() if population.home)
        for population, rows in populations.items():
            for row, front in zip(rows, on_front(rows), strict=True):
                table.append(_cells(row, front))
            if not population.home:
                found = carried_over(at_home, rows, options.resamples, options.seed)
                rankings.append({"run": run.name, **asdict(population), **found})
    result = {"options": asdict(options), "disparity": protocol.disparity_name, "networks": table, "rankings": rankings}
    if processes.leads:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "transfer.json", result)
        write_csv(out / "transfer.csv", [[*table[0]], *([*row.values()] for row in table)])
        for line in lines_of(result):
            say(processes, line)
        say(processes, f"Everything is in {out}")
    return result


def _of(store, columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column in store.manifest.columns]


def _cells(row, front: bool) -> dict[str, object]:
    """A row of the table: a network on a population."""
    numbers = {}
    for objective in ("error", "disparity"):
        numbers |= {objective: row.mean(objective), f"standard error of {objective}": row.standard_error(objective)}
    undefined = sorted({verdict.undefined for verdict in row.verdicts} - {""})
    return {
        "run": row.run,
        "network": row.network,
        "faces": row.population.faces,
        "group column": row.population.column,
        "measured on": row.population.people,
        "home": row.population.home,
        "groups": ", ".join(f"{group} {n}" for group, n in row.groups.items()),
        "small groups": sum(people < LEAST_PEOPLE for people in row.groups.values()),
        "people": sum(row.groups.values()),
        "images": row.verdicts[0].probes + row.verdicts[0].excluded,
        "seeds": len(row.seeds),
        **numbers,
        "on the front": front,
        "undefined": "; ".join(undefined),
    }


def lines_of(result: dict) -> list[str]:
    """The table and the rankings as lines of text."""
    from dualfair.stages.search_output import aligned
    from dualfair.studies.transfer.measure import TEST

    lines: list[str] = []
    heads = {(row["run"], row["faces"], row["group column"]): row for row in result["networks"]}
    for key, head in heads.items():
        home = " (at home)" if head["home"] else ""
        who = f"{head['people']} test people" if head["measured on"] == TEST else f"all {head['people']} people"
        lines.append("")
        lines.append(
            f"{head['run']} on {head['faces']}{home}, groups by {head['group column']}: {who} ({head['groups']}), "
            f"{head['images']} images"
        )
        if head["small groups"]:
            lines.append(
                f"  attention: {head['small groups']} groups have fewer than {LEAST_PEOPLE} people; a disparity "
                "between groups so small is mostly chance"
            )
        own = [row for row in result["networks"] if (row["run"], row["faces"], row["group column"]) == key]
        rows = [["network", "seeds", "error", result["disparity"].replace("_", " "), "front"]]
        for row in sorted(own, key=lambda row: row["error"]):
            rows.append(
                [
                    row["network"],
                    str(row["seeds"]),
                    _shown(row["error"], row["standard error of error"]),
                    _shown(row["disparity"], row["standard error of disparity"])
                    if not row["undefined"]
                    else "undefined",
                    "yes" if row["on the front"] else "",
                ]
            )
        lines += aligned(rows)
        lines += sorted({f"  disparity undefined: {row['undefined']}" for row in own if row["undefined"]})
    lines.append("")
    for ranking in result["rankings"]:
        where = f"{ranking['run']} -> {ranking['faces']} by {ranking['column']}"
        for objective in ("error", "disparity"):
            lines.append(f"{where}: {_carried(ranking[objective], objective)}")
    lines.append("mean ± standard error over training seeds; [ ] are 95 % bootstrap intervals over networks")
    return lines


def _shown(mean: float, error: float | None) -> str:
    return f"{mean:.3f}" + (f" ± {error:.3f}" if error is not None else "")


def _carried(found: dict, objective: str) -> str:
    """Whether the ranking by an objective carries over, in words."""
    if found["tau"] is None:
        return f"the ranking by {objective} cannot be compared ({found['reason']})"
    if found["interval"] is None:
        return f"tau({objective}) {found['tau']:.2f} over {found['n']} networks, no interval ({found['reason']})"
    low, high = found["interval"]
    verdict = "carries over" if low > 0 else "is reversed" if high < 0 else "is not shown to carry over"
    tau = f"tau {found['tau']:.2f} [{low:.2f}, {high:.2f}], n = {found['n']} networks"
    return f"the ranking by {objective} {verdict}: {tau}"
