"""Faces of people who do not exist, generated into a folder with a contact sheet."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dualfair.runs.watching import Progress, ShowProgress, silent
from dualfair.supernet.images.manifest import Manifest
from dualfair.supernet.images.store import FaceStore, StoreWriter
from dualfair.supernet.images.synthetic.people import SyntheticFaces, synthesize

PREVIEW = "preview.png"


def generate(config: SyntheticFaces, out: Path, progress: ShowProgress = silent) -> FaceStore:
    """Generate the faces of a configuration into a folder, with a contact sheet; returns the store."""
    writer = StoreWriter(out, config.identities * config.images, config.size)
    columns: dict[str, list[str]] = {"path": [], "identity": [], "group": []}
    sheet = []
    for number, (identity, group, images) in enumerate(synthesize(config), 1):
        writer.add(images)
        columns["path"] += [f"{identity}/{image:03d}" for image in range(len(images))]
        columns["identity"] += [identity] * len(images)
        columns["group"] += [group] * len(images)
        if len(sheet) < 12:
            sheet.append(np.concatenate(images[:12], axis=1))
        progress(Progress("faces", number, config.identities, "person"))
    origin = {"made by": "synth", **dataclasses.asdict(config)}
    store = writer.close(Manifest({name: tuple(values) for name, values in columns.items()}), origin)
    save_sheet(sheet, out / PREVIEW)
    return store


def save_sheet(rows: Sequence[np.ndarray], path: Path) -> None:
    """Write a contact sheet, one person a row, as PNG."""
    sheet = Image.fromarray(np.concatenate(rows))
    scale = max(1, round(96 / (sheet.height // len(rows))))
    sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST).save(path)
