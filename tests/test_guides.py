"""README and guides are true: every block of Python and every command line in them runs, in small.

A document is run from its beginning to its end, in a folder of its own. What is made small, what is not run and why
stands in the tables below, keyed by subcommand or program, never by a document's lines.
"""

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

from dualfair.__main__ import COMMANDS, cli

ROOT = Path(__file__).parents[1]
GUIDES = ROOT / "tools/guides"
DOCUMENTS = {path.name: path for path in (ROOT / "README.md", *sorted(GUIDES.glob("*.md")))}


def _beside(name):
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks for its module by name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


miniatures, documents = _beside("miniatures"), _beside("documents")

SMALL = {
    "faces synth": "--identities 40 --images 4 --size 48",
    "faces import": "--size 48",
    "plan": "--seconds 0.2 --batch 8 --retrain-batch 8 --search-batch 16 --calibrate 16 --population 4",
    "train": "--epochs 0.2 --batch 8",
    "search": "--population 4 --generations 2 --calibrate 16 --confirm-candidates 4",
    "compare": "--population 4 --generations 2 --seeds 2",
    "retrain": "--epochs 0.2 --batch 8 --seeds 1",
    "tune": "--trials 2 --epochs 0.4 --first-rung 0.2",
    "correlate": "--resamples 50",
    "shelf": "--resamples 50",
    "transfer": "--resamples 50",
    "quantise": "--steps 3 --batch 8 --resamples 20 --least-people 2",
    "evaluate": "--resamples 20",
    "study": "--supernets 1 --networks 3 --seeds 2 --epochs 0.2 --standalone-epochs 0.2 --batch 8 --resamples 20 "
    "--calibrate 16",
}
"""What is put behind the words of a subcommand: of an option that is given twice, the last value counts."""

SMALL_IF_NAMED = {
    "--random": "--random 2",
    "--controls": "--controls 1",
    "--people": "--people 4",
    "--split": "--split 0.6,0.2,0.2",
    "--gallery": "--gallery 3",
    "--max-latency": "--max-latency 10000",
    "--checkpoint-every": "--checkpoint-every 5",
    "--ranks-per-job": "--ranks-per-job 1",
}
"""Options whose value in the text is for more people, networks, time or ranks than there are here."""

SKELETONS = ("plan", "train", "study")
"""Subcommands that get the skeleton `nano` at 32 px, unless the text names one of its own (module:object)."""

UNTRIED = {
    "demo": "takes minutes and has no sizes; its stages are run one by one",
    "bench": "measures for minutes; tests/benchmarks/test_run.py runs it",
    "retrain --survey": "trains dozens of backbones",
    "study --variants": "trains a supernet for every variant",
    "grow": "trains dozens of networks; tests/studies/test_grow.py runs small searches",
    "repair": "wants networks of its own; tests/studies/test_repair.py and test_repair_faces.py run all three",
    "torchrun": "needs several processes; tests/stages/test_ranks_together.py starts them",
    "srun": "needs a cluster",
    "python": "installs, runs the whole test suite, or works for minutes",
    "pip": "installs",
    "tensorboard": "serves until it is stopped",
    "tour.sh": "test_the_tour_runs_in_small runs it with small variables",
    "cp": "is for the reader's files",
    "mkdir": "is for the reader's folders",
    "cmp": "is for the reader's files",
    "cd": "is for the reader's folders",
}
"""Commands that are only checked for options that exist, by subcommand, subcommand and option, or program."""

STATUS = {"correlate": (0, 3)}
"""Exit statuses that are right beside 0: 3 says that with so few networks some correlation is undefined."""

NEEDS = {
    "search": "train",
    "status": "train",
    "compare": "search",
    "retrain": "search",
    "tune": "search",
    "correlate": "retrain",
    "transfer": "retrain",
    "quantise": "retrain",
    "report": "retrain",
    "export": "retrain",
    "shelf": "shelf",
}
"""The stage that has to be finished in every run directory that a subcommand names; what is missing is run first."""

