"""TensorBoard files: a curve has every step once, however often its command is killed and repeated."""

import math
from collections.abc import Collection, Mapping
from pathlib import Path

EVENTS = "events.out.tfevents.*"
"""The files that TensorBoard reads in a folder; all of a folder's are one of its runs."""
OUTCOME = ".outcome"
"""What the file with a training's outcome ends with."""


def open_board(folder: Path, after: int = 0):
    """A SummaryWriter that continues the curves of a folder behind step `after`; for 0 they begin anew.

    Continued, what was written of later steps is no longer shown. Anew, the event files that lie there are deleted:
    what is replayed need not have the same steps.
    """
    from torch.utils.tensorboard import SummaryWriter

    if not after:
        _delete(folder, EVENTS)
    return SummaryWriter(str(folder), purge_step=after + 1 if after else 0)


def lay_out(board, category: str, charts: Mapping[str, str]) -> None:
    """Show charts of several curves under "custom scalars": by title, a regular expression of the curves' tags.

    Tags with round brackets are matched but not drawn there.
    """
    board.add_custom_scalars({category: {title: ["Multiline", [tags]] for title, tags in charts.items()}})
    board.flush()


def write_outcome(
    folder: Path,
    hyper_parameters: Mapping[str, str | float | bool],
    outcome: Mapping[str, float | None],
    step: int,
    first: Collection[str] = (),
) -> None:
    """What a finished training came to: a row under "hparams", and a point at `step` for every number by name.

    It is in a file of its own, so that writing it again replaces it. Numbers that are None or not finite are left out.
    The hyper-parameters `first` are the columns to begin with; TensorBoard shows five before it is asked for more.
    """
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    _delete(folder, EVENTS + OUTCOME)
    words = {name: _word(value) for name, value in hyper_parameters.items()}
    with SummaryWriter(str(folder), filename_suffix=OUTCOME) as board:
        # Not add_hparams: it would make a folder, which TensorBoard takes for another run.
        experiment, start, end = hparams(words, dict(outcome))
        for summary in (_with_first(experiment, first), start, end):
            board.file_writer.add_summary(summary)
        for name, value in outcome.items():
            if value is not None and math.isfinite(value):
                board.add_scalar(name, value, step)


def _with_first(experiment, first: Collection[str]):
    """The summary of an experiment in which the parameters `first` stand before the others."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    about = experiment.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(about.content)
    for info in content.experiment.hparam_infos:
        info.differs = info.name in first
    about.content = content.SerializeToString()
    return experiment


def _word(value: str | float | bool) -> str | float:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _delete(folder: Path, pattern: str) -> None:
    for path in sorted(folder.glob(pattern)):
        path.unlink()
