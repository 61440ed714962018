"""What `dualfair evaluate` says of one network, or of one system's embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dualfair.runs.records.codec import Record, keyed


@dataclass(frozen=True, kw_only=True)
class EvaluationReport(Record):
    """Every measure with its n, its interval over people and its variant, section by section.

    `faces` says which images were taken, `options` how, `intervals` by which bootstrap; `notes` are sentences on what
    could not be measured. A section is None where it was not asked for, or could not be measured:
    `gallery` (who is enrolled), `identification` (error, ranks and CMC, of everyone and of every group), `disparities`,
    `open_set`, `verification`, and `bpc` (the bias performance coefficient against a baseline).
    """

    name: str
    training_seed: int
    faces: str
    images: int
    identities: int
    group_column: str | None
    options: Mapping[str, object]
    intervals: str
    notes: tuple[str, ...]
    gallery: Mapping[str, object] | None = keyed("gallery", omitted=True, default=None)
    identification: Mapping[str, object] | None = keyed("identification", omitted=True, default=None)
    disparities: Sequence[Mapping[str, object]] | None = keyed("disparities", omitted=True, default=None)
    open_set: Mapping[str, object] | None = keyed("open_set", omitted=True, default=None)
    verification: Mapping[str, object] | None = keyed("verification", omitted=True, default=None)
    bpc: Sequence[Mapping[str, object]] | None = keyed("bpc", omitted=True, default=None)
