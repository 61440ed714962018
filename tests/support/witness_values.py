"""What a side of the witness printed and wrote: every value by name, in words that can be compared.

A name is "file: key"; what a step printed is a file too. Numbers have all their digits, arrays are digests of their
bytes. EXCLUDED and CUT say what is left out, because two runs of one checkout do not share it.
"""

import csv
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

EXCLUDED: tuple[str, ...] = (
    # Wall-clock time: results, scores, checkpoints' records, the forecasts of `plan`.
    r".*\.(\w+_)?seconds(_each)?(\.(low|middle|high))?",
    r".*tfevents.*: (speed \(images per second\)|cost/training \(s\)) @ \d+",
    # Energy is counted by time, and so is how often `plan` could measure.
    r"plan\.json: \.((kwh|kg_co2eq)\.(low|middle|high)|repetitions\..*)",
    # `plan` tells memory in another way, prices a search by the call, leaves correlate out and names its options.
    r"plan\.json: \.(stages length|stages\[1\]\.flops|stages\[3\].*|stages.*\.memory.*|terms.*|options.*)",
    r"printed by plan: stdout.*",
    r".*/report-(cost|cost-instead|runs)\.csv: \[\d+\]\.(device hours|kWh|kg CO2eq|times train and search)",
    r".*/report\.json: \.runs\[\d\]\.cost\.((spent|instead)\.rows\[\d+\]\[[2456]\]|supernet_hours)",
    r".*/report\.json: \.comparison\.rows\[\d\]\[13\]",
    # When a command was typed, and the version of what is installed.
    r".*/commands\.jsonl: \[\d+\]\.(time|dualfair)",
    r".*\.versions\.dualfair",
)
"""Regular expressions for the whole name "file: key" of values that two runs of one checkout do not share."""

CUT: tuple[str, ...] = (
    r"[\d.,]+ (ms|s|min|h)\b",  # durations
    r"Checkpoints took [\d.]+%",  # a share of the time
    r'"seconds_each": [\d.]+|^  "hours_left": [\d.]+',  # status --json, which had them
    r"^Energy: .*kg CO2eq \(|^Measured: .*; medians|time, [\d.]+ times as much",  # plan, which counts energy by time
    # Tables of a report that count device hours; their numbers are compared in its CSV and JSON.
    r'^h[23] id="[\w-]*cost">What it cost[\s\S]*?(?=^h[23] )|^h2 id="runs">[\s\S]*?(?=^section )',
)
"""Regular expressions for what is cut out of printed lines and text files, as it differs likewise."""


class Value(NamedTuple):
    """What stands at a place of a file, in words, and how many numbers it holds."""

    text: str
    numbers: int


