"""Witness that a rebuild changed no number: the whole chain of commands, in two checkouts, compared bit for bit.

    python tests/support/witness.py --before DIR --after DIR [--keep FOLDER] [--only STEP ...]

Every command of CHAIN runs in both checkouts, on small inputs, with fixed seeds, on one thread of the CPU. Then all
numbers that were printed and all values in all files that were written are held against each other. The exit status is
0 where they agree, 1 where they do not, with a list of the differences, 2 where they cannot be compared.

`--keep` leaves what the two sides wrote in FOLDER/before and FOLDER/after. Such a folder may be named in place of a
checkout, so that a side need not run again. `--only` runs the named steps and those that they need.

What the rebuild changed on purpose stands in RENAMED and REWORDED, what differs between two runs of one checkout in
`witness_values`. DualFair has to be installed, in any version: commands record which. The code that runs is that of the
two checkouts, as their own setup.cfg says.
"""

import argparse
import configparser
import importlib
import json
import multiprocessing
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from witness_values import Value, gather

RENAMED: tuple[tuple[str, str | None], ...] = (
    (r"(.*/(?:network|result)\.json: )\.genotype", r"\1.training"),
    (r"(.*/plan\.json: \.jobs\[\d+\])\.genotype", r"\1.training"),
    # Retraining from inherited weights, and a second reliability beside the one that a search says.
    (r"run/inherit/.*", None),
    (r"judged-all/reliability\.json.*", None),
    # A study of supernets no longer pretends that its first run was searched.
    (r"study/supernets/.*/search/config\.json: .*", None),
    # The command archive is gone.
    (r"(?:printed by archive-.*|scores\.csv|scores\.json|(?:all|copy)\.sqlite(?:-lock)?): .*", None),
    # Studies lie in a folder of their own; what they compute is what they keep, and verdicts of dominance are gone.
    (r"run/shelf/shelf\.(?:json: \.dominance|csv).*", None),
    (r"run/shelf/(?:commands\.jsonl|shelf\.png)(.*)", None),
    # They keep every number once: those of test people, by seed, and curves in a record alone.
    (r"run/shelf/shelf\.json: \.(?:networks\[\d+\]\.(?:validation|test)|(?:correlations|fronts)\.validation).*", None),
    (r"run/shelf/shelf\.json: \.(correlations|fronts)\.test(.*)", r"run/studies/baselines/baselines.json: .\1\2"),
    (
        r"run/compare/hypervolume\.csv.*|study/study\.csv.*|carried/transfer\.json: \.rankings\[\d+\]\.(people|home)",
        None,
    ),
    (r"study/study\.json: \.(?:supernets|truth\.validation|.*\.validation\.).*|study/study\.json: .*\.share", None),
    (r"study/study\.json: (.*)\.test\.(.*)", r"study/study.json: \1.\2"),
    (r"run/tune/turns\.json: (.*)", r"run/studies/tune/turns.json: .turns\1"),
    (r"run/tune/tune\.json: (.*)\.(validation|test) error", r"run/studies/tune/tune.json: \1.\2.error"),
    (r"run/tune/tune\.json: (.*)\.(validation|test) disparity", r"run/studies/tune/tune.json: \1.\2.rank_disparity"),
    (r"run/tune/trials\.csv: header", None),
    (r"run/tune/trials\.csv: (.*)\.(val|test)(?:idation)? error", r"run/studies/tune/trials.csv: \1.\2 error"),
    (
        r"run/tune/trials\.csv: (.*)\.(val|test)(?:idation)? disparity",
        r"run/studies/tune/trials.csv: \1.\2 rank disparity",
    ),
    (r"run/shelf/shelf\.json(.*)", r"run/studies/baselines/baselines.json\1"),
    (r"run/compare/(?:comparison\.json: \.(?:methods|random_search_needs|evaluations|nsga|sign|sentence)).*", None),
    (r"run/compare/hypervolume\.png.*", None),
    (r"run/(compare|tune)/(.*)", r"run/studies/\1/\2"),
    (r"(?:report|two)/report-(?:scored|operations|heads|hypervolume|head-updates|ranking-baselines)\.csv: .*", None),
    # Objectives are one text, and what they are called stands beside it.
    (r".*/(?:config|comparison|front)\.json: (?:\.config)?\.(?:objectives.*|count|gallery|galleries)", None),
    (r".*/dualfair\.json: \.metrics\.judging\.(?:objectives|count|gallery|galleries)", None),
    (r"(.*)worst_group at gallery 4(.*)", r"\1own:worst_group(gallery=4)\2"),
)
"""A regular expression for the whole name "file: key" before, and what it is called after; None: it was removed."""

