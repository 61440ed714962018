"""What `dualfair tune` came to, as files and as lines of text."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from dualfair.evolution.halving import Turn
from dualfair.evolution.pareto import non_dominated
from dualfair.runs.protocol import ProtocolOptions
from dualfair.runs.trainings import SPLITS
from dualfair.supernet.files import write_csv, write_json
from dualfair.supernet.training.recipe import Recipe


def write_and_say(run, ladder, recipe: Recipe, protocol_options: ProtocolOptions) -> dict:
    """Write tune.json and trials.csv, print the table of the last rung; returns what tune.json holds."""
    found = result_of(ladder, protocol_options.protocol().disparity_name)
    write_json(ladder.folder / "tune.json", found)
    rows = [row | numbers for row in found["trials"] for numbers in row["rungs"]]
    titles = [name for name in rows[0] if name not in ("rungs", "on the front")]
    write_csv(ladder.folder / "trials.csv", [titles, *([row[name] for name in titles] for row in rows)])
    for line in lines_of(found, run.directory.path, recipe):
        run.directory.say(line)
    return found


def result_of(ladder, disparity: str) -> dict:
    """All trials with the numbers of every rung that they reached, and the front of the last rung.

    The front is that of the validation people, by which trials were chosen: the test people had no say in it.
    """
    reached: dict[int, list[Turn]] = defaultdict(list)
    for turn in sorted(ladder.taken()):
        reached[turn.trial].append(turn)
    last = len(ladder.rungs.budgets) - 1
    finished = [number for number, turns in reached.items() if turns[-1].rung == last]
    values = np.array([ladder.objectives(Turn(number, last)) for number in finished], dtype=float).reshape(-1, 2)
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    front = {finished[place] for place in finite[non_dominated(values[finite])].tolist()} if len(finite) else set()
    trials = []
    for number, turns in sorted(reached.items()):
        trial = ladder.trial(number)
        rungs = []
        for turn in turns:
            numbers = {"epochs": ladder.rungs.budgets[turn.rung]}
            for split in SPLITS:
                numbers |= dict(zip((f"{split} error", f"{split} disparity"), ladder.on(turn, split), strict=True))
            rungs.append(numbers | {"failed": ladder.result(turn).get("failed", "")})
        about = {"trial": number, "genotype": str(trial.genotype), "optimizer": trial.optimizer, "lr": trial.lr}
        trials.append({**about, "rungs": rungs, "on the front": number in front})
    spent = sum(rung["epochs"] for trial in trials for rung in trial["rungs"])
    return {"disparity": disparity, "rungs": list(ladder.rungs.budgets), "epochs spent": spent, "trials": trials}


def lines_of(found: dict, run, recipe: Recipe) -> list[str]:
    """The trials that reached the last rung, by validation error, what it cost, and what to do next."""
    from dualfair.stages.search_output import aligned

    last, name = found["rungs"][-1], found["disparity"].replace("_", " ")
    top = [(trial, trial["rungs"][-1]) for trial in found["trials"] if trial["rungs"][-1]["epochs"] == last]
    top.sort(key=lambda pair: pair[1]["validation error"])
    head = ["genotype", "optimizer", "lr", "val error", f"val {name}", "test error", f"test {name}", "front"]
    rows = [head]
    for trial, numbers in top:
        cells = [trial["genotype"], trial["optimizer"], f"{trial['lr']:g}"]
        cells += [f"{numbers[f'{split} {what}']:.3f}" for split in SPLITS for what in ("error", "disparity")]
        rows.append([*cells, "yes" if trial["on the front"] else ""])
    reached = [sum(len(trial["rungs"]) > rung for trial in found["trials"]) for rung in range(len(found["rungs"]))]
    counts = ", ".join(f"{n} of {epochs:g}" for n, epochs in zip(reached, found["rungs"], strict=True))
    lines = [
        *aligned(rows),
        f"front by the validation people; one training each. Trainings by epochs: {counts}; together "
        f"{found['epochs spent']:g} epochs, as many as {found['epochs spent'] / last:.3g} full trainings",
    ]
    if chosen := next((trial for trial, _ in top if trial["on the front"]), None):
        lines.append(
            f"Next: dualfair retrain --run {run} --genotype {chosen['genotype']} --optimizer {chosen['optimizer']} "
            f"--lr {chosen['lr']:g} --epochs {last:g} --seeds 4"
        )
    return lines
