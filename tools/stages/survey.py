"""Surveys: which backbones are trained, with which heads and by which recipes, as a TOML file. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dualfair.runs.config import changed, read_toml
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.genotype import HEAD_NAMES
from dualfair.supernet.training.recipe import Recipe

SURVEYS = Path(__file__).parent / "surveys"
"""The folder of the surveys that come with the package."""


@dataclass(frozen=True)
class Survey:
    """Every backbone with every head by every recipe.

    `backbones` are names of timm's. A recipe is the fields that it changes, as (field, value) pairs; without `recipes`
    there is the one that changes nothing.
    """

    backbones: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    recipes: tuple[tuple[tuple[str, object], ...], ...] = ((),)


def surveys() -> list[str]:
    """Names of the surveys that come with the package."""
    return sorted(file.name.removesuffix(".toml") for file in SURVEYS.iterdir() if file.name.endswith(".toml"))


def read_survey(survey: str) -> Survey:
    """One of `surveys` by its name, or a TOML file with `backbones`, optional `heads`, and tables [[recipes]].

    Raises ValueError naming what in the file is wrong.
    """
    path = SURVEYS / f"{survey}.toml" if survey in surveys() else Path(survey)
    values = read_toml(path, "survey")
    names = ("backbones", "heads", "recipes")
    for name in values:
        if name not in names:
            raise ValueError(f"survey {path}: unknown name {name[:60]!r}; known: {', '.join(names)}")
    backbones = _texts(path, values, "backbones", None)
    heads = _texts(path, values, "heads", HEAD_NAMES)
    recipes = values.get("recipes", [{}])
    if not isinstance(recipes, list) or not recipes or not all(isinstance(table, dict) for table in recipes):
        raise ValueError(f"survey {path}: recipes must be tables [[recipes]] of recipe options")
    try:
        for name in backbones:
            Backbone(name, HEAD_NAMES[0])
        if strange := [head for head in heads if head not in HEAD_NAMES]:
            known = ", ".join(HEAD_NAMES)
            raise ValueError(f"unknown head {strange[0][:40]!r}; known: {known}; name your own with --head")
        for table in recipes:
            _check(table)
    except ValueError as error:
        raise ValueError(f"survey {path}: {error}") from None
    return Survey(backbones, heads, tuple(tuple(table.items()) for table in recipes))


def _texts(path: Path, values: dict, name: str, default: tuple[str, ...] | None) -> tuple[str, ...]:
    texts = values.get(name, default)
    if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"survey {path}: {name} must be a list of names, such as {name} = ['...']")
    return tuple(dict.fromkeys(texts))


def _check(table: dict) -> None:
    fields = Recipe.__dataclass_fields__
    for name in table:
        if name not in fields:
            raise ValueError(f"unknown recipe option {name[:60]!r}; known: {', '.join(fields)}")
    changed(Recipe(), table)
