"""Options of commands, made from configuration dataclasses: one field is one option, so the two cannot drift apart."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import get_type_hints

import click

from dualfair.runs.config import presets
from dualfair.runs.options import CHECKPOINT_MINUTES, RESAMPLES
from dualfair.supernet.training.recipe import AUTO, STEPS

PATH = click.Path(path_type=Path)


def config_options(*configs: type, without: Collection[str] = ()) -> Callable:
    """Decorate a click command with one option for every field of the configs but some, and with --preset.

    Of fields with the same name the first is the option. An option that is not given is passed as None, so that a
    preset or the dataclass can decide.
    """

    text = f"TOML file with any of these options as name = value, or one of: {', '.join(presets())}."
    options = {}
    for config in configs:
        hints = get_type_hints(config)
        for field in dataclasses.fields(config):
            if "help" in field.metadata and field.name not in without:
                options.setdefault(field.name, _option_of(field, hints[field.name]))

    def decorate(command: Callable) -> Callable:
        for option in (click.option("--preset", help=text), *reversed(options.values())):
            command = option(command)
        return command

    return decorate


def _option_of(field: dataclasses.Field, kind: type) -> Callable:
    flag = field.name.replace("_", "-")
    stated = field.default in ("", None) or "[default:" in field.metadata["help"]
    default = "" if stated else f"  [default: {field.default}]"
    text = field.metadata["help"] + default
    if kind is bool:
        return click.option(f"--{flag}/--no-{flag}", field.name, default=None, help=text)
    return click.option(f"--{flag}", field.name, type=kind, default=None, help=text)


def images_option(*, required: bool) -> Callable:
    """Decorate a click command with --faces, which --images names too: the folder of a set of either kind."""
    text = "A folder of faces or of labelled images."
    return click.option("--faces", "--images", "faces", type=PATH, required=required, help=text)


def device_option(command: Callable) -> Callable:
    """Add --device to a command."""
    text = "cpu, cuda, cuda:1, ...; auto takes CUDA where there is one.  [default: auto]"
    return click.option("--device", default="auto", help=text)(command)


def machine_options(command: Callable) -> Callable:
    """Add --device and --deterministic to a command."""
    text = "Only operations that give the same result in every run, or an error; for CUDA, a CPU has no others."
    return device_option(click.option("--deterministic", is_flag=True, help=text)(command))


def machine(given: Mapping[str, object]) -> dict[str, object]:
    """What a user gave of `machine_options`, for `runs.devices.joined` and all that take its options."""
    return {name: given[name] for name in ("device", "deterministic")}


def training_options(command: Callable) -> Callable:
    """Add --checkpoint-every and --step to a command."""
    minutes = click.option(
        "--checkpoint-every", default=CHECKPOINT_MINUTES, show_default=True, help="Minutes between checkpoints."
    )
    text = (
        "How a step goes: paths, one path after the other; graph, all at once, recorded on CUDA and replayed without "
        "Python; they differ in rounding only."
    )
    step = click.option("--step", type=click.Choice(STEPS), default=AUTO, show_default=True, help=text)
    return minutes(step(command))


def resamples_option(command: Callable) -> Callable:
    """Add --resamples to a command."""
    text = "Bootstrap resamples of an interval."
    return click.option("--resamples", default=RESAMPLES, show_default=True, help=text)(command)
