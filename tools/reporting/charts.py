"""The figures of a run, from its data: which points are drawn, in which colours and markers, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dualfair.presentation.format import decimals, number, spoken
from dualfair.reporting.svg import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    HEIGHT,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Frame,
    Point,
    Series,
    chart,
)
from dualfair.reporting.table import records

PADDING = 0.06
CLOUD = 0.9
"""Share of the scored networks that the frame around the search's scores holds at least, in each objective."""
STYLES = {
    "front": ("on the front", BLUE, "circle"),
    "even": ("evenly spaced controls", ORANGE, "square"),
    "random": ("random networks", GREY, "cross"),
    "shelf": ("networks from a shelf", PURPLE, "triangle"),
    "named": ("named by hand", GREEN, "diamond"),
}
"""Why a network was trained, in words, and how it is drawn; a network of several samples counts as the first."""


def span(values: Sequence[float]) -> tuple[float, float]:
    """A range that holds all values with a little room; never empty."""
    low, high = min(values), max(values)
    room = PADDING * (high - low) if high > low else abs(high) * 0.5 or 1.0
    return low - room, high + room


def search_chart(run: Mapping) -> tuple[str, str]:
    """The search's scores, its front and the same networks on fresh people: the picture, and in words how
    much of it lies inside the frame and what to compare it with."""
    front = run["front"]
    first, second = map(spoken, front["objectives"])
    scored = _points(records(front["scored"]), first, second)
    rows = records(front["front"])
    fresh = [row for row in rows if number(row.get(f"{first}, fresh people")) is not None]
    series = [Series(f"networks by search scores ({len(scored)} drawn)", SKY, "circle", scored, small=True)]
    if fresh:
        named = [f"{name}, fresh people" for name in (first, second)]
        held = [row for row in fresh if "fresh" in row["is on the"]]
        lost = [row for row in fresh if row not in held]
        series.append(Series("the front on fresh people, 95 % over people", BLUE, "square", _points(held, *named)))
        series.append(
            Series(
                "of the search's front, not on that one, 95 % over people", VERMILION, "cross", _points(lost, *named)
            )
        )
    on_front = [row for row in rows if "search" in row["is on the"]]
    named = [f"{name}, search" for name in (first, second)]
    series.append(Series("the search's front, by its search scores", ORANGE, "ring", _points(on_front, *named)))
    frame = Frame(*(_range(series, axis) for axis in ("x", "y")))
    told = [(value, name) for name, value in front["baselines"].items() if value is not None]
    beaten = [(value, f"{name} {decimals(value)}") for value, name in told]
    inside = sum(frame.holds(point) for point in scored)
    titles = _titles(first, second)
    measures = f"{first} against {second}"
    alt = f"Scatter plot of {measures} of {len(scored)} scored networks and {len(rows)} of the fronts"
    picture = chart([each for each in series if each.points], titles, alt, frame=frame, verticals=beaten)
    text = f"{inside:,} of {len(scored):,} networks lie inside the frame, {len(scored) - inside:,} outside."
    errors = [f"{name} {'err' if name.endswith('s') else 'errs'} {decimals(value)}" for value, name in told]
    return picture, f"{text} For comparison: {', '.join(errors)}." if errors else text


def trained_chart(run: Mapping) -> str:
    """Networks trained from scratch on test people, with standard errors over seeds."""
    by_style: dict[str, list[Point]] = {}
    for network in run["networks"]:
        error, disparity = (network["test"][name] for name in ("error", "disparity"))
        if not _finite(error["mean"], disparity["mean"]):
            continue
        sample = next((name for name in STYLES if name in network["samples"]), "named")
        ends = [
            None if measure["se"] is None else (measure["mean"] - measure["se"], measure["mean"] + measure["se"])
            for measure in (error, disparity)
        ]
        by_style.setdefault(sample, []).append(Point(error["mean"], disparity["mean"], *ends, network["genotype"]))
    # Retraining takes the front on fresh people where there is one, and the search's own else.
    on = " on fresh people" if run["front"] and run["front"]["confirmation"] else " of the search"
    series = [
        Series(f"{words}{on if name == 'front' else ''} ({len(by_style[name])})", colour, marker, by_style[name])
        for name, (words, colour, marker) in STYLES.items()
        if name in by_style
    ]
    if chosen := _chosen_points(run):
        series.append(Series("take this one", BLACK, "ring", chosen))
    frame = Frame(*(_range(series, axis, whole=True) for axis in ("x", "y")))
    alt = (
        f"Scatter plot of test error against test {spoken(run['disparity'])} of {len(run['networks'])} trained networks"
    )
    return chart(series, _titles("error", run["disparity"], "test people: "), alt, frame=frame)


def trace_chart(trace: Mapping) -> str:
    """Hypervolume of the search over its evaluations."""
    points = [Point(row["evaluations"], row["hypervolume"]) for row in records(trace)]
    points = [point for point in points if _finite(point.x, point.y)]
    series = [Series("this search", BLUE, "circle", points)]
    titles = ("networks scored", "hypervolume, higher is better")
    frame = Frame(span([point.x for point in points]), span([point.y for point in points]), HEIGHT - 60)
    alt = f"Line of the hypervolume after {len(points)} numbers of networks scored, rising to {points[-1].y:.4g}"
    return chart(series, titles, alt, frame=frame, lines=True)


def _chosen_points(run: Mapping) -> list[Point]:
    networks = {measures["genotype"]: measures["test"] for measures in run["networks"]}
    first_choices = [networks[measures["genotype"]] for measures in run["choice"]["chosen"][:1]]
    return [
        Point(measures["error"]["mean"], measures["disparity"]["mean"])
        for measures in first_choices
        if _finite(measures["error"]["mean"], measures["disparity"]["mean"])
    ]


def _points(rows: Sequence[Mapping], first: str, second: str) -> list[Point]:
    """Points of the rows whose both values are finite, with the ends that their columns have."""
    points = []
    for row in rows:
        x, y = number(row[first]), number(row[second])
        if _finite(x, y):
            ends = [(number(row.get(f"{name} low")), number(row.get(f"{name} high"))) for name in (first, second)]
            points.append(Point(x, y, *(pair if _finite(*pair) else None for pair in ends), str(row["network"])))
    return points


def _range(series: Sequence[Series], axis: str, whole: bool = False) -> tuple[float, float]:
    """The range of an axis that holds all points and error bars; of small points CLOUD of them, unless `whole`."""
    values: list[float] = []
    for each in series:
        places = sorted(getattr(point, axis) for point in each.points)
        values += places if whole or not each.small else places[: max(1, round(CLOUD * len(places)))]
        ends = [getattr(point, f"{axis}_ends") for point in each.points]
        values += [end for pair in ends if pair for end in pair]
    return span(values or [0.0])


def _titles(first: str, second: str, before: str = "") -> tuple[str, str]:
    return f"{before}{spoken(first)}, lower is better", f"{spoken(second)}, lower is better"


def _finite(*values: object) -> bool:
    return all(isinstance(value, (int, float)) and abs(value) != float("inf") for value in values)
