"""The four stages on generated faces, one network's report on CPU and device, and memory that comes back."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

import dualfair
from dualfair.benchmarks.contest import Setting
from dualfair.benchmarks.contests import parts
from dualfair.runs.records.codec import encode
from dualfair.supernet.memory import free_memory
from dualfair.supernet.training.trainer import Trainer
from tests.cuda.devices import forget
from tests.cuda.running import Row, at_least

LOST = 0.02
"""Share of the free memory that a training may leave taken: libraries keep their workspaces."""
LARGEST = 8
"""Differences between two reports that are told."""


def four_stages(device: str) -> Iterator[Row]:
    """Train, search, retrain and correlate by the door, then evaluate one network on the CPU and on the device."""
    with tempfile.TemporaryDirectory() as folder:
        faces, run = Path(folder) / "faces", Path(folder) / "run"
        dualfair.generate_faces(faces, identities=30, images=6, size=32)
        checkpoint = dualfair.train(faces, run, size=32, epochs=4.0, batch=16, device=device)
        equal = checkpoint.fewest_updates == checkpoint.most_updates
        yield Row("train: updates of every operation", float(checkpoint.most_updates), bound="equal", passed=equal)
        front = dualfair.search(run, population=6, generations=2, calibrate=64, device=device)
        yield Row("search: networks on the front", float(len(front.networks)))
        results = dualfair.retrain(run, seeds=1, controls=1, random=2, epochs=1.0, device=device)
        yield Row("retrain: trainings", float(len(results)))
        dualfair.correlate(run, resamples=100, device=device)
        yield Row("correlate", "done")
        network = next(iter(sorted((run / "retrain").glob("*/seed-*"))))
        judged = partial(dualfair.evaluate, network=network, faces=faces, resamples=100)
        reports = []
        for place in ("cpu", device):
            (report,) = judged(Path(folder) / f"on-{place}", device=place)
            reports.append(dict(_numbers(encode(report))))
    on_cpu, on_device = reports
    same = on_cpu.keys() == on_device.keys()
    yield Row("evaluate: numbers in the reports", f"{len(on_cpu)}, {len(on_device)}", bound="the same", passed=same)
    differences = {
        key: abs(on_device[key] - on_cpu[key])
        for key in on_cpu.keys() & on_device.keys()
        if on_device[key] != on_cpu[key]
    }
    yield Row("evaluate: numbers that differ", float(len(differences)))
    for key in sorted(differences, key=differences.__getitem__, reverse=True)[:LARGEST]:
        yield Row(f"evaluate: {key}, {on_cpu[key]:.4g} on the CPU", differences[key], "away on the device")


def free_again(device: str) -> Iterator[Row]:
    """Free memory before and after a training as `auto` has it, both with nothing of ours in use."""
    setting = Setting(device=device, batch=2 if device == "cpu" else 64)
    # Libraries take their part at the first step.
    _train(setting, 1)
    before = _free(device)
    _train(setting, 10)
    share = _free(device) / before
    what = "free memory after a training, of that before"
    yield Row(what, share) if device == "cpu" else at_least(what, share, 1 - LOST)


def _train(setting: Setting, steps: int) -> None:
    supernet, faces, recipe, space = parts(setting)
    list(Trainer(supernet, faces, recipe, seed=0, space=space, device=setting.device).run(until=steps))


def _free(device: str) -> int:
    forget(device)
    return free_memory(torch.device(device))


def _numbers(value: object, key: str = "") -> Iterator[tuple[str, float]]:
    """All numbers in what came of JSON, by where they stand."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield key, float(value)
    elif isinstance(value, (dict, list, tuple)):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(inner, f"{key}.{name}" if key else str(name))
