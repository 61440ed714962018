"""Which network to take, in sentences; or why the data support no choice, and what would."""

from dualfair.presentation.format import (
    capital,
    counted,
    decimals,
    listed,
    ordinal,
    quoted,
    singular,
    spoken,
    two,
    with_error,
)
from dualfair.reporting import statements
from dualfair.reporting.run import RunReport
from dualfair.reporting.statements import Statement, Step
from dualfair.runs.options import FEW_TO_TRAIN_ON
from dualfair.stages.recommendation import TrainedNetwork
from dualfair.supernet.images import PEOPLE


def take(run: RunReport) -> Statement:
    """The statement on which network to take.

    The data support no choice where the first choice is told from no other network (two standard errors of the
    difference on test people), and validation people tie, or a measure is not reliable on them, or it was trained once.
    A choice is shown where every other network is told apart as worse in some objective, and contradicted where one is
    better in some objective and worse in none.
    """
    if not run.choice.chosen:
        text = f"None was trained by itself and judged on test {run.units}."
        steps = (Step("Train some", run.command("retrain")),)
        return Statement("No network can be recommended yet.", statements.UNKNOWN, (text,), steps)
    first, of = run.choice.chosen[0], run.standing.networks
    best = run.network(first.label)
    spread = f"mean ± standard error of {best.seeds} trainings" if best.seeds > 1 else "trained once, without a spread"
    tested = f"on {_tested_on(run, best)} it has {_on_test_people(run, best)} ({spread})."
    details = [_by_group(best), _place(run), _chosen(run, best), *_others(run)]
    details = [capital(tested), *(text for text in details if text)]
    if of < 2:
        headline = f"Only {first.label} was trained by itself, so there is nothing to choose from."
        steps = (Step("Train others beside it", run.command("retrain", "--random 24 --seeds 3")),)
        return Statement(headline, statements.UNKNOWN, tuple(details), steps)
    worse = _apart(run, "worse")
    better = _apart(run, "better") - worse
    headline, certainty = f"Take {first.label}.", statements.PARTLY if worse else statements.NOT_SHOWN
    if len(worse) == of - 1:
        certainty = statements.SHOWN
    elif untold := _undecided(run, best):
        headline, certainty = f"These data support no choice among the {of} networks.", statements.UNDECIDED
        details[:1] = [untold, f"Where one must be taken, take {first.label}: {tested}"]
    elif better:
        who = listed(sorted(better)) if len(better) < 3 else f"{len(better)} others"
        headline = f"Take {first.label}, but on test {run.units} {who} did better."
        certainty = statements.CONTRADICTED
    return Statement(headline, certainty, tuple(details), () if certainty == statements.SHOWN else _more(run))


def weak_measures(run: RunReport) -> list[str]:
    """The objectives that are not reliable enough on the people of the search, with their reliability."""
    reliability = run.reliability
    return [
        f"{spoken(name)} {two(of.reliability)}"
        for name, of in (reliability.measures.items() if reliability else ())
        if name in run.objectives and of.reliability is not None and of.reliability < reliability.enough
    ]


def _undecided(run: RunReport, best: TrainedNetwork) -> str:
    """Why no choice is supported, in a sentence; "" where one is."""
    if _apart(run, "better") or _apart(run, "worse"):
        return ""
    reasons, tied = [], run.choice.chosen[0].tied
    if tied:
        reasons.append(f"{tied + 1} of them tie on validation {run.units}")
    if weak := weak_measures(run):
        reasons.append(f"the search's {run.units} tell networks apart too poorly (reliability of {listed(weak)})")
    measures = run.reliability.measures if run.reliability else {}
    unknown = [spoken(name) for name, of in measures.items() if name in run.objectives and of.reliability is None]
    if unknown:
        reasons.append(f"how well the search's {run.units} tell networks apart in {listed(unknown)} was not estimated")
    if best.seeds < 2:
        of_which = "each" if run.standing.most < 2 else f"of {best.label}"
        return f"{'; '.join([f'One training {of_which} cannot tell networks apart on test {run.units}', *reasons])}."
    untold = f"No other network is told apart from {best.label} on test {run.units}"
    return f"{untold}, and {listed(reasons)}." if reasons else ""


def _more(run: RunReport) -> tuple[Step, ...]:
    """What would support a choice."""
    seeds = max(3, 2 * run.standing.most)
    steps = [Step("Train each network with more seeds", run.command("retrain", f"--seeds {seeds}"))]
    if run.choice.chosen[0].tied or weak_measures(run):
        people = run.units == PEOPLE
        more, folder = ("faces of more people", "MORE-FACES") if people else (f"more {run.units}", "MORE-IMAGES")
        command = f"dualfair train --faces {quoted(folder)} --out {quoted(run.name + '-2')}"
        steps.append(Step(f"Import {more}, and begin with them", command))
        if people and _few_from_scratch(run):
            command = f"dualfair train --faces FACES --weights-from LARGER-RUN --out {quoted(run.name + '-2')}"
            steps.insert(
                0, Step("Start from a supernet of more people, generated ones if there are no others", command)
            )
    return tuple(steps)


