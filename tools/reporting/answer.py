"""The answer of a run: which network to take, whether cheap scores rank as training does, whether the front held; and
what the numbers do not show."""

from collections.abc import Sequence
from dataclasses import dataclass

from dualfair.presentation.format import (
    FEW_PEOPLE,
    FRONT,
    SUPERNET,
    counted,
    decimals,
    listed,
    quoted,
    singular,
    spoken,
    two,
    with_interval,
)
from dualfair.reporting.choice import take, weak_measures
from dualfair.reporting.run import RunReport
from dualfair.reporting.statements import CONTRADICTED, NOT_SHOWN, PARTLY, SHOWN, UNKNOWN, Statement, Step
from dualfair.runs.records.ranking import MeasureStudy
from dualfair.runs.records.search import Chance
from dualfair.supernet.images import PEOPLE

BETTER = "better than chance"
"""The verdict of a confirmation on a network that random ones do not match."""
NEEDED = 0.05
"""The p from which on random networks are beaten."""
BESIDE_RANDOM = "--random 24 --seeds 3"


@dataclass(frozen=True)
class Answer:
    """Three statements on a run, and in sentences what its numbers do not show, most important first."""

    take: Statement
    cheap: Statement
    held: Statement
    not_believe: tuple[str, ...]


def answer(run: RunReport) -> Answer:
    """What the data of a run allow to say."""
    doubts = (*_about_the_choice(run), *_about_search_scores(run), *_about_measures(run), *_about_people(run))
    return Answer(take(run), cheap(run), held(run), doubts)


def cheap(run: RunReport) -> Statement:
    """The statement on the ranking study: what the intervals of its measures allow to say."""
    study = run.ranking
    if study is None:
        step = Step("Make a ranking study", run.command("correlate"))
        headline = "Whether the cheap scores can be believed is not known."
        return Statement(headline, UNKNOWN, ("They were held against no trainings.",), (step,))
    by_verdict: dict[str, list[str]] = {"above": [], "below": [], "open": []}
    for name, measure in study.measures.items():
        by_verdict[measure.verdict].append(name)
    names = {verdict: listed([spoken(name) for name in group]) for verdict, group in by_verdict.items()}
    parts, certainty = [], CONTRADICTED if names["below"] else NOT_SHOWN
    if names["above"]:
        far = listed([two(study.measures[name].correlation.tau) for name in by_verdict["above"]])
        parts.append(f"can be believed in {names['above']}, as far as a rank agreement of {far} goes")
        certainty = PARTLY if names["below"] or names["open"] else SHOWN
    if names["below"]:
        parts.append(f"are misleading in {names['below']}: they rank networks the wrong way round")
    if names["open"]:
        where = f" in {names['open']}" if parts else ""
        parts.append(f"are not shown to rank networks better than chance{where}")
    drawn = " drawn at random" if study.sample == "random" else ""
    networks = counted(max((measure.n for measure in study.measures.values()), default=0), "network")
    agreed = listed([f"{spoken(name)} {_agreement(measure)}" for name, measure in study.measures.items()])
    most = [_most(measure) for measure in study.measures.values() if measure.ceiling.truth.tau is not None]
    sentences = (
        f"Cheap scores, which are measured with weights inherited from the supernet ({SUPERNET}) without training each "
        f"network, were held against {counted(study.seeds, 'training')} of each of {networks}{drawn}.",
        f"Rank agreement on test {run.units}, 1 = same order, 0 = chance [95 % over networks]: {agreed}"
        + (f"; even an exact score could expect no more than {listed(most)}." if most else "."),
    )
    predicted = [name for name, of in study.measures.items() if of.predicted and of.predicted.better]
    if predicted:
        far = listed([two(study.measures[name].predicted.correlation.tau) for name in predicted])
        sentences += (
            f"Predicted from cheap scores, operations and costs by the other networks' trainings, "
            f"{listed([spoken(name) for name in predicted])} agrees with {far}, which is better.",
        )
    more = Step("Train more networks", run.command("retrain", BESIDE_RANDOM))
    steps = () if certainty == SHOWN else (more, Step("Hold the scores against them again", run.command("correlate")))
    if predicted and not (run.front and run.front.config.predicted):
        again = Step("Search by these predictions", run.command("search", f"--predictor {quoted(run.name)}"))
        steps = (again, *steps)
    return Statement(f"The cheap scores {'; they '.join(parts)}.", certainty, sentences, steps)


def _agreement(measure: MeasureStudy) -> str:
    tau, interval = measure.correlation.tau, measure.correlation.interval
    return "undefined" if tau is None else with_interval(tau, *(interval or (None, None)), two)


def _most(measure: MeasureStudy) -> str:
    ceiling = measure.ceiling.truth
    return with_interval(ceiling.tau, *(ceiling.interval or (None, None)), two)


