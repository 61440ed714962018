"""Figures: the same text for the same numbers, every series named, and names that stay names."""

import re
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from dualfair.evaluation.report import Number
from dualfair.presentation.figures import (
    Series,
    bars_figure,
    cmc_figure,
    det_figure,
    front_figure,
    ranking_figure,
    save,
    scatter_figure,
    svg,
    tau_figure,
)

HOSTILE = 'a $x^ <script>"&\\frac{ __'
NAMES = ("error", HOSTILE)
BARS = {"ours": (0.5, (0.1, 0.9)), HOSTILE: (0.2, None), "ceiling: the exact truth": (0.8, (0.7, 0.9))}


def front():
    scored = np.random.default_rng(0).random((50, 2))
    interval = np.array([[[0.3, 0.2, 0.4], [0.4, np.nan, np.nan]]])
    return front_figure(scored, scored[:3], NAMES, interval, interval + 0.1)


FIGURES = {
    "front": front,
    "scatter": lambda: scatter_figure([Series(HOSTILE, np.array([[1.0, 2.0]]), "#000000", labels=[HOSTILE])], NAMES),
    "tau": lambda: tau_figure({HOSTILE: BARS}),
    "ranking": lambda: ranking_figure([(np.arange(3), np.arange(3), np.zeros(3), NAMES, HOSTILE, BARS)]),
    "cmc": lambda: cmc_figure({HOSTILE: [0.5, 1.0]}),
    "det": lambda: det_figure({HOSTILE: (np.array([0.1, 0.01]), np.array([0.1, 0.2]))}),
    "bars": lambda: bars_figure({HOSTILE: Number(0.5, 9, SimpleNamespace(low=0.4, high=0.6))}, "error"),
}


def words(text):
    return " ".join(ElementTree.fromstring(text).itertext())


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_text_each_time_and_fetches_nothing(name):
    text = svg(FIGURES[name](), HOSTILE)
    assert svg(FIGURES[name](), HOSTILE) == text
    assert not re.search(r"<script|<image href=\"(?!data)|@import|url\((?!#)|[^:]href=\"(?!#)|<dc:date", text)
    assert ElementTree.fromstring(text).find("{http://www.w3.org/2000/svg}title").text == HOSTILE
    assert words(text).count(HOSTILE) >= 3, "the title twice, and a name in the figure"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_saved_as_png_and_leaves_none_open(tmp_path, name):
    from matplotlib import pyplot

    save(FIGURES[name](), tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size[0] > 300
    assert not pyplot.get_fignums()


def test_a_front_counts_what_it_draws_and_what_lies_outside():
    scored = np.array([[0.1 * place, 1 - 0.1 * place] for place in range(10)] + [[50.0, 0.5], [0.5, 60.0]])
    text = words(svg(front_figure(scored, scored[:2], ("error", "rank disparity")), ""))
    assert "scored networks (n = 12, 2 outside)" in text and "front (n = 2)" in text
    assert "held-out" not in text and "error (inherited weights), lower is better" in text
    text = words(svg(front(), ""))
    assert "front on held-out people, 95 % intervals (n = 1)" in text


def test_the_front_of_three_objectives_is_named_by_them():
    scored = np.random.default_rng(0).random((9, 3))
    text = words(svg(front_figure(scored, scored[:2], ("error", "macs", "params")), ""))
    assert "front (n = 2, over error, macs, params)" in text


def test_series_differ_in_marker_and_in_colour():
    text = svg(front(), "")
    assert len(set(re.findall(r"stroke: (#0072b2|#d55e00|#e69f00|#999999)", text))) == 4
    markers = re.findall(r'<path id="(m\w+)" d="([^"]+)"', text)
    assert len({shape for _, shape in markers}) >= 4


def test_an_undefined_front_is_empty_axes():
    nothing = np.empty((0, 2))
    assert "scored networks (n = 0)" in words(svg(front_figure(nothing, nothing, ("error", "x")), ""))


def test_curves_differ_in_colour_and_in_dash():
    text = svg(cmc_figure({name: [0.1, 0.2] for name in "abcde"}), "")
    curves = re.findall(
        r'<g id="line2d_\d+">\s*<path d="[^"]+" clip-path="[^"]+" style="([^"]*stroke-width: 1.5[^"]*)"', text
    )
    dashes = {re.search("stroke-dasharray: ([^;]+)|$", style)[1] for style in curves}
    colours = {re.search("stroke: (#[0-9a-f]{6})", style)[1] for style in curves}
    assert len(curves) == len(dashes) == len(colours) == 5
