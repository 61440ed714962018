"""Benchmarks of `dualfair bench`: one module each, with the plain way of doing a thing beside ours.

`setting` says what is measured on which machine, `planning.stopwatch` times two contestants in turn, `memory`
measures a contestant's peak in a fresh process, `roofline` knows what the device could do at best, and `report` prints
results. `table` names the benchmarks.
"""
