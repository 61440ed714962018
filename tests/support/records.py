"""Results of stages as tests need them: whole records, with values for all that a test does not care about."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from dualfair.evaluation.protocol import GroupScores, Scores
from dualfair.evaluation.ranking_study import Ceiling, MeasureStudy, Rival
from dualfair.evaluation.statistics.ceiling import NoiseCeiling, TruthCeiling
from dualfair.evaluation.statistics.ranking import Estimate, RankingCorrelation
from dualfair.runs.layout import TrainingsLayout
from dualfair.runs.options import ConstraintOptions, ProtocolOptions, SearchOptions, TrainOptions
from dualfair.runs.records.ranking import RankingStudy, SampleStudy, TableStudy
from dualfair.runs.records.search import Chance, ConfirmedFront, Front, FrontNetwork, SearchConfig
from dualfair.runs.records.training import RetrainConfig, TrainConfig, TrainingResult
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.recipe import Recipe

GROUPS = (GroupScores("a", 24, 0.4, 1.5), GroupScores("b", 24, 0.6, 2.5))


def scores(error=0.5, disparity=1.0, groups=GROUPS, halves=(), **measures):
    """Scores of an error and a disparity; `measures` are further ones by name."""
    probes = sum(group.probes for group in groups)
    return Scores(
        error,
        disparity,
        probes,
        0,
        tuple(groups),
        {"error": error, "rank_disparity": disparity, **measures},
        tuple(halves),
    )


def training_result(label="101-101:cosface", seed=0, *, on_both=None, validation=None, test=None, **values):
    """The result of a training: the scores of either split, or `on_both`."""
    spec = TrainingSpec.of_label(label, seed)
    validation, test = validation or on_both or scores(), test or on_both or scores()
    return TrainingResult(
        spec, **{"params": 100, "macs": 1000, "seconds": 1.0, **values}, validation=validation, test=test
    )


def save_result(run: Path, result: TrainingResult, stage="retrain") -> Path:
    """Write a result where a run keeps it."""
    place = TrainingsLayout(Path(run) / stage).training(result.training)
    place.folder.mkdir(parents=True, exist_ok=True)
    result.write(place.result)
    return place.result


def made(kind: type, options: Mapping[str, object]):
    """An options dataclass with those of the `options` that it has."""
    return kind(**{name: value for name, value in options.items() if name in {field.name for field in fields(kind)}})


def train_config(faces: str = "../faces", faces_fingerprint: str = "f", **options: object) -> TrainConfig:
    """What a supernet is trained by, with `options` of TrainOptions and Recipe."""
    return TrainConfig(
        faces=faces,
        options=made(TrainOptions, options),
        recipe=made(Recipe, options),
        choices_digest="",
        faces_fingerprint=faces_fingerprint,
    )


def search_config(evaluations: int | None = 12, **options: object) -> SearchConfig:
    """What a search was asked for, with `options` of SearchOptions, ProtocolOptions and ConstraintOptions."""
    return SearchConfig.of(
        made(ProtocolOptions, options),
        options=made(SearchOptions, options),
        constraints=made(ConstraintOptions, options),
        evaluations=evaluations,
    )


def retrain_config(**options: object) -> RetrainConfig:
    """What standalone networks are trained by, with `options` of Recipe and ProtocolOptions."""
    protocol = made(ProtocolOptions, options)
    names = protocol.protocol().names
    return RetrainConfig(recipe=made(Recipe, options), protocol=protocol, names=names, weights="w")


def front_of(config: SearchConfig, networks: tuple[FrontNetwork, ...] = (), **more: object) -> Front:
    """The front of a search."""
    floor = {"raw pixels": 0.4, "an untrained network": 0.9}
    about = {"objectives": config.names.minimised, "images": 60, "errors_to_beat": floor, "confirmation": None}
    return Front(**{"config": config, "networks": networks, **about, **more})


def confirmed_front(networks: tuple[FrontNetwork, ...] = (), **more: object) -> ConfirmedFront:
    """A front that was measured on held-out identities; all of its networks stayed on it."""
    about = {
        "people": 10, "images": 60, "calibrate": 16, "resamples": 400, "candidates": 4, "random_subnets": 30,
        "survived": len(networks), "search_front": networks, "means": {}, "against_random": (),
    }  # fmt: skip
    return ConfirmedFront(**{**about, **more})


def chance(genotype: str, **more: object) -> Chance:
    """How a network fared against random ones: none of 30 was as good."""
    about = {
        "objective": "error", "value": 0.3, "low": 0.2, "high": 0.4, "as_good": 0, "random": 30, "p": 0.02,
        "verdict": "better than chance",
    }  # fmt: skip
    return Chance(**{**about, "genotype": Genotype.parse(genotype), **more})


def equal_scores(error: float, disparity: float, groups: tuple[str, ...] = ("a", "b"), probes: int = 100) -> Scores:
    """Scores that are the same in every group."""
    by_group = tuple(GroupScores(group, probes // max(len(groups), 1), error, 2 * error) for group in groups)
    measures = {"error": error, "rank_disparity": disparity}
    return Scores(error, disparity, probes, 0, by_group, measures, ())


def result_of(
    label: str, seed: int = 0, error: float = 0.2, disparity: float = 1.0, *, seconds: float = 10.0, **more: object
) -> TrainingResult:
    """The result of a training: an error on validation people, and 0.1 more on test people."""
    groups = more.pop("groups", ("a", "b"))
    values = {
        "training": TrainingSpec.of_label(label, seed), "params": None, "macs": None, "seconds": seconds,
        "validation": equal_scores(error, disparity, groups), "test": equal_scores(error + 0.1, disparity, groups),
    }  # fmt: skip
    return TrainingResult(**{**values, **more})


def measure_study(
    low: float = 0.2,
    high: float = 0.7,
    tau: float = 0.5,
    baselines: Mapping[str, float] = {"params": 0.123},
    n: int = 12,
) -> MeasureStudy:
    """A study of one measure with a tau, its interval, and baselines by their taus."""

    def correlation(value: float) -> RankingCorrelation:
        return RankingCorrelation(n, value, value, (low, high), 0.95, "BCa", 2000, 0, 0)

    nothing = Estimate(n, None, None, None, "not computed")
    ceiling = TruthCeiling(n, 2, 0.9, 0.75, (0.6, 0.8), 0.7, True, False)
    return MeasureStudy(
        n=n,
        correlation=correlation(tau),
        p=0.01,
        weighted_tau=None,
        top_k=None,
        regret=None,
        regret_at_random=None,
        noise_ceiling=NoiseCeiling(n, 2, 1, 0.8, 0.8, 0.8),
        ceiling=Ceiling(ceiling, None),
        baselines={name: Rival(correlation(value), nothing) for name, value in baselines.items()},
        beyond=None,
        conclusions=("ranks better than chance",),
    )


def ranking_study(networks: tuple[str, ...], study: MeasureStudy | None = None, **more: object) -> RankingStudy:
    """The ranking study of a run whose measures, on all people and in every sample, came to the same."""
    study = study or measure_study()
    sample = SampleStudy(networks, study.n, {"error": study, "rank_disparity": study}, None)
    table = TableStudy(networks, 2, {"random": sample, "all": sample})
    about = {"networks": networks, "seeds": 2, "left_out": (), "missing": (), "damaged": ()}
    measures = {"error, validation identities": study, "error, test identities": study}
    studies = {"validation identities": table, "test identities": table}
    return RankingStudy(**{**about, "measures": measures, "studies": studies, **more})