STAGES = {
    # stage: the stage before, the file that says that it is finished, and its command
    "train": (None, "train/*.pt", "train --faces faces --out {run} --size 32"),
    "search": ("train", "search/front.json", "search --run {run}"),
    "retrain": ("search", "retrain/*/seed-0/result.json", "retrain --run {run} --controls 1"),
    "shelf": (
        "retrain",
        "retrain/timm*/seed-0/result.json",
        "retrain --run {run} --backbone test_resnet --head cosface",
    ),
}

OUTPUTS = ("--out", "--to", "--json", "--svg")
RUN = re.compile(r"(?:[\w.-]+/)*(?:run[\w-]*|other-run|RUN)")
NETWORK = re.compile(r"(?P<run>.+)/retrain/(?P<label>[^/]+)/seed-0")
FACES = re.compile(r"(?:[\w.-]+/)*(?:[\w-]*faces[\w-]*|FACES|OTHER)", re.IGNORECASE)


def why_untried(words):
    """Why a command is not run here; None where it is."""
    found = documents.subcommand(words)
    if found and words[0] == "dualfair":
        name, behind = found
        reasons = [UNTRIED.get(name), *(UNTRIED.get(f"{name} {word}") for word in behind)]
        return next((reason for reason in reasons if reason), None)
    name = Path(words[1] if words[0] == "bash" and len(words) > 1 else words[0]).name
    return UNTRIED.get("python" if name.startswith("python") else name)


def parsed(words):
    """The click command of a subcommand with the options that it has."""
    command, context = cli, click.Context(cli)
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(context, word)
        assert command is not None, f"there is no {word!r} in 'dualfair {shlex.join(words)}'"
    names = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    return command, names


ALL_SHELL = [
    pytest.param(words, id=f"{name}:{block.line}:{' '.join(words)[:40]}")
    for name, path in DOCUMENTS.items()
    for block in documents.blocks_of(path)
    if block.kind == "shell" and (block.fenced or block.text.split()[0] in UNTRIED or "dualfair" in block.text)
    for words in documents.commands_in(block.text)
]


@pytest.mark.parametrize("words", ALL_SHELL)
def test_every_command_and_option_of_the_documents_exists(words):
    found = documents.subcommand(words)
    if not found:
        assert why_untried(words), f"{words[0]} is neither dualfair nor in UNTRIED"
        return
    assert words[0] == "dualfair" or why_untried(words), f"{words[0]} is not in UNTRIED"
    if not found[1] or found[1][0].startswith("--"):
        return
    _, options = parsed(found[1])
    used = {word.split("=")[0] for word in found[1] if word.startswith("--")}
    assert used <= options, f"unknown: {', '.join(sorted(used - options))}"


def test_the_tables_name_what_there_is():
    for name in (*SMALL, *NEEDS, *STATUS, *SKELETONS):
        _, options = parsed([*name.split(), "celeba"])
        words = SMALL.get(name, "").split()
        assert {word for word in words if word.startswith("--")} <= options, name
    first = {name.split()[0] for name in UNTRIED if name.split()[0] in COMMANDS}
    assert {"demo", "bench", "retrain", "study", "repair", "grow"} <= first


