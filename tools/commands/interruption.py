"""SIGTERM and Ctrl-C: a stage ends where it is safe, and the command with the exit status that the signal asks for."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""128 + number of the signal, as shells have it."""


class Interrupted(BaseException):
    """The user or the system asked the command to stop; no `Exception`, so that nothing takes it for a fault."""

    def __init__(self, number: int | None) -> None:
        """`number` of the signal; None where another rank got it."""
        super().__init__(signal.Signals(number).name if number else "another rank was asked to stop")
        self.exit_status = EXIT_STATUS[number or signal.SIGTERM]


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Within, SIGTERM and Ctrl-C raise `Interrupted`. What is written is whole at any instant."""

    def leave(number: int, frame: object) -> None:
        raise Interrupted(number)

    with _handling(leave):
        yield


class Wish:
    """Whether a signal asked to stop, and which."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None


@contextmanager
def finishing_first() -> Iterator[Wish]:
    """Within, the first SIGTERM or Ctrl-C only makes a wish, so that the step at hand can be finished and saved.

    A second Ctrl-C raises `Interrupted` at once.
    """
    wish = Wish()

    def note(number: int, frame: object) -> None:
        if number == signal.SIGINT and wish.signal == signal.SIGINT:
            raise Interrupted(number)
        wish.signal = wish.signal or number

    with _handling(note):
        yield wish


@contextmanager
def _handling(handler: Callable[[int, object], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in EXIT_STATUS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
