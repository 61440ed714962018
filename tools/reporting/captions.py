"""Sentences beside figures and tables that say what is in them and what is not, from a run's data."""

from __future__ import annotations

from collections.abc import Mapping

from dualfair.presentation.format import FRONT, SUPERNET, counted


def who_is_drawn(run: Mapping) -> str:
    """Which marks of the search's chart rest on which people, and how many."""
    front, people = run["front"], run["people"].get("validation")
    who = f"{sum(people.values()):,} validation people" if people else "validation people"
    text = (
        f"A front is {FRONT}. All marks are networks with weights inherited from the supernet, {SUPERNET}. Dots and "
        f"rings: search scores, on {who} ({front['images']:,} images) that the supernet was not trained on."
    )
    if fresh := front["confirmation"]:
        text += (
            f" Squares and crosses: fresh scores, on {counted(fresh['people'], 'other person', 'other people')} "
            f"({fresh['images']:,} images), with intervals of 95 % over people."
        )
    return text


def untrained(run: Mapping) -> str:
    """Which networks of the search's own front were not trained from scratch; nothing where all were,."""
    trained = {network["genotype"] for network in run["networks"]}
    on_front = [row[0] for row in run["front"]["front"]["rows"] if "search" in row[1]]
    missing = [name for name in on_front if name not in trained]
    if not trained or not missing:
        return ""
    if len(on_front) == 1:
        return "The one network of the search's own front was not trained from scratch."
    whom = "None" if len(missing) == len(on_front) else f"Only {len(on_front) - len(missing)}"
    return f"Trained from scratch of the {len(on_front):,} networks of the search's own front: {whom.lower()}."


def reported_front(run: Mapping) -> str:
    """The front that the search reports: the one on fresh people where it was measured on such."""
    return "front on fresh people" if run["front"] and run["front"]["confirmation"] else "search's front"


def scores_counted(run: Mapping) -> str:
    """Why more scores were taken than networks searched."""
    counts = [row[1] for row in run["cost"]["spent"]["rows"] if row[0].startswith("search")]
    fresh = run["front"] and run["front"]["confirmation"]
    if not counts or not fresh or counts[0] <= run["front"]["evaluations"]:
        return ""
    again = f"{counted(fresh['candidates'], 'candidate')} and {fresh['random subnets']:,} random networks"
    return (
        f"Of the {counts[0]:,} scores {run['front']['evaluations']:,} are of networks that the search scored; the "
        f"others confirm it: {again} on fresh people, and those random ones on validation people too that the search "
        "had not met."
    )
