"""Reports of evaluations as rows of CSV files, the header first."""

from collections.abc import Iterator, Sequence

from dualfair.evaluation.report import EvaluationReport, Number, bounds


def group_rows(report: EvaluationReport) -> list[list[object]]:
    """Every number of every group, and of everyone as "all", with its n and interval; of the CMC without intervals."""
    rows = [
        [group, measure, "insufficient" if number.value is None else number.value, number.n, *bounds(number.interval)]
        for group, measure, number in _numbers(report)
    ]
    rows += [
        [group, f"{curve}_at_{k}", share, ranks.probes, None, None]
        for group, ranks in (report.identification.rows.items() if report.identification else ())
        for curve in ("cmc_by_identities", "cmc_by_images")
        for k, share in enumerate(getattr(ranks, curve) if ranks.probes else (), start=1)
    ]
    return [["group", "measure", "value", "n", "low", "high"], *rows]


def disparity_rows(report: EvaluationReport) -> list[list[object]]:
    """Every disparity, of probes and of pairs at every FAR."""
    points = report.verification.at_far if report.verification else ()
    rows = [
        [row.name, row.variant, row.value, row.fair, *bounds(row.interval), row.undefined]
        for row in (*(report.disparities or ()), *(row for point in points for row in point.disparities))
    ]
    return [["disparity", "variant", "value", "fair_at", "low", "high", "undefined"], *rows]


def _numbers(report: EvaluationReport) -> Iterator[tuple[str, str, Number]]:
    """Every number of a group, or of "all", with the name of its measure."""
    if of_classes := report.classification:
        for group, rates in of_classes.rows.items():
            yield from ((group, name, number) for name, number in vars(rates).items() if number)
        yield from (("all", f"accuracy of {name}", number) for name, number in of_classes.accuracy_by_class.items())
    for group, row in (report.identification.rows if report.identification else {}).items():
        yield from ((group, name, number) for name, number in vars(row).items() if isinstance(number, Number))
    for point in report.open_set.rates if report.open_set else ():
        for group, rates in (("all", point.all), *point.groups.items()):
            yield group, f"dir_at_fpir_{point.fpir_asked:g}", rates.dir
    for point in report.verification.at_far if report.verification else ():
        for group, rates in point.groups.items():
            yield from ((group, f"{name}_at_far_{point.far_asked:g}", number) for name, number in rates.items())


def network_rows(reports: Sequence[EvaluationReport]) -> list[list[object]]:
    """One row a network: its error and every disparity."""
    values = [{f"{row.name}, {row.variant}": row.value for row in report.disparities or ()} for report in reports]
    columns = list(dict.fromkeys(column for of_report in values for column in of_report))
    rows: list[list[object]] = [["network", "training_seed", "error", "probes", *columns]]
    for report, of_report in zip(reports, values, strict=True):
        everyone = report.identification or report.classification
        error = [everyone.all.error.value, everyone.all.error.n] if everyone else [None, None]
        rows.append([report.name, report.training_seed, *error, *(of_report.get(column) for column in columns)])
    return rows
