"""What the trainings of a run began with, in sentences: weights of other networks, and a teacher."""

from dualfair.presentation.format import spoken
from dualfair.runs.layout import StageLayout
from dualfair.runs.records.training import RetrainConfig, TeacherResult, TrainConfig
from dualfair.runs.run_files import RunFiles


def beginnings(files: RunFiles) -> tuple[str, ...]:
    """What the supernet and the networks by themselves began with; none where they learnt from scratch by labels."""
    layout = files.layout
    stages: tuple[tuple[str, StageLayout, type[TrainConfig] | type[RetrainConfig]], ...] = (
        ("The supernet", layout.train, TrainConfig),
        ("Networks by themselves", layout.retrain, RetrainConfig),
    )
    return tuple(sentence for who, stage, kind in stages if (sentence := _beginning(files, who, stage, kind)))


def _beginning(files: RunFiles, who: str, stage: StageLayout, kind: type[TrainConfig] | type[RetrainConfig]) -> str:
    config, parts = files.record(kind, stage.config), []
    if config and config.weights_from:
        parts.append(f"started from the weights of {config.weights_from.place}")
    if config and config.teacher:
        worth = files.record(TeacherResult, stage.teacher)
        parts.append(f"learnt from the teacher {config.teacher.place}{_worth(worth)}")
    return f"{who} {', and '.join(parts)}." if parts else ""


def _worth(result: TeacherResult | None) -> str:
    """What a teacher comes to on test people."""
    if result is None:
        return ""
    others = {name: value for name, value in result.test.measures.items() if name != "error"}
    measured = ", ".join(f"{spoken(name)} {value:.3f}" for name, value in others.items())
    return (
        f", whose own error on test people is {result.test.error:.3f} ({measured or 'no other measure'}, "
        f"n = {result.test.probes:,}): students come near what it confuses"
    )
