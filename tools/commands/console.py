"""What commands share: lines and bars on the terminal, how a stage is watched, and how a signal stops it where that is
safe."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import click

from dualfair.runs.devices import keep_freed_memory
from dualfair.runs.watching import Progress, ShowProgress, Stopped
from dualfair.supernet.files import on_one_line

EXIT_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""128 + number of the signal, as shells have it."""


class Interrupted(BaseException):
    """The user or the system asked the command to stop; no `Exception`, so that nothing takes it for a fault."""

    def __init__(self, number: int | None) -> None:
        """`number` of the signal; None where another rank got it."""
        super().__init__(signal.Signals(number).name if number else "another rank was asked to stop")
        self.exit_status = EXIT_STATUS[number or signal.SIGTERM]


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line, or say what went wrong, above a progress bar where there is one; what would break it is escaped."""
    tqdm = sys.modules.get("tqdm")
    with tqdm.tqdm.external_write_mode() if tqdm else nullcontext():
        click.echo(on_one_line(text), err=err)


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
            bar = tqdm(initial=progress.done - 1, desc=work, unit=progress.unit, leave=False, disable=None)
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
def on_signals(*, finishing: bool = False) -> Iterator[list[int]]:
    """Within, SIGTERM and Ctrl-C raise `Interrupted`; what is written is whole at any instant.

    With `finishing` the first one is only put into the list, so that the step at hand can be finished and saved, and a
    second Ctrl-C raises at once.
    """
    received: list[int] = []

    def receive(number: int, frame: object) -> None:
        if not finishing or number == signal.SIGINT in received:
            raise Interrupted(number)
        received.append(number)

    before = {number: signal.signal(number, receive) for number in EXIT_STATUS}
    try:
        yield received
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def watching(*, finishing: bool = False) -> Iterator[dict[str, Callable]]:
    """How a command watches what it calls: `say`, `progress`, and with `finishing` also `should_stop`.

    With `finishing` a first signal only asks the work to stop where that is safe, and the command ends with the exit
    status that the signal asks for; without, it ends at once. Training that leaves the finite numbers is told in a
    line.
    """
    keep_freed_memory()
    with bars() as progress, on_signals(finishing=finishing) as received:
        watch = {"say": say, "progress": progress, "should_stop": lambda: bool(received)}
        try:
            yield watch if finishing else {name: watch[name] for name in ("say", "progress")}
        except Stopped:
            raise Interrupted(received[0] if received else None) from None
        except RuntimeError as error:
            from dualfair.supernet.training.trainer import NonFinite

            if not isinstance(error, NonFinite):
                raise
            raise click.ClickException(str(error)) from error
        if received:
            raise Interrupted(received[0])
