"""Benchmarks of `dualfair bench`: the plain way of doing a thing beside ours, measured in turn in one run.

`contest` times two ways in turn, measures their memory, and prints them; `contests` are those that there are, functions
of one setting; `run` goes through them.
"""

BENCHMARKS = {
    "step": "the strictly fair training step: a whole pass for every path, against Trainer",
    "scoring": "scoring a population: one by one, against the trie of prefixes",
    "ranks": "ranks among all images: sorting all similarities, against counting in chunks",
}
"""Names as in --only, in the order of a whole run, and what each measures."""