def gather(side: Path) -> dict[str, Value]:
    """All values of a side by name: "file: key", where what a step printed is a file too."""
    found = {}
    for step, status in json.loads((side / "witness.json").read_text()).items():
        found[f"printed by {step}: exit status"] = value_of(status)
        for stream in ("stdout", "stderr"):
            lines = lines_of((side / "printed" / f"{step}.{stream}").read_text())
            for number, numbers in enumerate(filter(None, map(numbers_in, lines)), 1):
                found[f"printed by {step}: {stream}, line {number} with numbers"] = value_of(" ".join(numbers))
    files = side / "files"
    for path in sorted(path for path in files.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        name = BOARD.sub(r"\1", str(path.relative_to(files)))
        read = of_board if "tfevents" in path.name else READERS.get(path.suffix, of_bytes)
        found[f"{name}: file"] = value_of("is there")
        for key, value in read(path):
            if f"{name}: {key}" in found:
                raise ValueError(f"{path} has two values {key!r}")
            found[f"{name}: {key}"] = value_of(value)
    excluded = re.compile("|".join(f"(?:{pattern})" for pattern in EXCLUDED))
    return {name: value for name, value in found.items() if not excluded.fullmatch(name)}


def leaves(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Everything in nested dictionaries and lists, with the way to it."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{key}.{name}")
    elif isinstance(value, (list, tuple)):
        yield f"{key} length", len(value)
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{key}[{place}]")
    else:
        yield key, value


def of_json(path: Path) -> Iterator[tuple[str, object]]:
    yield from leaves(json.loads(path.read_text()))


def of_json_lines(path: Path) -> Iterator[tuple[str, object]]:
    yield from leaves([json.loads(line) for line in path.read_text().splitlines()])


def of_csv(path: Path) -> Iterator[tuple[str, object]]:
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    yield "header", ", ".join(header)
    for number, row in enumerate(rows):
        names = header if len(header) == len(row) else map(str, range(len(row)))
        yield from ((f"[{number}].{name}", cell) for name, cell in zip(names, row, strict=True))


def of_text(path: Path) -> Iterator[tuple[str, object]]:
    yield from ((f"line {number}", line) for number, line in enumerate(lines_of(path.read_text()), 1))


def of_markup(path: Path) -> Iterator[tuple[str, object]]:
    yield from ((f"tag {number}", tag) for number, tag in enumerate(lines_of(path.read_text().replace("<", "\n")), 1))


def of_sqlite(path: Path) -> Iterator[tuple[str, object]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid').fetchall()
            yield from leaves([dict(row) for row in rows], table)


def of_arrays(path: Path) -> Iterator[tuple[str, object]]:
    found = np.load(path, allow_pickle=False)
    yield from leaves(found if isinstance(found, np.ndarray) else {**found})


def of_checkpoint(path: Path) -> Iterator[tuple[str, object]]:
    import torch

    for key, value in leaves(torch.load(path, map_location="cpu", weights_only=True)):
        yield key, value.numpy() if isinstance(value, torch.Tensor) else value


def of_safetensors(path: Path) -> Iterator[tuple[str, object]]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        names = file.keys()
        yield from leaves({"metadata": file.metadata(), **{name: file.get_tensor(name) for name in names}})


def of_picture(path: Path) -> Iterator[tuple[str, object]]:
    with Image.open(path) as picture:
        yield "size", str(picture.size)


def of_board(path: Path) -> Iterator[tuple[str, object]]:
    """Scalars of a TensorBoard file, sizes of its pictures, its hyper-parameters; of anything else that it is there."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from tensorboard.util.tensor_util import make_ndarray

    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            key, plugin = f"{value.tag} @ {event.step}", value.metadata.plugin_data
            if plugin.plugin_name == "scalars":
                yield key, make_ndarray(value.tensor).item()
            elif plugin.plugin_name == "images":
                yield key, str(make_ndarray(value.tensor)[:2])
            elif plugin.plugin_name == "hparams":
                yield key, " ".join(lines_of(str(HParamsPluginData.FromString(plugin.content))))
            else:
                yield key, plugin.plugin_name


def of_bytes(path: Path) -> Iterator[tuple[str, object]]:
    yield "sha256", hashlib.sha256(path.read_bytes()).hexdigest()


READERS: dict[str, Callable[[Path], Iterator[tuple[str, object]]]] = {
    **dict.fromkeys((".txt", ".md", ".toml", ".py"), of_text),
    **dict.fromkeys((".html", ".svg"), of_markup),
    **{".json": of_json, ".jsonl": of_json_lines, ".csv": of_csv, ".sqlite": of_sqlite, ".pt": of_checkpoint},
    **{".npy": of_arrays, ".npz": of_arrays, ".safetensors": of_safetensors, ".png": of_picture},
}
"""What gives keys and values of a file, by its ending."""

BOARD = re.compile(r"(events\.out\.tfevents)\.\d+\.[^/]*\.\d+\.\d+")
"""Time, host and process stand in the name of a TensorBoard file, and how many that one wrote before."""


def lines_of(text: str) -> Iterator[str]:
    """The words and numbers of every line that has some, without what is cut."""
    for pattern in CUT:
        text = re.sub(pattern, "", text, flags=re.M)
    yield from (" ".join(words) for line in text.splitlines() if (words := re.findall(r"[^\s<>\"'=;]+", line)))


def numbers_in(text: str) -> list[str]:
    """All numbers of a text."""
    return re.findall(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|\b(?:inf|nan)\b", text)


def value_of(found: object) -> Value:
    """What was found as text, floating point numbers with all their digits, arrays as a digest of their bytes."""
    if isinstance(found, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(found).tobytes()).hexdigest()[:16]
        return Value(f"{found.dtype} {found.shape} bytes {digest} sum {found.sum()!r}", found.size)
    return Value(str(found), len(numbers_in(str(found))))
