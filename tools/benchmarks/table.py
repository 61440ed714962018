"""The benchmarks by name; each module is imported when it is run. Needs no torch."""

from __future__ import annotations

BENCHMARKS: dict[str, str] = {
    "step": "the strictly fair training step: a pass for every path, against Trainer",
    "standalone": "training one network: a plain timm loop, against Trainer",
    "processes": "training and search: one process with all threads, against two ranks of torchrun",
    "embedding": "embedding faces: timm's dual path networks, against ours",
    "scoring": "scoring a population: one by one, against the trie of prefixes",
    "ranks": "ranks among all images: sorting all similarities, against counting in chunks",
    "prediction": "what dualfair plan forecasts of a small run, against the time it takes",
    "safety": "checkpoints, archived scores and deterministic steps: the careless way, against ours",
    "growth": "how ranks, scoring and group measures grow with their size",
}
"""Names as in --only, and in the order of a whole run; `benchmarks.NAME` has a function run(setting)."""
