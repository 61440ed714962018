"""What commands share: lines and bars on the terminal, and how a stage is watched and stopped."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import click

from dualfair.commands.interruption import Interrupted, finishing_first
from dualfair.runs.devices import keep_freed_memory
from dualfair.runs.watching import Progress, ShowProgress, Stopped, never


def say(text: str = "") -> None:
    """Print a line, above a progress bar where there is one."""
    tqdm = sys.modules.get("tqdm")
    with tqdm.tqdm.external_write_mode() if tqdm else nullcontext():
        click.echo(text)


def say_once(text: str) -> None:
    """Print a line once, not once a rank."""
    if int(os.environ.get("RANK", "0")) == 0:
        say(text)


@contextmanager
def bars() -> Iterator[ShowProgress]:
    """What shows progress as a bar on a terminal, one a piece of work."""
    bar, work = None, ""

    def show(progress: Progress) -> None:
        nonlocal bar, work
        if bar is None or progress.work != work:
            from tqdm import tqdm

            close()
            work = progress.work
            first = progress.done - 1
            bar = tqdm(total=progress.total, initial=first, desc=work, unit=progress.unit, leave=False, disable=None)
        bar.total = progress.total
        bar.set_postfix_str(progress.note, refresh=False)
        bar.update(progress.done - bar.n)
        if progress.done == progress.total:
            close()

    def close() -> None:
        nonlocal bar
        if bar is not None:
            bar.close()
            bar = None

    try:
        yield show
    finally:
        close()


@contextmanager
def watching(*, finishing: bool = False) -> Iterator[dict[str, Callable]]:
    """How a command watches what it calls: `say`, `progress`, and with `finishing` also `should_stop`.

    With `finishing` a first signal only asks the work to stop where that is safe, and the command ends with the exit
    status that the signal asks for; without, it ends at once. Training that leaves the finite numbers is told in a
    line.
    """
    keep_freed_memory()
    with bars() as progress, finishing_first() if finishing else nullcontext(never) as should_stop:
        try:
            yield {"say": say, "progress": progress, **({"should_stop": should_stop} if finishing else {})}
        except Stopped:
            raise Interrupted(should_stop.signal) from None
        except RuntimeError as error:
            from dualfair.supernet.training.trainer import NonFinite

            if not isinstance(error, NonFinite):
                raise
            raise click.ClickException(str(error)) from error
        if finishing and should_stop():
            raise Interrupted(should_stop.signal)
