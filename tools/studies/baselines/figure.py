"""Error against every disparity, of searched networks and of backbones."""

from pathlib import Path

from dualfair.presentation.figures import BLUE, ORANGE, panels, save
from dualfair.presentation.format import spoken
from dualfair.studies.baselines.numbers import BASELINES, OURS, TEST
from dualfair.studies.baselines.records import BaselineStudy

LOOKS = {OURS: (BLUE, "o", BLUE, "searched networks"), BASELINES: (ORANGE, "s", "white", "backbones of timm")}


def draw(path: Path, study: BaselineStudy) -> None:
    """A panel a disparity, on test people: mean and standard error over seeds.

    Searched networks are filled circles, backbones open squares. Those on a panel's front are joined by a line and
    numbered, and the numbers are explained below.
    """
    fronts = study.fronts[TEST]
    numbers = {label: str(n) for n, label in enumerate(sorted({label for of in fronts.values() for label in of}), 1)}
    figure, all_axes = panels(len(fronts), below=0.5 + 0.17 * len(numbers))
    for axes, (measure, front) in zip(all_axes, fronts.items(), strict=True):
        on_front = []
        for of, (colour, marker, fill, name) in LOOKS.items():
            points = []
            for network in study.networks:
                error, disparity = network.test["error"], network.test[measure]
                if network.of != of or None in (error.mean, disparity.mean):
                    continue
                spreads = (error.standard_error or 0.0, disparity.standard_error or 0.0)
                points.append((error.mean, disparity.mean, *spreads))
                if network.network in front:
                    on_front.append((error.mean, disparity.mean, numbers[network.network]))
            x, y, dx, dy = zip(*points, strict=True) if points else ((),) * 4
            bars = {"fmt": marker, "color": colour, "mfc": fill, "ms": 6, "elinewidth": 0.8, "capsize": 2}
            axes.errorbar(x, y, xerr=dx, yerr=dy, label=f"{name} (n = {len(points)})", **bars)
        on_front.sort()
        axes.step([p[0] for p in on_front], [p[1] for p in on_front], where="post", color="black", lw=0.8, ls="--")
        for x, y, number in on_front:
            axes.annotate(number, (x, y), xytext=(5, 5), textcoords="offset points", fontsize=9, fontweight="bold")
        axes.set_xlabel("error, test people")
        axes.set_ylabel(f"{spoken(measure)}, test people")
        axes.legend(fontsize=8)
    explained = "\n".join(f"{number}  {label}" for label, number in numbers.items())
    bars = "bars: standard error over training seeds; dashed: front by the means"
    figure.supxlabel(f"{bars}\n{explained}", fontsize=8, x=0.02, ha="left")
    save(figure, path)
