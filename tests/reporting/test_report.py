"""`dualfair report`: a page that agrees with its JSON, says what is missing, and lets nothing in or out."""

import csv
import json
import re
import shutil
from base64 import b64decode, b64encode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from dualfair.evaluation.statistics.ranking import correlation
from dualfair.presentation.table import Column, Table
from dualfair.reporting.answer import answer, cheap
from dualfair.reporting.report import report
from dualfair.reporting.run import RunReport
from dualfair.reporting.setting import Setting
from dualfair.reporting.tables import RankedSample
from dualfair.runs.records.ranking import ConvergenceStudy, MeasureConvergence
from dualfair.runs.records.search import FrontNetwork
from dualfair.runs.records.study import StudyCost, StudyFigure, StudyReport
from dualfair.runs.records.training import Origin, TeacherResult
from dualfair.supernet.files import read_json, write_json
from dualfair.supernet.genotype import Genotype
from tests.support import records

VOID = {"meta", "br", "hr", "img", "input", "link"}
EVIL = "<script>alert(1)</script>"
FRONT, RANDOM, SHELF = "101-101-101-101:cosface", "343-282-080-535:cosface", "timm.resnet18:arcface"
CONFIG = records.train_config(faces_fingerprint="x").to_json()
ORIGIN = {"weights_from": {"place": "../big", "weights": "w", "trained_on": []}}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


def add_training(run, genotype, errors, disparity, sample, **more):
    for seed, error in enumerate(errors):
        folder = run / "retrain" / genotype.replace(":", "_").replace("/", "") / f"seed-{seed}"
        folder.mkdir(parents=True)
        result = records.result_of(FRONT, seed, error, disparity).to_json()
        write_json(folder / "result.json", {**result, "training": genotype, **more})
    plan = read_json(run / "retrain/plan.json")["jobs"] if (run / "retrain/plan.json").is_file() else []
    plan += [{"training": genotype, "seed": seed, "samples": [sample]} for seed in range(len(errors))]
    write_json(run / "retrain/plan.json", {"jobs": plan})


def entry(genotype, error, disparity):
    confirmed = {"error": error + 0.1, "error low": error, "error high": error + 0.2}
    confirmed |= {"rank_disparity": disparity, "rank_disparity low": 0.0, "rank_disparity high": 2 * disparity}
    return FrontNetwork(Genotype.parse(genotype), {"error": error, "rank_disparity": disparity}, confirmed)


def add_search(run, front=(FRONT,)):
    (run / "search").mkdir()
    config = records.search_config(evaluations=8, calibrate=16)
    config.write(run / "search/config.json")
    networks = tuple(entry(genotype, 0.2, 1.5) for genotype in front)
    means = {"error": {"search front": (0.2, 0.3), "random subnets": (0.5, 0.6)}}
    confirmation = records.confirmed_front(networks, means=means, against_random=(records.chance(FRONT),))
    records.front_of(config, networks, confirmation=confirmation).write(run / "search/front.json")


def add_study(run):
    """What a study leaves to be shown."""
    columns = (Column("method", "text"), Column("share", "percent", spread="SE"), Column("SE", "percent"))
    StudyReport(
        question="Is it worth it?",
        sentences=("No difference shown.",),
        tables=(Table(columns, (("NSGA-II", 0.9, 0.01), ("random search", 0.8, None)), "Shares"),),
        figures=(StudyFigure("shares.png", "Shares by seed"),),
        costs=(StudyCost("further scores", 7, 3600.0),),
    ).write(make_folder(run / "studies/worth") / "study.json")
    Image.new("RGB", (8, 8)).save(run / "studies/worth/shares.png")


def make_folder(path):
    path.mkdir(parents=True)
    return path


