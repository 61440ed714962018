"""What a teacher is worth on a run's people: its error and disparity, which students come near."""

from dualfair.evaluation.answers import answered
from dualfair.evaluation.protocol import EvaluationProtocol, evaluate_faces
from dualfair.evaluation.scoring.device_ranks import counter_on
from dualfair.presentation.format import spoken
from dualfair.runs.devices import Workplace
from dualfair.runs.layout import StageLayout
from dualfair.runs.records.training import SPLITS, TeacherResult
from dualfair.runs.teacher import Teacher
from dualfair.runs.trained_run import Setting


def measure_teacher(
    place: Workplace, stage: StageLayout, teacher: Teacher, setting: Setting, protocol: EvaluationProtocol
) -> None:
    """Evaluate a teacher by the scorer of the search, say what it comes to, and leave the result in a stage."""
    scores = {}
    for split in SPLITS:
        faces = setting.splits[split]
        answers = answered(faces, teacher.of(faces), protocol.seed, counter_on(place.processes.device))
        scores[split] = evaluate_faces(answers, protocol)
    test = scores["test"]
    measures = ", ".join(f"{spoken(name)} {test.measures[name]:.3f}" for name in dict.fromkeys(protocol.names.measured))
    place.directory.say(f"       The teacher {teacher.place} has {measures} on test {setting.splits['test'].units}")
    if place.directory.leads:
        TeacherResult(teacher=teacher.origin, **scores).write(stage.teacher)