def _few_from_scratch(run: RunReport) -> bool:
    """Whether training began with nothing, on fewer people than that takes."""
    people, config = run.setting.people.get("train", {}), run.setting.config
    return 0 < sum(people.values()) < FEW_TO_TRAIN_ON and not (config.weights_from or config.teacher)


def _apart(run: RunReport, way: str) -> set[str]:
    """The networks that are better or worse than the first choice on test people, in some objective."""
    return {label for name in run.objectives for label in getattr(run.standing.places[name], way)}


def _on_test_people(run: RunReport, network: TrainedNetwork) -> str:
    """What a network reaches on test people, in words with standard errors."""
    means = {name: network.test[name] for name in run.objectives}
    return listed([f"{spoken(name)} {with_error(of.mean, of.standard_error)}" for name, of in means.items()])


def _tested_on(run: RunReport, network: TrainedNetwork) -> str:
    """What a network was tested on: people by group, and images."""
    if not run.test_people:
        return f"{network.probes} images"
    groups = ", ".join(f"{group} {n:,}" for group, n in run.test_people.items())
    people = counted(sum(run.test_people.values()), f"test {singular(run.units)}", f"test {run.units}")
    of_images = "" if run.units == "images" else f"; {network.probes} images"
    return f"{people} ({groups}{of_images})"


def _by_group(network: TrainedNetwork) -> str:
    """The error of every group, where there are several."""
    errors = {group.group: group.error for group in network.groups}
    texts = [f"{group} {with_error(of.mean, of.standard_error)}" for group, of in errors.items()]
    return f"Error by group: {'; '.join(texts)}." if len(texts) > 1 else ""


def _place(run: RunReport) -> str:
    """The first choice's place on test people among all that were trained, and which of them are apart from it."""
    standing, places, apart = run.standing, [], []
    if standing.networks < 2:
        return ""
    for name in run.objectives:
        at = standing.places[name]
        places.append(f"{ordinal(at.place)} of {standing.networks} in {spoken(name)}")
        for way, labels in (("better", at.better), ("worse", at.worse)):
            if labels:
                verb = "is" if len(labels) == 1 else "are"
                apart.append(f"in {spoken(name)} {len(labels)} {verb} {way} ({', '.join(labels)})")
    begin = f"On test {run.units} it came {listed(places)}"
    unknown = [standing.places[name].unknown for name in run.objectives]
    if min(unknown) == standing.networks - 1:
        return f"{begin}; without several trainings each, no difference between them can be told from luck."
    differences = "none of the others is more than two standard errors of the difference away"
    if apart:
        differences = f"by more than two standard errors of the difference {'; '.join(apart)}"
    unsaid = f"; {max(unknown)} cannot be compared, trained once" if max(unknown) else ""
    return f"{begin}; {differences}{unsaid}."


def _chosen(run: RunReport, network: TrainedNetwork) -> str:
    """How validation people chose a network: by its values there, or, where these tie, not at all."""
    chosen, trained = run.choice.chosen[0], len(run.networks)
    people = run.setting.people.get("validation")
    who = f"the {sum(people.values()):,} validation {run.units}" if people else f"validation {run.units}"
    means = {name: network.validation[name].mean for name in run.objectives}
    values = ", ".join(f"{spoken(name)} {decimals(mean)}" for name, mean in means.items())
    if not chosen.tied:
        best = f", of {trained} trained by themselves the {listed(chosen.because)} there" if trained > 1 else ""
        return f"It was chosen on {who} ({values}{best}); test {run.units} had no say."
    did = "made no mistake" if means.get("error") == 0 else "had the very same values"
    return (
        f"Test {run.units} had no say in the choice: {chosen.tied + 1} of {trained} networks {did} on {who} "
        f"({values}), so these could not choose between them; the {_decided(network)} was taken."
    )


def _others(run: RunReport) -> list[str]:
    """What else may be taken, and for what."""
    sentences = []
    for other in run.choice.chosen[1:]:
        text = f"For the {listed(other.because)} there take {other.label}"
        same = f"; {counted(other.tied, 'other')} tied with it on validation {run.units}" if other.tied else ""
        sentences.append(f"{text} ({_on_test_people(run, run.network(other.label))}){same}.")
    return sentences


def _decided(network: TrainedNetwork) -> str:
    """What decided between networks that tie: the fewest multiply-accumulates, or names where these are unknown."""
    return "first by name" if network.macs is None else "smallest"
