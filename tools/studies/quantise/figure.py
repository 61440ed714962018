"""Accuracies of groups over bits, as a figure."""

from collections.abc import Sequence
from itertools import cycle

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualfair.presentation.figures import BLUE, GREEN, ORANGE, PURPLE, STYLE, YELLOW, panels
from dualfair.studies.quantise.verdict import ACCURACY_OF, Number, accuracies_part

_COLOURS, _DASHES = (BLUE, ORANGE, GREEN, PURPLE, YELLOW), ("-", "--", ":", "-.")
_BESIDE = 0.04
"""How far points of the same bits stand apart, of the way to the next."""


@rc_context(STYLE)
def accuracy_figure(numbers: Sequence[Number]) -> Figure:
    """The accuracy of every group over bits, as simulated, a panel a network: a point a tuning with its interval over
    people, joined by their means over seeds. Groups differ in colour, data in dashes. Of pairs at one threshold, or of
    identification where there are none."""
    part = accuracies_part(numbers)
    simulated = [number for number in numbers if number.part == part and not number.integers]
    shown = [number for number in simulated if number.measure.startswith(ACCURACY_OF)]
    networks = list(dict.fromkeys(number.network for number in shown))
    figure, axes = panels(len(networks))
    for place, network in zip(axes, networks, strict=True):
        _draw(place, [number for number in shown if number.network == network])
        place.set_title(network)
        place.set_ylabel(f"accuracy ({part})")
    axes[0].legend()
    return figure


def _draw(axes: Axes, numbers: Sequence[Number]) -> None:
    bits = sorted({number.bits for number in numbers}, reverse=True)
    (full,) = {number.data for number in numbers if number.bits == bits[0]}
    data = [name for name in dict.fromkeys(number.data for number in numbers) if name != full]
    lines = [(group, name) for group in dict.fromkeys(number.measure for number in numbers) for name in data]
    colours = dict(zip(dict.fromkeys(group for group, _ in lines), cycle(_COLOURS), strict=False))
    dashes = dict(zip(data, cycle(_DASHES), strict=False))
    for line, (group, name) in enumerate(lines):
        beside = _BESIDE * (line - (len(lines) - 1) / 2)
        means = []
        for place, each in enumerate(bits):
            tuned = [n for n in numbers if (n.bits, n.measure) == (each, group) and n.data in (name, full)]
            values = [number.value for number in tuned if number.value is not None]
            axes.plot([place + beside] * len(values), values, ".", color=colours[group])
            for number in tuned:
                if number.low is not None:
                    axes.vlines(place + beside, number.low, number.high, color=colours[group], alpha=0.4, linewidth=1)
            means.append(sum(values) / len(values) if values else float("nan"))
        places = [place + beside for place in range(len(bits))]
        label = f"{group.removeprefix(ACCURACY_OF)}, {name}"
        axes.plot(places, means, color=colours[group], linestyle=dashes[name], label=label)
    axes.set_xticks(range(len(bits)), [str(each) for each in bits])
    axes.set_xlabel("bits")