def held(run: RunReport) -> Statement:
    """The statement on whether the search's front holds on people that the search has not seen."""
    if run.front is None:
        return Statement("Nothing was searched yet.", UNKNOWN, (), (Step("Search", run.command("search")),))
    fresh = run.front.confirmation
    if fresh is None:
        step = Step(f"Keep {run.units} to confirm the front", "dualfair train --confirm 0.5")
        text = f"It was not measured on {run.units} it has not seen."
        return Statement("Whether the search's front holds is not known.", UNKNOWN, (text,), (step,))
    of = len(fresh.search_front)
    holds = {0: "did not hold", of: "held"}.get(fresh.survived, "held in part")
    better = [spoken(chance.objective) for chance in fresh.against_random if chance.verdict == BETTER]
    random = f"beats random networks in {listed(better)}" if better else "is not shown to beat random networks"
    of_images = "" if run.units == "images" else f" ({fresh.images:,} images)"
    stayed = (
        f"{fresh.survived} of its {counted(of, 'network')} stayed on the front ({FRONT}) when measured on "
        f"{counted(fresh.people, singular(run.units), run.units)}{of_images} that the search has not seen."
    )
    whole, none = holds == "held" and better, holds == "did not hold" and not better
    certainty = SHOWN if whole else NOT_SHOWN if none else PARTLY
    judge = Step("Train its networks by themselves, beside random ones", run.command("retrain", BESIDE_RANDOM))
    headline = f"The search's front {holds} on fresh {run.units}, and {random}."
    names = listed([spoken(name) for name in run.front.config.predicted])
    predicted = [f"Of {names} it was predicted what a training would show."] if names else []
    sentences = (stayed, *predicted, *_against_random(fresh.against_random))
    return Statement(headline, certainty, sentences, () if certainty == SHOWN else (judge,))


def _against_random(chances: Sequence[Chance]) -> list[str]:
    """How many random networks do as well as the search's first one, said once for all measures that share it."""
    shared: dict[str, list[str]] = {}
    for chance in chances:
        random = f"{chance.as_good} of {counted(chance.random, 'random network')} were"
        text = f"{random} as good as the search's first"
        p = f"(one-sided p = {decimals(chance.p)}; {NEEDED:g} is needed)"
        if chance.p is None:
            text += ", as its fresh score is undefined"
        elif chance.as_good == 0 and chance.verdict != BETTER and chance.p > NEEDED:
            text += f", but {chance.random} are too few for proof {p}"
        else:
            text += f": {BETTER if chance.verdict == BETTER else f'not shown to be {BETTER}'} {p}"
        shared.setdefault(text, []).append(spoken(chance.objective))
    return [f"In {listed(names)}, {text}." for text, names in shared.items()]


def _about_the_choice(run: RunReport) -> list[str]:
    """Is the first choice better than the others?"""
    if run.standing is None:
        return []
    if run.standing.most < 2:
        return ["That the order of networks would come out alike again: each was trained once."]
    others, alike = run.standing.networks - 1, []
    for name in run.objectives:
        place = run.standing.places[name]
        if untold := others - len(place.better) - len(place.worse):
            alike.append(f"{untold} of {counted(others, 'other')} in {spoken(name)}")
    if not alike:
        return []
    first = run.choice.chosen[0].label
    return [f"That {first} is better or worse than these, which test {run.units} do not tell from it: {listed(alike)}."]


def _about_search_scores(run: RunReport) -> list[str]:
    if run.front is None:
        return []
    if run.front.confirmation is None:
        return ["The search's own scores: the best of many noisy scores is partly luck."]
    moves = [
        f"{spoken(name)} went from {decimals(both['search front'][0])} to {decimals(both['search front'][1])} (random "
        f"networks: {decimals(both['random subnets'][0])} to {decimals(both['random subnets'][1])})"
        for name, both in run.front.confirmation.means.items()
    ]
    return [f"The search's own scores of its front: on fresh {run.units} mean {' and mean '.join(moves)}."]


def _about_measures(run: RunReport) -> list[str]:
    if not (weak := weak_measures(run)):
        return []
    return [
        f"Differences that the search saw between networks: reliability on its {run.units} is {listed(weak)}, "
        f"{run.reliability.enough:g} is needed (0 = depends entirely on which {run.units}, 1 = not at all)."
    ]


def _about_people(run: RunReport) -> list[str]:
    few = [f"{group} {n}" for group, n in run.test_people.items() if n < FEW_PEOPLE]
    these = "these faces" if run.units == PEOPLE else "this set"
    text = f"Anything about {run.units} or groups that are not in {these}"
    if few:
        text += f", or about a group that rests on fewer than {FEW_PEOPLE} test {run.units}: {listed(few)}"
    return [
        f"That ± covers the choice of {run.units}: it covers repeated training only. Other {run.units} give other "
        "numbers.",
        f"{text}.",
    ]
