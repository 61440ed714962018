"""Variants of supernet training and scoring that a study compares, from a TOML file with a table each."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dualfair.runs.config import changed, read_toml
from dualfair.runs.options import ProtocolOptions, TrainOptions
from dualfair.supernet.training.recipe import Recipe

COMPARISON = Path(__file__).parent / "comparison.toml"
"""The comparison by which the defaults were chosen."""

BASE = "default"
"""The variant that differs in nothing; all others are compared with it."""

_TRAIN = ("sampler",)
_PROTOCOL = ("calibrate", "people")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to train supernets and to score by their weights."""

    name: str
    train: TrainOptions
    recipe: Recipe
    protocol_options: ProtocolOptions

    @property
    def training(self) -> tuple[TrainOptions, Recipe]:
        """What decides about the weights: variants that are equal in it share their supernets."""
        return self.train, self.recipe


def variants_of(
    train: TrainOptions, recipe: Recipe, protocol_options: ProtocolOptions, path: Path | None = None
) -> list[Variant]:
    """What the options say, and the variants of a file, or of the COMPARISON where `path` is its bare name."""
    base = Variant(BASE, train, recipe, protocol_options)
    if path is None:
        return [base]
    return [base, *read_variants(COMPARISON if str(path) == COMPARISON.stem else path, base)]


def read_variants(path: Path, base: Variant) -> list[Variant]:
    """The variants of a file: every table [name] holds what differs from `base`.

    It may set any field of the recipe, `sampler`, `calibrate` and `people`: none of them changes what is true of a
    network that is trained by itself. Raises ValueError for a file that is not TOML, or an option or a value that is
    not one of these.
    """
    variants = []
    for name, values in read_toml(path, "variants").items():
        if not isinstance(values, dict):
            raise ValueError(f"variants {path}: {name} = {values!r} stands in no table; write [name of the variant]")
        if name == BASE:
            raise ValueError(f"variants {path}: [{BASE}] is the name of what the options say; take another")
        try:
            variants.append(_variant(name, values, base))
        except ValueError as error:
            raise ValueError(f"variants {path}: [{name}] {error}") from None
    return variants


def _variant(name: str, values: dict[str, object], base: Variant) -> Variant:
    known = (*_TRAIN, *_PROTOCOL, *(field.name for field in dataclasses.fields(Recipe)))
    unknown = [option for option in values if option not in known]
    if unknown:
        raise ValueError(f"cannot set {unknown[0]}; choose from {', '.join(known)}")
    code = next((value for value in values.values() if isinstance(value, str) and ":" in value), None)
    if code:
        raise ValueError(f"cannot name {code!r}, which would run code; a file may not")
    return Variant(
        name, changed(base.train, values), changed(base.recipe, values), changed(base.protocol_options, values)
    )


def by_training(variants: Sequence[Variant]) -> dict[tuple[TrainOptions, Recipe], str]:
    """The name of the first variant of every training: that of its supernets."""
    names: dict[tuple[TrainOptions, Recipe], str] = {}
    for variant in variants:
        names.setdefault(variant.training, variant.name)
    return names