def said_in_the_source():
    """Every text of the source, with … for what is put in."""
    for room in ("supernet", "evaluation", "evolution", "tools"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
                elif isinstance(node, ast.JoinedStr):
                    parts = (one.value if isinstance(one, ast.Constant) else "…" for one in node.values)
                    yield "".join(parts)


def test_the_messages_of_the_troubleshooting_guide_are_those_of_the_program():
    text = (GUIDES / "troubleshooting.md").read_text()
    messages = re.findall(r"^> `(.*)`$", text, re.M)
    assert len(messages) > 20
    everything = "\n".join(said_in_the_source())
    for message in messages:
        pieces = [piece.strip() for piece in message.split("…")]
        assert max(map(len, pieces)) > 8, message
        for piece in pieces:
            assert piece in everything, f"{piece!r} of {message!r}"


class Reader:
    """Somebody who types what a document says, in a folder of their own."""

    def __init__(self, dualfair, folder, kept):
        self.dualfair, self.folder, self.kept = dualfair, folder, kept
        self.as_kept = set()

    def python(self, block, name):
        """Run a block, and write it to the file that its first comment names."""
        if file := re.match(r"# (\w+\.py)\b", block.text):
            (self.folder / file[1]).write_text(block.text)
        for made in ("exported", "faces", "run"):
            if re.search(rf"[\"':]{made}[/\"']", block.text):
                self.provide(made)
        exec(compile(block.text, f"{name}:{block.line}", "exec"), {"__name__": "__main__"})
        self.as_kept.clear()

    def shell(self, words):
        """Run a command of a document, with what it takes for granted and in small."""
        if words[0] != "dualfair" or why_untried(words):
            return
        name, words = documents.subcommand(words)
        self.make_way(name, words)
        self.take_for_granted(name, words)
        extra = SMALL.get(name, "").split()
        for word in words:
            extra += SMALL_IF_NAMED.get(word, "").split()
        if name in SKELETONS and not any(":" in value for value in documents.values_of(words, "--skeleton")):
            extra += ["--skeleton", "nano", "--size", "32"]
            extra += ["--blocks", "1-1-1-1"] if "--blocks" in words else []
        words = [place for word in words for place in self.expanded(word)]
        if name == "faces import" and words[2] == "bin":
            extra = ["--size", "48"]
        self.run([*words, *extra], STATUS.get(name, (0,)))
        self.as_kept.clear()

    def run(self, words, statuses=(0,)):
        done = self.dualfair(*words)
        said = f"dualfair {shlex.join(words)}\n{done.out[-2000:]}\n{done.err[-2000:]}"
        assert done.status in statuses, said
        assert "Error" not in done.err, said
        return done

    def make_way(self, name, words):
        """Faces, imports and trainings begin anew, whatever an earlier line of the document made of that name."""
        if name.startswith(("faces ", "images ")) or name == "train":
            for out in documents.values_of(words, "--out"):
                shutil.rmtree(self.folder / out, ignore_errors=True)

    def take_for_granted(self, name, words):
        """Make what a command names and does not make itself."""
        outputs = {value for option in OUTPUTS for value in documents.values_of(words, option)}
        if name == "transfer":
            outputs -= set(documents.values_of(words, "--to"))
        named = [word for word in words[len(name.split()) :] if not word.startswith("-") and word not in outputs]
        if name in ("faces import", "images import"):
            named = named[1:]
        for word in named:
            self.provide(word, NEEDS.get(name, "train"))

    def provide(self, word, stage="train"):
        """Make what goes by a name, unless it is there."""
        path = self.folder / word
        if network := NETWORK.fullmatch(word):
            self.provide(network["run"], "retrain")
            if "*" not in word and not path.exists():
                self.train_alone(path, network["label"])
        elif word in miniatures.MAKERS:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                miniatures.MAKERS[word](path)
        elif word == "exported":
            if not path.exists():
                self.provide("run", "retrain")
                self.run(["export", "run", "--to", "exported", "--format", "onnx"])
        elif RUN.fullmatch(word):
            self.finish(word, stage)
        elif FACES.fullmatch(word) and not path.exists():
            self.run(["faces", "synth", "--out", word, *SMALL["faces synth"].split()])
            self.as_kept.add(word)

    def train_alone(self, path, label):
        """Train a network in a run directory of its own, whatever the document's was searched by, and bring it over."""
        self.finish("spare", "search")
        named = ("--genotype", label.replace("_", ":", 1), *SMALL["retrain"].split())
        self.run(["retrain", "--run", "spare", *named])
        shutil.copytree(self.folder / "spare/retrain" / label, path.parent, dirs_exist_ok=True)

    def finish(self, run, stage):
        """Run the stages of a run directory that are missing, up to one.

        What an earlier document took for granted in the same way is copied, unless this one has changed anything since.
        """
        before, file, command = STAGES[stage]
        if before:
            self.finish(run, before)
        place = self.folder / run
        if any(place.glob(file)):
            return
        self.provide("faces")
        kept, alike = self.kept / f"{run}-{stage}", {"faces", (run, before)} <= {*self.as_kept, (run, None)}
        if alike and kept.exists():
            shutil.copytree(kept, place, dirs_exist_ok=True)
        else:
            name, *words = command.format(run=run).split()
            self.run([name, *words, *SMALL[name].split()])
        if alike:
            self.as_kept.add((run, stage))
            if not kept.exists():
                shutil.copytree(place, kept)

    def expanded(self, word):
        """The files that a word with a star stands for."""
        found = sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(word)) if "*" in word else []
        return found or [word]