REWORDED: tuple[tuple[str, str], ...] = (
    (r"(from|timm,) supernet\.(timm_model|exported)", r"\1 dualfair.supernet.production.\2"),
    (r"supernet/faces/alignment", "supernet/images/importers/alignment"),
    # All trainings begin with random weights, so that this is no hyper-parameter.
    (r"hparam_infos \{ name: begins with type: DATA_TYPE_STRING \} ", ""),
    (r"hparams \{ key: begins with value \{ string_value: random weights \} \} ", ""),
    (r"worst_group at gallery 4", "own:worst_group(gallery=4)"),
    (r"worst group at gallery 4", "own:worst group(gallery=4)"),
    (r"\(then disparity\)", "(then rank disparity)"),
    # The people that measures would take stand in the table above.
    (
        r"no other disparity can be(: \S+ would take about [\d,]+ people|, and networks do not differ .*)",
        "no other disparity can be",
    ),
)
"""A regular expression for words in values and text files before, and what stands there after."""

REMADE = re.compile(
    r".*/(cmc|det|groups|ranking|front)\.png: .*|network\.svg: .*|.*/search/tensorboard/.*: front @ .*|"
    # The report is made of the records of stages, and repeats none of their tables. TensorBoard has fewer charts.
    r"printed by report(-two)?: .*|(report|two)/report\.(html|json): .*|"
    r"(report|two)/report-(cost|cost-instead|runs|front|updates|ranking)\.csv: .*|"
    r".*/tensorboard/.*: (custom_scalars__config__|_hparams_/experiment)\b.*"
)
"""Names "file: key" of what is written in another way on purpose; it is not compared."""

LISTED, LISTED_OF_A_FILE = 200, 5
"""Differences that are told, in all and of one file."""

