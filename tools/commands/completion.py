"""`dualfair completion`: the script by which a shell completes commands, options and values."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from functools import partial

import click
from click.shell_completion import CompletionItem, get_completion_class

from dualfair.runs.config import presets

INSTALL = {
    "bash": 'put  eval "$(dualfair completion bash)"  into ~/.bashrc (bash 4.4 or later)',
    "zsh": 'put  eval "$(dualfair completion zsh)"  into ~/.zshrc, below compinit',
    "fish": "dualfair completion fish > ~/.config/fish/completions/dualfair.fish",
}

FOLDERS = ("faces", "run", "out")
"""Options that name a folder."""


@click.command()
@click.argument("shell", type=click.Choice(list(INSTALL)))
def command(shell: str) -> None:
    """Print the completion script for SHELL; a comment in it says how it is installed."""
    dualfair = click.get_current_context().find_root().command
    script = get_completion_class(shell)(dualfair, {}, "dualfair", "_DUALFAIR_COMPLETE").source().strip()
    comment = f"# To install: {INSTALL[shell]}"
    first, _, rest = script.partition("\n")
    # zsh reads the first line of a file to know whose completion it is.
    click.echo(f"{first}\n{comment}\n{rest}" if first.startswith("#compdef") else f"{comment}\n{script}")


class Suggesting(click.ParamType):
    """An option's type that has values to suggest; what it accepts stays that of the type `accepts`."""

    def __init__(self, accepts: click.ParamType, suggest: Callable[[str], list[CompletionItem]]) -> None:
        self.accepts, self.name, self.suggest = accepts, accepts.name, suggest

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        return self.accepts.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return self.suggest(incomplete)


def suggest_values(command: click.Command) -> click.Command:
    """The command, and those below it, with values to suggest for options that have a table or name a folder.

    Options that take one of a few values only suggest these by themselves.
    """
    for below in getattr(command, "commands", {}).values():
        suggest_values(below)
    for parameter in command.params:
        name = max(parameter.opts, key=len).removeprefix("--") if isinstance(parameter, click.Option) else ""
        if isinstance(parameter.type, (Suggesting, click.Choice)):
            continue
        if name in FOLDERS:
            parameter.type = Suggesting(parameter.type, lambda incomplete: [CompletionItem(incomplete, type="dir")])
        elif name in VALUES:
            parameter.type = Suggesting(parameter.type, partial(_beginning_with, name))
    return command


def _beginning_with(name: str, incomplete: str) -> list[CompletionItem]:
    """The values of an option by its name that begin so."""
    return [CompletionItem(value) for value in VALUES[name]() if value.startswith(incomplete)]


def _table(module: str, name: str) -> Callable[[], Iterable[str]]:
    """A table that is imported when it is asked for."""
    return lambda: getattr(importlib.import_module(module), name)


VALUES: dict[str, Callable[[], Iterable[str]]] = {
    "space": _table("dualfair.supernet.space", "SPACE_NAMES"),
    "skeleton": _table("dualfair.supernet.skeleton", "SKELETONS"),
    "disparity": _table("dualfair.evaluation.metrics.disparity", "DISPARITIES"),
    "sampler": _table("dualfair.supernet.training.sampling", "SAMPLERS"),
    "head": _table("dualfair.supernet.genotype", "HEAD_NAMES"),
    "preset": presets,
    # Which devices there are would take torch, and that takes seconds.
    "device": lambda: ("auto", "cpu", "cuda"),
}
"""The built-in values of an option by its name; any other, as `module:object`, stays allowed."""