@pytest.fixture(scope="module")
def memory():
    """What plans found to fit, by skeleton."""
    return {}


@pytest.fixture
def typing(dualfair, memory, monkeypatch):
    """The command line; what of a skeleton fits into memory, ten seconds of every plan, is found out but once."""
    from dualfair.planning import plan

    checked = plan.checked_memory

    def checked_once(workload, device, devices):
        if workload.skeleton.name not in memory:
            memory[workload.skeleton.name] = checked(workload, device, devices)
        return memory[workload.skeleton.name]

    monkeypatch.setattr(plan, "checked_memory", checked_once)
    return dualfair


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Run directories that documents take for granted, by name and last stage."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def reader(typing, kept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    yield Reader(typing, tmp_path, kept)
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_all_that_a_document_says_runs_in_its_order(name, reader):
    for block in documents.blocks_of(DOCUMENTS[name]):
        if block.kind == "python":
            reader.python(block, name)
            continue
        for words in documents.commands_in(block.text):
            reader.shell(words)


SHIM = """#!/usr/bin/env bash
printf '%s\\0' "$@" > "$REQUESTS"
read -r status < "$ANSWERS"
exit "$status"
"""
"""`dualfair` for a script: the words go to the process of the test, which has torch loaded already."""

TOUR = {
    "IDENTITIES": 40,
    "IMAGES": 4,
    "EPOCHS": 0.5,
    "BATCH": 8,
    "POPULATION": 4,
    "GENERATIONS": 2,
    "CALIBRATE": 16,
    "COMPARE_SEEDS": 2,
    "RETRAIN_EPOCHS": 0.5,
    "SEEDS": 1,
    "CONTROLS": 1,
    "DRAWN": 3,
    "BACKBONES": "test_resnet",
    "RESAMPLES": 20,
    "PLAN_SECONDS": 0.2,
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_tour_runs_in_small(typing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dualfair").write_text(SHIM)
    (tmp_path / "dualfair").chmod(0o755)
    for name in ("requests", "answers"):
        os.mkfifo(tmp_path / name)
    environment = {**os.environ, **{name: str(value) for name, value in TOUR.items()}}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    environment |= {"REQUESTS": str(tmp_path / "requests"), "ANSWERS": str(tmp_path / "answers")}
    script = f'bash {GUIDES / "tour.sh"} tour > said.txt 2> errors.txt; printf "%s\\0" "the end" $? > "$REQUESTS"'
    child = subprocess.Popen(["bash", "-c", script], env=environment)
    watch = threading.Timer(300, child.kill)
    watch.start()
    asked = []
    while True:
        words = (tmp_path / "requests").read_text().split("\0")[:-1]
        if words[0] == "the end":
            break
        done = typing(*words)
        assert "Error" not in done.err, (words, done.err)
        asked.append(documents.subcommand(["dualfair", *words])[0])
        (tmp_path / "answers").write_text(f"{done.status}\n")
    watch.cancel()
    assert (words[1], (tmp_path / "errors.txt").read_text()) == ("0", ""), asked
    assert asked == [
        "faces synth", "faces check", "plan", "train", "search", "compare", "retrain", "correlate", "retrain", "shelf",
        "report", "export", "evaluate", "status",
    ]  # fmt: skip
    for file in ("faces/preview.png", "run/search/front.png", "run/correlate/ranking.png", "report/report.html"):
        assert (tmp_path / "tour" / file).is_file(), file
        assert re.search(rf"[/ ]{re.escape(file)}", (tmp_path / "said.txt").read_text())
