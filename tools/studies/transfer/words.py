"""What carries over to other faces, as lines of text."""

from dualfair.evaluation.statistics.ranking import RankingCorrelation
from dualfair.presentation.table import aligned
from dualfair.runs.records.training import MEASURES
from dualfair.studies.transfer.measure import TEST
from dualfair.studies.transfer.records import TransferStudy

LEAST_PEOPLE = 5
"""Groups of fewer people are warned of."""


def lines_of(study: TransferStudy) -> list[str]:
    """The table and the rankings as lines of text."""
    lines: list[str] = []
    populations: dict[tuple[str, str, str], list] = {}
    for row in study.networks:
        populations.setdefault((row.run, row.faces, row.column), []).append(row)
    for networks in populations.values():
        about = networks[-1]
        home = " (at home)" if about.home else ""
        who = f"{about.people} test people" if about.measured_on == TEST else f"all {about.people} people"
        lines.append("")
        lines.append(
            f"{about.run} on {about.faces}{home}, groups by {about.column}: {who} ({about.groups}), "
            f"{about.images} images"
        )
        if about.small_groups:
            lines.append(
                f"  attention: {about.small_groups} groups have fewer than {LEAST_PEOPLE} people; a disparity "
                "between groups so small is mostly chance"
            )
        rows = [["network", "seeds", "error", study.disparity.replace("_", " "), "front"]]
        for row in sorted(networks, key=lambda row: row.error):
            disparity = "undefined" if row.undefined else _shown(row.disparity, row.disparity_standard_error)
            error = _shown(row.error, row.error_standard_error)
            rows.append([row.network, str(row.seeds), error, disparity, "yes" if row.on_front else ""])
        lines += aligned(rows)
        lines += sorted({f"  disparity undefined: {row.undefined}" for row in networks if row.undefined})
    lines.append("")
    for ranking in study.rankings:
        where = f"{ranking.run} -> {ranking.population.faces} by {ranking.population.column}"
        lines += [f"{where}: {_carried(getattr(ranking, objective), objective)}" for objective in MEASURES]
    lines.append("mean ± standard error over training seeds; [ ] are 95 % bootstrap intervals over networks")
    return lines


def _shown(mean: float, error: float | None) -> str:
    return f"{mean:.3f}" + (f" ± {error:.3f}" if error is not None else "")


def _carried(correlation: RankingCorrelation, objective: str) -> str:
    """Whether the ranking by an objective carries over, in words."""
    if correlation.tau is None:
        return f"the ranking by {objective} cannot be compared ({correlation.reason})"
    if correlation.interval is None:
        return (
            f"tau({objective}) {correlation.tau:.2f} over {correlation.n} networks, no interval ({correlation.reason})"
        )
    low, high = correlation.interval
    verdict = "carries over" if low > 0 else "is reversed" if high < 0 else "is not shown to carry over"
    tau = f"tau {correlation.tau:.2f} [{low:.2f}, {high:.2f}], n = {correlation.n} networks"
    return f"the ranking by {objective} {verdict}: {tau}"
