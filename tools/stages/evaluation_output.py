"""What an evaluation says and writes: lines of text, CSV tables and pictures of a report, as JSON has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dualfair.presentation.figures import bars_figure, cmc_figure, det_figure, save
from dualfair.presentation.table import aligned
from dualfair.supernet.files import write_csv


def shown(number: dict | None, digits: int = 3) -> str:
    """A number with its interval as text; "insufficient" with n where there is none."""
    if number is None or number["value"] is None:
        return f"insufficient (n={number['n'] if number else 0})"
    interval = number.get("interval")
    text = f"{number['value']:.{digits}f}"
    if interval and interval["low"] is not None:
        text += f" [{interval['low']:.{digits}f}, {interval['high']:.{digits}f}]"
    return text


def sentences(report: dict) -> list[str]:
    """The report as lines of text for the terminal."""
    size = f"{report['images']:,} images of {report['identities']:,} people"
    lines = [f"Evaluate: {report['name']} on {report['faces']}: {size}"]
    lines += [f"  note: {note}" for note in report["notes"]]
    if "identification" in report:
        identification = report["identification"]
        rows = [["group", "people", "probes", "error", "mean rank by images", "mean rank by identities"]]
        for name, row in (("all", identification["all"]), *identification["groups"].items()):
            rows.append(
                [
                    name,
                    f"{row['identities']:,}",
                    f"{row['probes']:,}",
                    shown(row["error"]),
                    shown(row["mean_rank_by_images"], 2),
                    shown(row["mean_rank_by_identities"], 2),
                ]
            )
        lines += aligned(rows)
    if "disparities" in report:
        signed = next((row["signed"]["of"] for row in report["disparities"] if "signed" in row), "")
        rows = [["disparity", "value", "fair at", signed, "variant"]]
        for row in report["disparities"]:
            value = row["undefined"] if row["undefined"] else shown(row | {"n": 0})
            difference = shown(row["signed"]) if "signed" in row else ""
            rows.append([row["name"], value, f"{row['fair']:g}", difference, row["variant"]])
        lines += aligned(rows)
    for rate in report.get("open_set", {}).get("rates", ()):
        lines.append(
            f"open set: detection and identification rate {shown(rate['all']['dir'])} at a false positive rate of "
            f"{rate['fpir_asked']:g}" + (f" ({rate['warning']})" if rate["warning"] else "")
        )
    if "verification" in report:
        lines += _verification_sentences(report["verification"])
    for row in report.get("bpc", ()):
        value = "undefined, a disparity is infinite" if row["value"] is None else f"{row['value']:.3f}"
        lines.append(
            f"bpc of {row['disparity']} ({row['variant']}) at FAR {row['far']:g}: {value} against {row['baseline']}"
        )
    lines.append("[ ] are " + report["intervals"] + "; n is probes or pairs")
    return lines


def _verification_sentences(verification: dict) -> list[str]:
    exact, grid = verification["accuracy"]["exact"], verification["accuracy"]["grid"]
    exact_text = shown({"value": exact["accuracy"], "n": exact["n"], "interval": exact["interval"]}, 4)
    lines = [
        f"verification: accuracy {exact_text} over {verification['folds']} folds of {verification['pairs']:,} pairs "
        f"(exact thresholds; {grid['accuracy']:.4f} on the literature's grid), EER {shown(verification['eer'])}"
    ]
    for rule, by_group in verification.get("accuracy_by_group", {}).items():
        name = rule.replace("_", " ")
        if "undefined" in by_group:
            lines.append(f"  {name}: {by_group['undefined']}")
            continue
        cells = ", ".join(
            f"{group} {shown({'value': row['accuracy'], 'n': row['n'], 'interval': row['interval']}, 4)}"
            for group, row in by_group["groups"].items()
        )
        spread = f"; std {by_group['std']:.2f} %, ser {by_group['ser']:.2f}" if "std" in by_group else ""
        lines.append(f"  {name}: {cells}{spread}")
    for row in verification["at_far"]:
        warning = f" ({row['warning']})" if row["warning"] else ""
        tar = shown({"value": row["tar"], "n": row["genuine"], "interval": row["tar_interval"]})
        lines.append(f"  TAR {tar} at FAR {row['far_asked']:g}{warning}")
    return lines


def write_tables(folder: Path, report: dict) -> None:
    """groups.csv: one row a group, measure and number. disparities.csv: one row a disparity."""
    write_csv(folder / "groups.csv", [["group", "measure", "value", "n", "low", "high"], *_group_rows(report)])
    pairwise = [row for rates in report.get("verification", {}).get("at_far", ()) for row in rates["disparities"]]
    rows = [["disparity", "variant", "value", "fair_at", "low", "high", "undefined"]]
    for row in (*report.get("disparities", ()), *pairwise):
        interval = row["interval"] or {"low": None, "high": None}
        bounds = (interval["low"], interval["high"])
        rows.append([row["name"], row["variant"], row["value"], row["fair"], *bounds, row["undefined"]])
    write_csv(folder / "disparities.csv", rows)


def _group_rows(report: dict) -> Iterator[list]:
    identification = report.get("identification", {"groups": {}})
    rows = [("all", identification["all"])] if "all" in identification else []
    for group, row in (*rows, *identification["groups"].items()):
        for measure, number in row.items():
            if isinstance(number, dict):
                yield [group, measure, *_cells(number)]
    for rate in report.get("open_set", {}).get("rates", ()):
        for group, row in (("all", rate["all"]), *rate["groups"].items()):
            yield [group, f"dir_at_fpir_{rate['fpir_asked']:g}", *_cells(row["dir"])]
    for row in report.get("verification", {}).get("at_far", ()):
        for group, rates in row["groups"].items():
            for measure, number in rates.items():
                yield [group, f"{measure}_at_far_{row['far_asked']:g}", *_cells(number)]


def _cells(number: dict) -> list:
    interval = number.get("interval") or {"low": None, "high": None}
    value = "insufficient" if number["value"] is None else number["value"]
    return [value, number["n"], interval["low"], interval["high"]]


def draw(folder: Path, report: dict, curves: dict) -> None:
    """cmc.png and groups.png of an identification, det.png of verification curves by name."""
    if "identification" in report:
        identification = report["identification"]
        rows = {"all": identification["all"], **identification["groups"]}
        labels = {name: f"{name} (n = {row['probes']})" for name, row in rows.items() if row["probes"]}
        save(cmc_figure({labels[name]: rows[name]["cmc_by_identities"] for name in labels}), folder / "cmc.png")
        errors = {labels[name]: rows[name]["error"] for name in labels}
        save(bars_figure(errors, "error (rank above 0)"), folder / "groups.png")
    if curves:
        save(det_figure(curves), folder / "det.png")


def write_comparison(out: Path, subjects: Sequence, reports: Sequence[dict]) -> None:
    """networks.csv: one row a network, its error and every disparity."""
    out.mkdir(parents=True, exist_ok=True)
    columns = list(
        dict.fromkeys(f"{row['name']}, {row['variant']}" for report in reports for row in report.get("disparities", ()))
    )
    rows = [["network", "training_seed", "error", "probes", *columns]]
    for subject, report in zip(subjects, reports, strict=True):
        values = {f"{row['name']}, {row['variant']}": row["value"] for row in report.get("disparities", ())}
        everyone = report.get("identification", {}).get("all", {})
        error = everyone.get("error", {}).get("value")
        rows.append([subject.name, subject.seed, error, everyone.get("probes"), *(values.get(c) for c in columns)])
    write_csv(out / "networks.csv", rows)
