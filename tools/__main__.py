"""The command `dualfair`: subcommands are imported when they are called, so that --help answers at once."""

import importlib
import os
import sys
from pathlib import Path

import click

from dualfair.commands.console import Interrupted, on_signals

COMMANDS = {
    "faces": "Make a faces folder: generate faces, or import your own.",
    "images": "Make a folder of labelled images from your own, and check it.",
    "plan": "Say what a run will cost, before it is spent.",
    "train": "Stage 1: train a strictly fair supernet.",
    "search": "Stage 2: evolve subnets on inherited weights.",
    "compare": "Compare NSGA-II with random search on a run's scores.",
    "retrain": "Stage 3: train chosen networks by themselves.",
    "tune": "Search networks and hyper-parameters by successive halving.",
    "correlate": "Stage 4: compare inherited with standalone ranking.",
    "shelf": "Compare searched networks with backbones of timm's.",
    "study": "Rank the same networks by several supernets, trained in several ways.",
    "report": "What runs found, as one page with all its numbers.",
    "status": "What of a run is finished, what is missing, what it will cost.",
    "evaluate": "Every measure of networks, or of any system's embeddings.",
    "transfer": "Retrained networks on other faces and by other attributes.",
    "quantise": "Trained networks in fewer bits: what that does to groups.",
    "repair": "An unfair classifier mended, by several strategies side by side.",
    "grow": "Depth and width by growing networks, then their layers.",
    "export": "A trained network for production: timm, ONNX or plain weights.",
    "show": "Describe and draw a network, with its sizes and costs.",
    "check": "Tell what is wrong with a space, head or disparity of your own.",
    "bench": "Measure speed and memory side by side on this machine.",
    "doctor": "Check this machine, and test DualFair on it for some seconds.",
    "demo": "All four stages on generated faces, a few CPU minutes.",
}
"""The commands with a word on each."""
ROOMS = {
    "stages": ("train", "search", "retrain", "correlate", "evaluate", "export"),
    "looking": ("status", "report", "show"),
    "machine": ("plan", "check", "bench"),
}
"""The modules of `commands` that hold several commands, each a function of its name; any other one has its own."""
TOGETHER = ("train", "search", "retrain", "tune", "transfer", "quantise", "grow", "evaluate")
"""Commands that the ranks of torchrun share."""


def load_command(name: str) -> click.Command:
    """The command of a name, whose module is imported."""
    room = next((room for room, names in ROOMS.items() if name in names), None)
    module = importlib.import_module(f"dualfair.commands.{room or name}")
    return getattr(module, name if room else "command")


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line help without importing them."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and name not in TOGETHER:
            raise click.UsageError(f"'dualfair {name}' runs in one process; start it without torchrun")
        return load_command(name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])


@click.group(cls=LazyGroup)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="dualfair")
def cli(debug: bool) -> None:
    """Search face recognition networks that are accurate and treat groups of people alike."""


def main() -> None:
    """Run the command line. A user's mistake or a full disk ends in one line and exit status 2, an interrupted run in
    130 (Ctrl-C) or 143 (SIGTERM)."""
    try:
        with on_signals():
            cli.main(prog_name="dualfair", standalone_mode=False)
    except (Interrupted, click.Abort) as leaving:
        click.echo("\nInterrupted. The same command continues from what is on disk.", err=True)
        sys.exit(leaving.exit_status if isinstance(leaving, Interrupted) else 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (ValueError, OSError, RuntimeError) as error:
        # torch refuses with a RuntimeError what --deterministic forbids; any other one is a fault of ours.
        if "--debug" in sys.argv[1:] or (isinstance(error, RuntimeError) and "--deterministic" not in sys.argv[1:]):
            raise
        click.echo(f"Error: {_one_line(error)}", err=True)
        sys.exit(2)


def _one_line(error: Exception) -> str:
    # Imported here, so that `dualfair doctor` starts where another package hides ours and can say so.
    from dualfair.supernet.files import NO_ROOM, on_one_line

    if isinstance(error, OSError) and error.errno in NO_ROOM:
        what = error.filename or "a file"
        return f"{what} cannot be written ({os.strerror(error.errno)}); make room and run the same command again"
    if isinstance(error, (FileExistsError, NotADirectoryError)) and error.filename:
        place = Path(os.fsdecode(error.filename))
        file = next((path for path in (place, *place.parents) if path.is_file()), place)
        return on_one_line(f"{file} is a file, and a folder is expected there; choose another place")
    return on_one_line(" ".join(str(error).split()))


if __name__ == "__main__":
    main()