def add_ranking(run, low=0.2, high=0.7):
    (run / "correlate").mkdir()
    records.ranking_study((FRONT,) * 12, records.measure_study(low, high)).write(run / "correlate/ranking.json")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """Two run directories that tests copy: one in which training has begun, and one with results of every stage."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("bare", "whole"):
        (folder / name / "train").mkdir(parents=True)
        write_json(folder / name / "train/config.json", CONFIG)
    run = folder / "whole"
    add_search(run)
    add_training(run, FRONT, [0.10, 0.14], 1.0, "front")
    add_training(run, RANDOM, [0.30, 0.34], 0.5, "random")
    add_training(run, SHELF, [0.50, 0.50], 2.0, "shelf", params=11_000_000)
    add_ranking(run)
    add_study(run)
    Image.new("RGB", (8, 8)).save(run / "search/front.png")
    return folder


@pytest.fixture
def drawn():
    """Asked for by tests that look at figures; for others these would only take time."""


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("dualfair.reporting.page.svg", lambda figure, title: "<svg/>")


@pytest.fixture
def bare(made_once, tmp_path):
    return Path(shutil.copytree(made_once / "bare", tmp_path / "some place" / "run"))


@pytest.fixture
def whole(made_once, tmp_path):
    return Path(shutil.copytree(made_once / "whole", tmp_path / "some place" / "run"))


def made(run, tmp_path):
    out = tmp_path / "out" / "report.html"
    data = report([run], out)
    return data, out.read_text(encoding="utf-8"), out


def pictures(html):
    """What is written in the figures of a page."""
    sources = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', html)
    return " ".join(" ".join(ElementTree.fromstring(b64decode(source)).itertext()) for source in sources)


def words(html):
    return " ".join(" ".join(Reader(html).words).split())


def test_the_page_shows_the_numbers_of_the_json_file(whole, tmp_path):
    data, html, _ = made(whole, tmp_path)
    assert json.loads((tmp_path / "out/report.json").read_text()) == data and data["comparison"] is None
    [run] = data["runs"]
    assert run["networks"][0]["test"]["error"] == {
        "values": pytest.approx([0.2, 0.24]), "mean": pytest.approx(0.22), "standard_error": pytest.approx(0.02)
    }  # fmt: skip
    text = words(html)
    for statement in (run["answer"][name] for name in ("take", "cheap", "held")):
        assert all(sentence in text for sentence in (statement["headline"], *statement["sentences"]))
    assert all(content["caption"] in text for content in run["tables"].values())


def test_every_number_of_a_table_is_in_the_csv_beside_the_page(whole, tmp_path):
    _, _, out = made(whole, tmp_path)
    for name in ("networks", "groups", "front", "ranking", "cost", "cost-instead"):
        with open(out.with_name(f"report-{name}.csv"), newline="") as file:
            header, *rows = csv.reader(file)
        assert header[0] == "run" and rows and all(len(row) == len(header) for row in rows), name
    with open(out.with_name("report-networks.csv"), newline="") as file:
        first = next(csv.DictReader(file))
    # Errors 0.10 and 0.14 on validation, 0.1 more on test: mean 0.22, standard error 0.02.
    assert first["network"] == FRONT and float(first["test error"]) == pytest.approx(0.22)
    assert float(first["test error SE"]) == pytest.approx(0.02)


def test_whatever_a_study_left_is_shown(whole, tmp_path):
    data, html, _ = made(whole, tmp_path)
    words = " ".join(" ".join(Reader(html).words).split())
    assert "Is it worth it? No difference shown." in words
    assert "NSGA-II 90.0% ± 1.0% random search 80.0%" in words
    png = b64encode((whole / "studies/worth/shares.png").read_bytes()).decode()
    assert f'<img src="data:image/png;base64,{png}" alt="Shares by seed">' in html
    [run] = data["runs"]
    assert ["worth: further scores", 7, 1.0] in [row[:3] for row in run["tables"]["cost"]["rows"]]
    (whole / "studies/worth/study.json").write_text('{"question": 3}')
    data, html, _ = made(whole, tmp_path / "again")
    assert data["runs"][0]["studies"] == {}
    assert "studies/worth/study.json is damaged: question must be a str, got 3" in data["runs"][0]["problems"]
    assert "No study was made of this run" in html


def test_a_figure_of_a_study_that_is_gone_is_told(whole, tmp_path):
    (whole / "studies/worth/shares.png").unlink()
    data, html, _ = made(whole, tmp_path)
    assert 'alt="Shares by seed"' not in html and any(
        "shares.png cannot be read" in text for text in data["runs"][0]["problems"]
    )


def test_the_page_needs_no_network_and_runs_nothing(whole, tmp_path, drawn):
    _, html, _ = made(whole, tmp_path)
    read = Reader(html)
    assert not {"script", "link", "iframe", "object", "embed"} & set(read.tags)
    links = [value for _, name, value in read.attributes if name == "href"]
    assert links and all(value.startswith("#") for value in links)
    assert all(
        re.match(r"data:image/(png|svg\+xml);base64,", value) for _, name, value in read.attributes if name == "src"
    )
    anchors = {value for _, name, value in read.attributes if name == "id"}
    assert {value[1:] for value in links} <= anchors
    assert "@import" not in html and "url(" not in html
    assert ("html", "lang", "en") in read.attributes
    described = [value for tag, name, value in read.attributes if tag == "img" and name == "alt"]
    assert len(described) == read.tags.count("img") > 4 and all(described)
    for source in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', html):
        picture = b64decode(source).decode()
        assert not re.search(r"<script|<image|@import|url\((?!#)|href=\"(?!#)", picture)


def test_the_answer_names_the_network_its_test_numbers_and_their_n(whole, tmp_path):
    _, html, _ = made(whole, tmp_path)
    text = words(html)
    assert f"Take {FRONT}. On 100 images it has error 0.220 ± 0.020 and rank disparity 1.000 ± 0.000" in text
    assert "(mean ± standard error of 2 trainings)" in text
    assert (
        "It was chosen on validation people (error 0.120, rank disparity 1.000, of 3 trained by themselves the" in text
    )
    assert f"For the lowest disparity there take {RANDOM} (error 0.420 ± 0.020" in text
    assert "can be believed in error and rank disparity, as far as a rank agreement of 0.50 and 0.50 goes" in text
    assert "held against 2 trainings of each of 12 networks drawn at random" in text
    assert "error 0.50 [0.20, 0.70] and rank disparity 0.50 [0.20, 0.70]; even an exact score could" in text
    assert "expect no more than 0.75 [0.60, 0.80] and 0.75 [0.60, 0.80]" in text
    assert "The search's front held on fresh people, and beats random networks in error." in text
    assert "mean error went from 0.200 to 0.300 (random networks: 0.500 to 0.600)" in text
    order = ["Which of the", "The answer", "What not to believe", "The networks trained", "Limits and ethics"]
    places = [text.index(name) if name != "Limits and ethics" else text.rindex(name) for name in order]
    assert places == sorted(places)


def test_an_interval_that_holds_0_makes_cheap_scores_unbelievable(whole, tmp_path):
    shutil.rmtree(whole / "correlate")
    add_ranking(whole, low=-0.1)
    text = words(made(whole, tmp_path)[1])
    assert "The cheap scores are not shown to rank networks better than chance." in text
    assert "can be believed in" not in text


def test_an_interval_below_0_makes_cheap_scores_misleading(whole, tmp_path):
    shutil.rmtree(whole / "correlate")
    add_ranking(whole, low=-0.8, high=-0.1)
    assert "The cheap scores are misleading in error and rank disparity" in words(made(whole, tmp_path)[1])


@pytest.mark.parametrize(
    ("tau", "said", "certainty"),
    [
        (
            {"error": (0.5, 0.2, 0.7), "rank_disparity": (0.1, -0.2, 0.4)},
            "can be believed in error, as far as a rank agreement of 0.50 goes; they are not shown to rank networks "
            "better than chance in rank disparity.",
            "partly shown",
        ),
        (
            {"error": (-0.5, -0.7, -0.2), "rank_disparity": (None, None, None)},
            "are misleading in error: they rank networks the wrong way round; they are not shown to rank networks "
            "better than chance in rank disparity.",
            "contradicted",
        ),
        ({"error": (0.3, 0.0, 0.6)}, "are not shown to rank networks better than chance.", "not shown"),
    ],
)
def test_each_measure_is_believed_by_its_own_interval(tau, said, certainty):
    measures = {}
    for name, (mean, low, high) in tau.items():
        study = records.measure_study(low, high, mean)
        interval = None if low is None else (low, high)
        measures[name] = replace(study, correlation=replace(study.correlation, interval=interval))
    run = RunReport(name="run", objectives=tuple(tau), ranking=RankedSample("random", 2, measures, ()))
    statement = cheap(run)
    assert (statement.headline, statement.certainty) == (f"The cheap scores {said}", certainty)
    assert "without training each network" in statement.sentences[0] and "exact score" in statement.sentences[1]
    assert statement.next[0].command == "dualfair retrain --run run --random 24 --seeds 3"


def test_a_search_that_random_networks_match_is_not_said_to_beat_them(whole, tmp_path):
    said = read_json(whole / "search/front.json")
    said["confirmation"]["against random"][0]["verdict"] = "no better than chance"
    said["confirmation"]["survived"] = 0
    write_json(whole / "search/front.json", said)
    text = words(made(whole, tmp_path)[1])
    assert "The search's front did not hold on fresh people, and is not shown to beat random networks." in text


def test_whether_trainings_were_long_enough_is_told_or_that_nobody_checked(whole, tmp_path):
    assert "Not checked: whether trainings were long enough" in words(made(whole, tmp_path)[1])
    ranking = read_json(whole / "correlate/ranking.json")
    names = [f"{code}01:cosface" for code in range(6)]
    values = np.arange(6.0)
    checked = MeasureConvergence(0.31, 0.25, correlation(values[[1, 0, 2, 3, 5, 4]], values, resamples=200), 0.8)
    ranking["convergence"] = ConvergenceStudy(tuple(names), 12.0, {"error": checked}).to_json()
    write_json(whole / "correlate/ranking.json", ranking)
    text = words(made(whole, tmp_path)[1])
    assert "Does the order of 6 networks stay when they are trained for twice the epochs, 24 in place of 12?" in text
    assert f"Error: {checked.verdict} (tau of the two orders 0.73)." in text and "Not checked" not in text


def test_networks_from_a_shelf_are_shown_where_there_are_any(whole, tmp_path, drawn):
    data, html, _ = made(whole, tmp_path)
    shelf = next(network for network in data["runs"][0]["networks"] if network["label"] == SHELF)
    assert shelf["samples"] == ["shelf"] and shelf["params"] == 11_000_000
    assert "networks from a shelf (n = 1)" in pictures(html) and SHELF in words(html)


def test_without_shelf_networks_nothing_is_said_of_them(bare, tmp_path, drawn):
    add_training(bare, FRONT, [0.1], 1.0, "front")
    _, html, _ = made(bare, tmp_path)
    assert "networks from a shelf" not in pictures(html) and "trained once, without a spread" in html


def test_what_is_missing_is_said_with_the_command_that_makes_it(bare, tmp_path):
    data, html, _ = made(bare, tmp_path)
    text = words(html)
    for command in ("search", "retrain", "correlate"):
        assert f"dualfair {command} --run run" in text
    assert "No network can be recommended yet." in text and "Nothing was searched yet" in text
    assert "img" not in Reader(html).tags
    assert data["runs"][0]["front"] is None and data["runs"][0]["ranking"] is None


def test_a_search_without_fresh_people_is_not_said_to_hold(bare, tmp_path):
    add_search(bare)
    said = read_json(bare / "search/front.json")
    said["confirmation"] = None
    said["front"] = [{key: value for key, value in one.items() if key != "confirmed"} for one in said["front"]]
    write_json(bare / "search/front.json", said)
    _, html, _ = made(bare, tmp_path)
    assert "Whether the search's front holds is not known." in words(html)
    assert "train with --confirm 0.5" in words(html)


def test_one_group_is_said_to_be_one(bare, tmp_path):
    folder = bare / "retrain" / FRONT.replace(":", "_") / "seed-0"
    folder.mkdir(parents=True)
    records.result_of(FRONT, 0, 0.1, 0.0, groups=("all",)).write(folder / "result.json")
    assert "There is one group only" in words(made(bare, tmp_path)[1])


@pytest.mark.parametrize("where", ["genotype", "group", "folder", "faces", "sentence", "sample"])
def test_text_from_files_stays_text(whole, tmp_path, drawn, where):
    path = whole / "retrain/101-101-101-101_cosface/seed-0/result.json"
    found = read_json(path)
    if where == "genotype":
        add_training(whole, EVIL, [0.01], 0.1, "named")
    elif where == "group":
        found["test"]["groups"][0]["group"] = EVIL
        write_json(path, found)
    elif where == "folder":
        whole = whole.rename(whole.with_name("<script>alert(1)<"))
    elif where == "sentence":
        write_json(
            whole / "studies/worth/study.json", {**read_json(whole / "studies/worth/study.json"), "sentences": [EVIL]}
        )
    elif where == "sample":
        write_json(whole / "retrain/plan.json", {"jobs": [{"training": FRONT, "seed": 0, "samples": [EVIL]}]})
    else:
        write_json(whole / "train/config.json", {**CONFIG, "faces": "../<script>", "group_column": EVIL, "space": EVIL})
    html = made(whole, tmp_path)[1]
    assert "script" not in Reader(html).tags and "<script" not in html
    assert "&lt;script&gt;" in html


def test_no_folder_of_this_machine_is_in_any_file(whole, tmp_path):
    write_json(whole / "train/config.json", {**CONFIG, "faces": str(tmp_path / "faces")})
    _, _, out = made(whole, tmp_path)
    for file in out.parent.iterdir():
        assert str(tmp_path) not in file.read_text() and "some place" not in file.read_text(), file.name


RESULT = "retrain/101-101-101-101_cosface/seed-0/result.json"


@pytest.mark.parametrize("content", ["", '{"front": 3, "studies": [], "jobs": 4, "test": {}}', "[1]\n1"])
def test_damaged_files_cost_their_sections_only(whole, tmp_path, content):
    damaged = ("search/front.json", "search/reliability.json", "studies/worth/study.json",
               "retrain/plan.json", "correlate/ranking.json", RESULT, "train/config.json")  # fmt: skip
    write_json(whole / "search/reliability.json", {"people": {}, "enough": 0.8, "measures": {}})
    sound = {file: (whole / file).read_text() for file in damaged}
    for file in damaged:
        (whole / file).write_text(content)
        data, html, _ = made(whole, tmp_path)
        assert Reader(html) and len(data["runs"][0]["networks"]) == 3, file
        (whole / file).write_text(sound[file])
    for file in damaged:
        (whole / file).write_text(content)
    data, html, _ = made(whole, tmp_path)
    assert Reader(html) and len(data["runs"][0]["problems"]) >= 3


def test_damage_is_told_by_name(whole, tmp_path):
    (whole / "correlate/ranking.json").write_text("{")
    data, html, _ = made(whole, tmp_path)
    assert any(text.startswith("correlate/ranking.json is damaged") for text in data["runs"][0]["problems"])
    assert "correlate/ranking.json is damaged" in words(html)


def test_several_runs_stand_side_by_side_under_names_that_differ(whole, tmp_path, dualfair):
    other = tmp_path / "other" / "run"
    (other / "train").mkdir(parents=True)
    write_json(other / "train/config.json", CONFIG)
    shown = dualfair("report", whole, other, "--out", tmp_path / "both.html")
    assert shown.status == 0, shown.err
    assert f"some place/run: Take {FRONT}." in shown.out and "other/run: No network" in shown.out
    html = (tmp_path / "both.html").read_text()
    text = words(html)
    assert text.index("The runs side by side") < text.index("Which of the")
    assert '<td class="name">other/run</td>' in html
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    with open(tmp_path / "both-runs.csv", newline="") as file:
        assert [row["take"] for row in csv.DictReader(file)] == [FRONT, ""]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("{tmp}/none",), "none is no run directory: train/config.json is not in it; run 'dualfair train' first"),
        (("{run}", "{run}"), "is given twice; give each once"),
        (("{run}", "--out", "{tmp}/report.pdf"), "out must be a file that ends in .html"),
        (("{run}", "--watts", "-1"), "watts must be a finite number of 0 or more, got -1"),
        (("{run}", "--grams-per-kwh", "nan"), "grams-per-kwh must be a finite number of 0 or more, got nan"),
    ],
)
def test_a_users_mistake_gets_one_clear_line(dualfair, bare, tmp_path, monkeypatch, more, said):
    monkeypatch.chdir(tmp_path)
    shown = dualfair("report", *(word.format(tmp=tmp_path, run=bare) for word in more))
    assert shown.status == 2 and said in shown.err and shown.err.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_the_options_of_the_command_are_these(dualfair):
    shown = dualfair("report", "--help").out
    assert set(re.findall(r"--[a-z-]+", shown)) == {"--out", "--watts", "--grams-per-kwh", "--help"}


def test_runs_are_only_read(whole, tmp_path):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    made(whole, tmp_path)
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_the_answer_says_how_the_choice_fared_on_test_people(whole, tmp_path):
    text = words(made(whole, tmp_path)[1])
    assert "On test people it came 1st of 3 in error and 2nd of 3 in rank disparity; by more than two" in text
    # Errors 0.22, 0.42 and 0.60 with standard errors of 0.02 and less; disparities without any spread.
    assert f"in error 2 are worse ({RANDOM}, {SHELF}); in rank disparity 1 is better ({RANDOM}); in rank" in text
    assert f"in rank disparity 1 is worse ({SHELF})" in text


def test_differences_that_test_people_do_not_show_are_said_to_be_none(bare, tmp_path):
    add_training(bare, FRONT, [0.10, 0.30], 1.0, "front")
    add_training(bare, RANDOM, [0.15, 0.35], 1.0, "random")
    text = words(made(bare, tmp_path)[1])
    assert "1st of 2 in error and 1st of 2 in rank disparity" in text
    assert "none of the others is more than two standard errors of the difference away" in text


def test_one_training_each_tells_no_difference(bare, tmp_path):
    add_training(bare, FRONT, [0.10], 1.0, "front")
    add_training(bare, RANDOM, [0.15], 2.0, "random")
    assert "without several trainings each, no difference between them can be told" in words(made(bare, tmp_path)[1])


@pytest.mark.parametrize(
    ("error", "said"),
    [(0.0, "2 of 3 networks made no mistake on validation people (error 0.000, rank disparity 0.000)"),
     (0.2, "2 of 3 networks had the very same values on validation people (error 0.200, rank disparity 0.000)")],
)  # fmt: skip
def test_a_tie_on_validation_people_is_said_once_and_plainly(bare, tmp_path, error, said):
    for genotype, own in ((FRONT, error), (RANDOM, error), ("000-000-000-000:cosface", error + 0.3)):
        add_training(bare, genotype, [own, own], 0.0, "random")
    text = words(made(bare, tmp_path)[1])
    assert text.count(said) == 1
    assert f"{said}, so these could not choose between them; the smallest was taken." in text
    assert "tied with 1 other on validation people." in text and "lowest error" not in text


def test_too_few_random_networks_prove_nothing_which_is_said_once(whole, tmp_path):
    said = read_json(whole / "search/front.json")
    chance = {"genotype": FRONT, "as_good": 0, "random": 16, "p": 1 / 17, "verdict": "too few random subnets to tell"}
    said["confirmation"]["against random"] = [
        {**chance, "objective": "error", "value": 0.3, "low": 0.2, "high": 0.4},
        {**chance, "objective": "rank_disparity", "value": 1.7, "low": 0.0, "high": 3.0},
    ]
    write_json(whole / "search/front.json", said)
    text = words(made(whole, tmp_path)[1])
    once = (
        "0 of 16 random networks were as good as the search's first, but 16 are too few for proof (one-sided p = 0.059;"
    )
    assert text.count(once) == 1 and f"In error and rank disparity, {once}" in text and "subnet" not in text


def test_random_networks_that_do_as_well_are_no_matter_of_too_few(whole, tmp_path):
    said = read_json(whole / "search/front.json")
    said["confirmation"]["against random"][0] |= {"as_good": 5, "random": 16, "p": 6 / 17, "verdict": "too few"}
    write_json(whole / "search/front.json", said)
    text = words(made(whole, tmp_path)[1])
    assert "In error, 5 of 16 random networks were as good as the search's first: not shown" in text


def test_groups_that_rest_on_few_people_are_named(whole, tmp_path):
    assert "Error by group: a 0.220 ± 0.020; b 0.220 ± 0.020." in words(made(whole, tmp_path)[1])
    setting = Setting(people={"test": {"a": 30, "b": 29}})
    doubts = answer(RunReport(name="run", objectives=("error",), setting=setting)).not_believe
    assert doubts[-1].endswith("a group that rests on fewer than 30 test people: b 29.")
    setting = Setting(people={"test": {"a": 30, "b": 30}})
    assert "fewer" not in answer(RunReport(name="run", objectives=("error",), setting=setting)).not_believe[-1]


def test_a_training_by_another_recipe_is_drawn_as_its_network(bare, tmp_path):
    label = f"{FRONT},lr=0.3"
    add_training(bare, label, [0.1], 1.0, "named")
    data, html, _ = made(bare, tmp_path)
    assert (
        f'alt="Drawing of network {FRONT}: 4' in html
        and f"{label}: best compromise" in words(html)
        and data["runs"][0]["networks"][0]["macs"] > 0
    )


def undecided(run, tmp_path):
    """The statement on the network to take of networks that test people do not tell apart."""
    data, html, _ = made(run, tmp_path)
    statement = data["runs"][0]["answer"]["take"]
    assert words(html).index(statement["headline"]) < words(html).index("What not to believe")
    return statement


def test_no_choice_is_supported_by_one_training_each(bare, tmp_path):
    add_training(bare, FRONT, [0.10], 1.0, "front")
    add_training(bare, RANDOM, [0.15], 2.0, "random")
    statement = undecided(bare, tmp_path)
    assert statement["headline"] == "These data support no choice among the 2 networks."
    assert statement["certainty"] == "undecided" and "No other" not in statement["sentences"][0]
    assert statement["sentences"][0] == "One training each cannot tell networks apart on test people."
    assert f"Where one must be taken, take {FRONT}: on 100 images" in statement["sentences"][1]
    assert [step["command"] for step in statement["next"]] == ["dualfair retrain --run run --seeds 3"]


def test_no_choice_is_supported_where_validation_people_tie(bare, tmp_path):
    for genotype in (FRONT, RANDOM):
        add_training(bare, genotype, [0.2, 0.2], 0.0, "random")
    statement = undecided(bare, tmp_path)
    assert "2 of them tie on validation people" in statement["sentences"][0]
    assert [step["command"] for step in statement["next"]] == [
        "dualfair retrain --run run --seeds 4",
        "dualfair train --faces MORE-FACES --out run-2",
    ]


@pytest.mark.parametrize(("people", "known", "first"), [(299, {}, True), (300, {}, False), (299, ORIGIN, False)])
def test_few_people_and_no_choice_lead_to_starting_from_what_is_known(
    bare, tmp_path, monkeypatch, people, known, first
):
    for genotype in (FRONT, RANDOM):
        add_training(bare, genotype, [0.2, 0.2], 0.0, "random")
    write_json(bare / "train/config.json", {**CONFIG, **known})
    counted = {"train": {"a": people - 100, "b": 100}, "test": {"a": 40, "b": 40}}
    monkeypatch.setattr("dualfair.reporting.setting._counts", lambda *run: (counted, dict.fromkeys(counted, 500)))
    steps = [step["command"] for step in undecided(bare, tmp_path)["next"]]
    assert (steps[0] == "dualfair train --faces FACES --weights-from LARGER-RUN --out run-2") == first
    assert len(steps) == 2 + first


def test_what_trainings_began_with_is_told(bare, tmp_path):
    assert "learnt from" not in (text := words(made(bare, tmp_path / "before")[1])) and "started from" not in text
    add_training(bare, FRONT, [0.2], 0.0, "front")
    teacher = {"place": "../t.npy", "weights": "t", "trained_on": []}
    write_json(bare / "train/config.json", {**CONFIG, **ORIGIN, "teacher": teacher})
    write_json(bare / "retrain/config.json", {**records.retrain_config().to_json(), "teacher": teacher})
    worth = TeacherResult(
        teacher=Origin.from_json(teacher), validation=records.scores(), test=records.scores(0.25, 2.0)
    )
    worth.write(bare / "retrain/teacher.json")
    data, html, _ = made(bare, tmp_path / "after")
    told = data["runs"][0]["beginnings"]
    assert told == [
        "The supernet started from the weights of ../big, and learnt from the teacher ../t.npy.",
        "Networks by themselves learnt from the teacher ../t.npy, whose own error on test people is 0.250 (rank "
        "disparity 2.000, n = 48): students come near what it confuses.",
    ]
    assert all(sentence in words(html) for sentence in told)


def test_no_choice_is_supported_by_measures_that_are_not_reliable(bare, tmp_path):
    add_training(bare, FRONT, [0.10, 0.30], 1.0, "front")
    add_training(bare, RANDOM, [0.15, 0.35], 1.0, "random")
    assert made(bare, tmp_path / "before")[0]["runs"][0]["answer"]["take"]["headline"] == f"Take {FRONT}."
    measured = {"networks": 16, "reliability": 0.4, "low": 0.1, "high": 0.6, "people": 80}
    reliability = {"people": {"a": 10}, "enough": 0.8, "measures": {"error": measured}}
    (bare / "search").mkdir()
    write_json(bare / "search/reliability.json", reliability)
    assert "(reliability of error 0.40)" in undecided(bare, tmp_path)["sentences"][0]
    write_json(bare / "search/reliability.json", {**reliability, "enough": 0.4})
    statement = made(bare, tmp_path / "after")[0]["runs"][0]["answer"]["take"]
    assert (statement["headline"], statement["certainty"]) == (f"Take {FRONT}.", "not shown")


@pytest.mark.parametrize(
    ("error", "disparity", "certainty"),
    [(0.30, 1.0, "shown"), (0.30, 0.5, "shown"), (0.11, 1.0, "partly shown"), (0.101, 0.5, "contradicted")],
)
def test_a_choice_is_as_certain_as_test_people_tell_it_from_the_others(bare, tmp_path, error, disparity, certainty):
    add_training(bare, FRONT, [0.10, 0.14], 1.0, "front")
    add_training(bare, RANDOM, [error, error + 0.04], disparity, "random")
    add_training(bare, SHELF, [0.50, 0.50], 1.0, "shelf")
    statement = made(bare, tmp_path)[0]["runs"][0]["answer"]["take"]
    assert statement["certainty"] == certainty and statement["headline"].startswith(f"Take {FRONT}")
    assert (f", but on test people {RANDOM} did better." in statement["headline"]) == (certainty == "contradicted")


def test_a_single_network_is_no_choice(bare, tmp_path):
    add_training(bare, FRONT, [0.1, 0.1], 1.0, "front")
    statement = undecided(bare, tmp_path)
    assert statement["headline"] == f"Only {FRONT} was trained by itself, so there is nothing to choose from."
    assert statement["next"][0]["command"] == "dualfair retrain --run run --random 24 --seeds 3"


@pytest.mark.parametrize("certain", [True, False])
def test_what_is_marked_is_called_a_choice_only_where_there_is_one(bare, tmp_path, certain):
    for genotype, error in ((FRONT, 0.10), (RANDOM, 0.50)):
        add_training(bare, genotype, [error, error + 0.01][: 1 + certain], 1.0, "random")
    text = words(made(bare, tmp_path)[1])
    assert ("Marked rows are those to take" in text) == ("The chosen networks" in text) == certain
    assert ("Marked rows are those that validation people would take; these data support no" in text) != certain


def test_what_is_not_shown_comes_with_what_to_do_next(whole, tmp_path):
    said = read_json(whole / "search/front.json")
    said["confirmation"]["survived"] = 0
    write_json(whole / "search/front.json", said)
    answers = made(whole, tmp_path)[0]["runs"][0]["answer"]
    assert answers["held"]["certainty"] == "partly shown"
    for name in ("take", "cheap", "held"):
        assert bool(answers[name]["next"]) == (answers[name]["certainty"] != "shown")


@pytest.mark.parametrize("objectives", ["error", "own:my_objective", "worst_group_error,own:my_objective,error"])
def test_the_page_follows_the_objectives_of_the_run_whichever_they_are(bare, tmp_path, objectives, drawn):
    names = objectives.split(",")
    add_training(bare, FRONT, [0.1, 0.14], 1.0, "front")
    for path in bare.glob("retrain/*/*/result.json"):
        result = read_json(path)
        for split in ("validation", "test"):
            result[split]["measures"] |= {name: result[split]["measures"]["error"] for name in names}
        write_json(path, result)
    config = records.retrain_config().to_json()
    write_json(bare / "retrain/config.json", {**config, "minimised": names, "measured": names})
    html = made(bare, tmp_path)[1]
    text, shown = words(html), ["worst group error" if name == "worst_group_error" else name for name in names]
    assert all(f"{name} 0.220 ± 0.020" in text and f"test {name}" in text for name in shown)
    assert f"Lower is better for {', '.join(shown[:-1])}{' and ' if shown[1:] else ''}{shown[-1]}." in text
    axes = [f"{name}, test people" for name in shown[:2]] if shown[1:] else [f"{shown[0]}, test people", "MACs"]
    assert all(f"{axis}, lower is better" in pictures(html) for axis in axes)
