"""What a search says before it has results: its task, what is to beat, and whether its measures can be searched on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dualfair.evaluation.metrics.identification import error, ranks
from dualfair.evaluation.scoring.baseline import pixel_embeddings
from dualfair.evaluation.scoring.scorer import InheritedScorer, population_embeddings
from dualfair.evolution.archive import Archive, Evaluation
from dualfair.runs.devices import seeded
from dualfair.runs.distributed import in_words
from dualfair.runs.protocol import ProtocolOptions
from dualfair.runs.records.search import SearchReliability
from dualfair.runs.trained_run import TrainedRun, calibration_images
from dualfair.stages.constraints import NetworkConstraints
from dualfair.stages.searchability import ENOUGH, searchability, sentences
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.network import build
from dualfair.supernet.space import SearchSpace

FREE = ("raw pixels", "an untrained network")
"""What costs nothing and has an error to beat."""


def announce(
    run: TrainedRun,
    scorer: InheritedScorer,
    archive: Archive,
    floor: dict[str, float],
    how: str,
    costs: NetworkConstraints | None,
    starts: Sequence[Genotype],
) -> None:
    """Say what is searched, `how`, on whom, within which limits, from which networks on, and what is to beat."""
    space, faces, say = run.setting.space, scorer.faces, run.directory.say
    say(
        f"Search: {how} of space {space.name} ({space.size:,}); minimise {', '.join(scorer.objectives)} on "
        f"{len(faces):,} images of {faces.identity_count} unseen people; {in_words(run.processes)}"
    )
    if archive.others:
        say(f"        {archive.others} scores measured with other weights, settings or people are kept, not used")
    say("        to beat: error " + ", ".join(f"{value:.3f} of {name}" for name, value in floor.items()))
    if costs:
        say(f"        within limits: {costs.in_words}; networks beyond are not scored")
    if starts:
        say(f"        begins with {', '.join(map(str, starts))}")


def floor_errors(run: TrainedRun, protocol_options: ProtocolOptions, faces: FaceSet) -> dict[str, float]:
    """Errors on faces that cost nothing: of raw pixels, and of an untrained network of the space."""
    with seeded(0):
        network = build(_plain(run.setting.space), run.setting.skeleton).to(run.device)
    calibration = calibration_images(run, protocol_options.calibrate)
    untrained = population_embeddings(network.eval(), [network.genotype], faces, calibration)[network.genotype]
    embeddings = (pixel_embeddings(faces), untrained)
    return {name: error(ranks(of, faces.identities)) for name, of in zip(FREE, embeddings, strict=True)}


def _plain(space: SearchSpace) -> Genotype:
    """DPN's own block everywhere where a space has it, otherwise the space's first network."""
    vanilla = Genotype.parse(f"101:{space.heads[0]}").repeat(space.blocks)
    return vanilla if vanilla in space else space.decode([0] * len(space.sizes))


def say_searchability(
    run: TrainedRun, scorer: InheritedScorer, evaluations: Iterable[Evaluation], random: Sequence[Genotype]
) -> None:
    """Say, and keep as a record, which measures tell apart the `random` subnets of evaluations."""
    faces = scorer.faces
    scored = {evaluation.genotype: evaluation.values for evaluation in evaluations}
    rows = np.array([scored[genotype] for genotype in random]).reshape(-1, len(scorer.columns))
    values = dict(zip(scorer.columns, rows.T, strict=True))
    people = {group: len(set(faces.identities[faces.groups == group].tolist())) for group in faces.group_names}
    measures = searchability(values, scorer.protocol.measures, faces.identity_count)
    reliability = SearchReliability(people, ENOUGH, measures)
    reliability.write(run.directory.layout.search.reliability)
    for line in sentences(reliability, scorer.protocol.disparity_name):
        run.directory.say(line)
