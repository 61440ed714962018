"""Ranks as processes that share one import of torch; torchrun itself is at work in tests/stages/test_ranks_together."""

import multiprocessing
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

SECONDS = 200


def run_ranks(work: Callable[..., None], size: int, path: Path) -> None:
    """Call `work(rank, size, store, path)` in so many processes of one group; each has to end well.

    The function has to be known by its name, so that a process can be told.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    ranks = [context.Process(target=_rank, args=(work, rank, size, path), daemon=True) for rank in range(size)]
    for process in ranks:
        process.start()
    deadline = time.monotonic() + SECONDS
    # One that fails leaves the others waiting for it.
    while any(process.is_alive() for process in ranks) and time.monotonic() < deadline:
        if any(process.exitcode for process in ranks):
            break
        time.sleep(0.02)
    statuses = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
        process.join()
    assert statuses == [0] * size, f"exit statuses {statuses}; None: still at work"


def _rank(work: Callable[..., None], rank: int, size: int, path: Path) -> None:
    torch.set_num_threads(1)
    store = distributed.FileStore(str(path.with_suffix(".store")), size)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=60))
    work(rank, size, store, path)
    # No rank leaves before the others are done with it.
    distributed.barrier()
    distributed.destroy_process_group()
