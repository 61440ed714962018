"""The folder of an export: which files belong to it, and how they replace those of an earlier one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from dualfair.presentation.format import plain
from dualfair.supernet.files import TEMPORARY, write_bytes
from dualfair.supernet.production.exported import ABOUT, CLASS_WEIGHTS, WEIGHTS, read_about

CARD, CONFIG, ONNX = "README.md", "config.json", "model.onnx"
"""The model card, timm's configuration and the ONNX model."""
FILES = (ABOUT, WEIGHTS, CLASS_WEIGHTS, CONFIG, ONNX, CARD)


def check_target(folder: Path) -> None:
    """Raise ValueError where an export may not go: a file, or a folder that holds something else."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; --to takes a folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        read_about(folder)
    except ValueError as error:
        raise ValueError(f"{folder} is not empty and holds no export ({error}); name another folder") from None


def write_folder(folder: Path, about: Mapping, files: Mapping[str, bytes]) -> None:
    """Write an export: `about` with the SHA-256 of every file with weights, then the files, each whole or not there.

    Files of an earlier export that this one has not are deleted, others are left alone. After a kill the folder is
    still known as an export, and its hashes tell what is not of it.
    """
    weights = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name not in (CARD, CONFIG)}
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / ABOUT, as_json({**about, "files": weights}))
    for name in FILES:
        (folder / (name + TEMPORARY)).unlink(missing_ok=True)
        if name in files:
            write_bytes(folder / name, files[name])
        elif name != ABOUT:
            (folder / name).unlink(missing_ok=True)


def as_json(value: Mapping) -> bytes:
    """Strict JSON that people can read; numbers that it lacks become text or null, as in a report."""
    return (json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()