CHAIN = """
faces: faces synth --out faces --identities 48 --images 5 --size 32 --bias 0.8
other-faces: faces synth --out other --identities 24 --images 4 --size 32 --groups 3 --seed 1
faces-check < faces: faces check faces --split 0.35,0.4,0.25
import-csv: faces import csv photos.csv --out from-csv --size 32 --balance
import-folder: faces import folder photos --groups groups.csv --out from-folder --size 32
train < faces: train --faces faces --out run --space dpn81-shared --size 32 --split 0.35,0.4,0.25 --epochs 3
search < train: search --run run --population 8 --generations 2 --calibrate 16 --confirm-candidates 6
compare < search: compare --run run --population 4 --generations 2 --seeds 2
train-uniform < faces: train --faces faces --out run2 --size 32 --split 0.35,0.4,0.25 --epochs 1 --sampler uniform \
    --heads cosface,own:pushed --optimizer adamw --lr 0.002 --loss focal --ema 0.9 --seed 1
search-own < train-uniform: search --run run2 --population 8 --generations 2 --calibrate 16 --siblings 2 \
    --objectives "error,own:worst_group(gallery=4),params" --max-params 1500000 --confirm-candidates 4
retrain < search: retrain --run run --epochs 0.5 --seeds 2 --controls 2 --random 3
retrain-named < retrain: retrain --run run --genotype 101:cosface --genotype 343:magface --seeds 2
retrain-backbone < retrain: retrain --run run --backbone test_resnet --head cosface --seeds 1
retrain-short < retrain-named: retrain --run run --short
tune < search: tune --run run --trials 2 --epochs 0.4 --first-rung 0.2
correlate < retrain-short: correlate --run run --resamples 50
correlate-table: correlate --table cheap.csv truth.csv --out tables --maximise accuracy --resamples 50
shelf < retrain-backbone: shelf --run run --resamples 50
evaluate < retrain-named: evaluate --network run/retrain/101-101-101-101_cosface/seed-0 --faces faces --out judged \
    --within-group --folds 2 --resamples 50
evaluate-several < retrain-named: evaluate --network run/retrain/101-101-101-101_cosface/seed-0 --split all \
    --network run/retrain/343-343-343-343_magface/seed-0 --faces faces --gallery 6 --resamples 20 \
    --out judged-all
evaluate-embeddings: evaluate --embeddings embeddings.npy --identities identities.csv --pairs pairs.csv --enrol 2 \
    --group ethnicity --reference b --disparity own:worst_group --interval percentile --resamples 50 --out judged-other
export-timm < retrain-named: export run/retrain/101-101-101-101_cosface/seed-0 --to as-timm --format timm
export-onnx < retrain-named: export run/retrain/101-101-101-101_cosface/seed-1 --to as-onnx --format onnx --fold-bn
export-state < retrain: export run --to as-state --format state --no-class-weights
evaluate-export < export-timm evaluate other-faces: evaluate --network as-timm --faces other --baseline judged \
    --resamples 20 --out judged-export
transfer < retrain other-faces: transfer --run run --to other --out carried --resamples 50
study < faces: study --faces faces --out study --variants variants.toml --space dpn81-shared --size 32 \
    --split 0.35,0.4,0.25 --epochs 0.5 --calibrate 16 --supernets 1 --networks 3 --seeds 2 --standalone-epochs 0.3 \
    --resamples 20 --confirm 0
report < correlate compare shelf tune: report run
report-two < report search-own: report run run2 --out two/report.html
status < report: status run
status-json < report: status run --json
show: show 101-343-080-868:arcface --svg network.svg
show-trained < retrain-named: show run/retrain/101-101-101-101_cosface/seed-0
check: check --disparity own:worst_group --heads own:pushed
check-space: check --space dpn81-shared --skeleton nano --size 32
plan < faces: plan --faces faces --size 32 --split 0.35,0.4,0.25 --batch 8 --retrain-batch 8 --search-batch 16 \
    --calibrate 16 --population 4 --seconds 0.1 --json plan.json
refused < train: train --faces faces --out run --size 32 --epochs 4
"""
"""A step a line: its name, the steps that have to run before, and the words behind `dualfair`."""

REFUSED = {"refused": 2}
"""Exit statuses that are right and not 0."""

LIBRARIES = (
    "torch._inductor",
    "torch.utils.tensorboard",
    "timm",
    "pymoo.core.algorithm",
    "scipy.stats",
    "matplotlib.figure",
)
"""What commands take seconds to import. It is imported once, and every command starts as a fork of that."""

OWN = """
import numpy as np
import torch


def worst_group(ranks, groups):
    return max(ranks[groups == group].mean() for group in np.unique(groups))


def pushed(cosine, norm, strength):
    return cosine - 0.2 * strength, torch.zeros(())
"""
FORK = multiprocessing.get_context("fork")


class Step(NamedTuple):
    """A command of the chain: its name, the names of those that have to run before, its words."""

    name: str
    needs: tuple[str, ...]
    words: tuple[str, ...]


def steps_of(chain: str) -> dict[str, Step]:
    """The steps of CHAIN by name."""
    found = {}
    for line in chain.strip().splitlines():
        head, _, words = line.partition(": ")
        name, _, needs = head.partition(" < ")
        found[name] = Step(name, tuple(needs.split()), tuple(shlex.split(words)))
    return found


def needed(names: Iterable[str], steps: Mapping[str, Step]) -> list[Step]:
    """The steps of these names and those that they need, in the order of the chain."""
    found, left = set(), list(names)
    while left:
        name = left.pop()
        found.add(name)
        left += steps[name].needs
    return [step for step in steps.values() if step.name in found]


def main() -> None:
    """Run both sides, compare them, and tell."""
    steps = steps_of(CHAIN)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, required=True, help="a checkout, or a side that --keep left")
    parser.add_argument("--after", type=Path, required=True, help="a checkout, or a side that --keep left")
    parser.add_argument("--keep", type=Path, help="new folder for what both sides write")
    parser.add_argument("--only", nargs="+", metavar="STEP", choices=steps, help="steps to run: " + ", ".join(steps))
    given = parser.parse_args()
    chosen = needed(given.only or steps, steps)
    with tempfile.TemporaryDirectory() as scratch:
        root = (given.keep or Path(scratch)).absolute()
        sides = {name: getattr(given, name).absolute() for name in ("before", "after")}
        kept = {name: folder for name, folder in sides.items() if (folder / "witness.json").is_file()}
        run_sides({name: sides[name] for name in sides.keys() - kept.keys()}, root, chosen)
        tell(*(kept.get(name, root / name) for name in sides), chosen)


