"""Checks for tests of how checks are run; a process of its own finds them here by their names."""

import os
import time

from tests.cuda.running import Row


def raises(device):
    yield Row("before", 1.0)
    raise ValueError("no such\nthing")


def dies(device):
    yield Row("before", 2.0)
    os._exit(3)


def never_ends(device):
    yield Row("before", 3.0, passed=True)
    time.sleep(600)


def fine(device):
    yield Row(f"on {device}", "yes", passed=True)
