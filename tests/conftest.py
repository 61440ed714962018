import os
import sys
from pathlib import Path
from types import SimpleNamespace

# Each worker of pytest-xdist, and what it starts, keeps to one thread: torch reads this when it is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tests.support.installed import refusal

if reason := refusal(Path(__file__).parents[1]):
    pytest.exit(reason, returncode=2)

import numpy as np
import torch
from hypothesis import settings

from dualfair.__main__ import main
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.skeleton import DualPathSkeleton

# The same examples in every run, so that what fails here fails everywhere.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def tiny():
    """A skeleton small enough for tests: two stages, the second of two blocks, with every kind of block in it."""
    return DualPathSkeleton(
        name="tiny",
        image_size=24,
        stem_kernel=3,
        stem_width=6,
        stem_pool=False,
        residual_widths=(8, 12),
        bottlenecks=(4, 8),
        increments=(2, 4),
        groups=2,
        blocks=(1, 2),
        embedding=10,
    )


@pytest.fixture
def images():
    return torch.rand(8, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="session")
def faces():
    """Twelve people of two groups, eight noisy images each, 24 px."""
    rng = np.random.default_rng(0)
    people = rng.integers(0, 256, (12, 24, 24, 3))
    noisy = np.clip(people[:, None] + rng.normal(0, 40, (12, 8, 24, 24, 3)), 0, 255).astype(np.uint8)
    identities = np.repeat([f"p{person:02d}" for person in range(12)], 8)
    groups = np.repeat(["a", "b"] * 6, 8)
    return FaceSet(noisy.reshape(-1, 24, 24, 3), np.arange(96), identities, groups, 24)


@pytest.fixture
def about():
    """What a checkpoint's record says beside its hash: of a step, of so many."""

    def fields(step, steps, **changed):
        machine = {"device": "cpu", "threads": 1, "ranks": 1}
        return {"step": step, "steps": steps, "seconds": 1.5, "loss": None, "configuration": "", **machine, **changed}

    return fields


@pytest.fixture
def dualfair(monkeypatch, capsys):
    """The command line as a user types it: returns the exit status and what was printed."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["dualfair", *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as leaving:
            status = leaving.code or 0
        printed = capsys.readouterr()
        return SimpleNamespace(status=status, out=printed.out, err=printed.err)

    return call