def run_sides(checkouts: Mapping[str, Path], root: Path, steps: list[Step]) -> None:
    """Run the steps in checkouts side by side, one process each. Leaves with 2 where it cannot be done."""
    # Read by libraries when they are imported.
    os.environ.update(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    for library in LIBRARIES if checkouts else ():
        importlib.import_module(library)
    processes = [
        FORK.Process(target=run_side, args=(name, checkout, root / name, steps))
        for name, checkout in sorted(checkouts.items(), reverse=True)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            for other in processes:
                other.terminate()
            sys.exit(2)


def run_side(name: str, checkout: Path, folder: Path, steps: list[Step]) -> None:
    """Run the steps in a checkout, within folder/files; what they print goes to folder/printed."""
    (folder / "printed").mkdir(parents=True)
    make_inputs(folder / "files")
    statuses = {}
    with tempfile.TemporaryDirectory() as links:
        # In place of this script's folder.
        sys.path[0] = str(import_path(checkout, Path(links)))
        for step in steps:
            began = time.monotonic()
            process = FORK.Process(target=run, args=(step, command_of(checkout), folder))
            process.start()
            process.join()
            statuses[step.name] = process.exitcode
            # One string, or the two sides' lines would run into each other.
            print(f"{name:7} {step.name:20} {time.monotonic() - began:5.1f} s\n", end="", flush=True)
            if process.exitcode != REFUSED.get(step.name, 0):
                said = (folder / "printed" / f"{step.name}.stderr").read_text()
                print(f"{name:7} {step.name:20} ended with status {process.exitcode}: {said[-700:]}", flush=True)
                if name == "before":
                    sys.exit(2)
    (folder / "witness.json").write_text(json.dumps(statuses, indent=1))


def run(step: Step, command: tuple[str, str], folder: Path) -> None:
    """What a process does that stands for a command line: it becomes the command, with its output going to files."""
    for number, stream in enumerate(("stdout", "stderr"), 1):
        with open(folder / "printed" / f"{step.name}.{stream}", "w") as file:
            os.dup2(file.fileno(), number)
    os.chdir(folder / "files")
    sys.argv = ["dualfair", *step.words]
    module, function = command
    getattr(importlib.import_module(module), function)()


def setup_of(checkout: Path) -> configparser.ConfigParser:
    """The checkout's setup.cfg."""
    setup = configparser.ConfigParser()
    setup.read_string((checkout / "setup.cfg").read_text())
    return setup


def command_of(checkout: Path) -> tuple[str, str]:
    """Module and function of the command `dualfair`, by the checkout's entry points."""
    scripts = setup_of(checkout)["options.entry_points"]["console_scripts"]
    return re.search(r"^dualfair\s*=\s*([\w.]+):(\w+)$", scripts, re.M).groups()


def import_path(checkout: Path, links: Path) -> Path:
    """The folder to import a checkout from: itself, or `links`, where packages get the names that package_dir gives.

    A package is a folder of links to what is in its own folder, so that subpackages which lie elsewhere fit in.
    """
    names = setup_of(checkout)["options"].get("package_dir", "")
    for package, _, folder in (line.partition("=") for line in sorted(names.split("\n")) if line.strip()):
        place = links.joinpath(*package.strip().split("."))
        place.mkdir()
        for entry in (checkout / folder.strip()).iterdir():
            if entry.name != "__pycache__":
                (place / entry.name).symlink_to(entry)
    return links if names else checkout


def make_inputs(folder: Path) -> None:
    """Photographs of noise with their tables, embeddings with pairs, tables of scores, and plug-ins."""
    rng = np.random.default_rng(0)
    groups = {f"person_{number:02d}": "abb"[number % 3] for number in range(24)}
    photos = [f"photos/{person}/{number}.png" for person in groups for number in range(4)]
    for path in photos:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)).save(folder / path)
    centres = np.repeat(rng.normal(size=(24, 16)), 4, axis=0)
    np.save(folder / "embeddings.npy", (centres + rng.normal(0, 0.9, (96, 16))).astype(np.float32))
    pairs = [(one, other) for one in range(24) for other in (one, one // 6 * 6 + (one + 1) % 6)]
    tables = {
        "photos.csv": ["path,identity,group", *(f"{path},{path[7:16]},{groups[path[7:16]]}" for path in photos)],
        "groups.csv": ["identity,group", *(f"{person},{group}" for person, group in groups.items())],
        "identities.csv": ["identity,ethnicity", *(f"{row // 4},{'abb'[row // 4 % 3]}" for row in range(96))],
        "pairs.csv": [
            "left,right,same,fold",
            *(f"{4 * one},{4 * other + 1},{int(one == other)},{one // 6}" for one, other in pairs),
        ],
        "cheap.csv": ["network,accuracy", *(f"n{row},{0.5 + row / 40}" for row in range(12))],
        "truth.csv": [
            "network,seed,accuracy",
            *(f"n{row},{seed},{0.6 + row * 5 % 12 / 60 + seed / 200}" for row in range(12) for seed in range(2)),
        ],
        "variants.toml": ["[sequential]", 'sampler = "sequential"', "[rough]", "calibrate = 0"],
        "own.py": [OWN],
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n")


def translated(found: Mapping[str, Value]) -> dict[str, Value]:
    """The values before by the names and in the words that they have after."""
    result: dict[str, Value] = {}
    for name, value in found.items():
        renamed: str | None = name
        for pattern, to in RENAMED:
            if renamed is not None and (match := re.fullmatch(pattern, renamed)):
                renamed = None if to is None else match.expand(to)
        text = value.text
        for pattern, to in REWORDED:
            text = re.sub(pattern, to, text)
        if renamed in result:
            raise ValueError(f"RENAMED gives two values the name {renamed!r}")
        if renamed is not None:
            result[renamed] = Value(text, value.numbers)
    return result


def file_of(name: str) -> str:
    """The file in a name "file: key"."""
    return name.partition(": ")[0]


def excerpt(name: str, one: str, other: str) -> str:
    """A value that differs, as it was and is; of a long one the place where it begins to."""
    same = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    begin = max(0, same - 40)
    key = name.partition(": ")[2]
    return f"{key}\n    before {one[begin : begin + 200]}\n    after  {other[begin : begin + 200]}"


def differences(before: Mapping[str, Value], after: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """File and description of everything that differs; a file that only one side has is one difference."""
    old, new = ({file_of(name) for name in found} for found in (before, after))
    nothing = Value("(missing)", 0)
    for name in {**before, **after}:
        one, other = before.get(name, nothing).text, after.get(name, nothing).text
        if one != other and file_of(name) in old & new:
            yield file_of(name), excerpt(name, one, other)
    yield from ((file, "is there only before") for file in sorted(old - new))
    yield from ((file, "is there only after") for file in sorted(new - old))


def tell(before: Path, after: Path, steps: list[Step]) -> None:
    """Print what differs between two sides and leave with status 1, or say that they agree."""
    known = steps_of(CHAIN)
    for side in (before, after):
        # A side that was kept may know steps that are gone since.
        held = [name for name in json.loads((side / "witness.json").read_text()) if name in known]
        if held != [step.name for step in steps]:
            print(f"{side} holds other steps than are asked for; run it anew")
            sys.exit(2)
    one, other = (
        {name: value for name, value in of.items() if not REMADE.fullmatch(name)}
        for of in (translated(gather(before)), gather(after))
    )
    found: dict[str, list[str]] = {}
    for file, what in differences(one, other):
        found.setdefault(file, []).append(what)
    if found:
        shown = [f"{file}: {what}" for file, all_of in found.items() for what in all_of[:LISTED_OF_A_FILE]]
        print(*shown[:LISTED], sep="\n")
        print(f"The witness disagrees: {sum(map(len, found.values())):,} differences in {len(found)} files")
        sys.exit(1)
    files = len({file_of(name) for name in one}) - len(steps)
    print(f"The witness agrees: {len(steps)} steps, {files} files, {sum(v.numbers for v in one.values()):,} numbers")


if __name__ == "__main__":
    main()
