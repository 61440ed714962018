"""Benchmarks of `dualfair bench`: the plain way of doing a thing beside ours, measured in turn in one run.

`timing` times two contestants in turn and measures their memory in fresh processes; `contest` is the frame: the setting
that all share, a contest's numbers as text and JSON, and the loop over benchmarks. A benchmark is a function
`name(setting)`, in `training`, `processes`, `scoring` or `safety`, that returns its contests.
"""

from __future__ import annotations

BENCHMARKS: dict[str, tuple[str, str]] = {
    "step": ("training", "the strictly fair training step: a pass for every path, against Trainer"),
    "standalone": ("training", "training one network: a plain timm loop, against Trainer"),
    "processes": ("processes", "training and search: one process with all threads, against two ranks of torchrun"),
    "embedding": ("scoring", "embedding faces: timm's dual path networks, against ours"),
    "scoring": ("scoring", "scoring a population: one by one, against the trie of prefixes"),
    "ranks": ("scoring", "ranks among all images: sorting all similarities, against counting in chunks"),
    "safety": ("safety", "checkpoints, archived scores and deterministic steps: the careless way, against ours"),
}
"""Names as in --only, in the order of a whole run; the module of each, and what it is."""
