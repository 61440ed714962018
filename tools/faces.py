"""`dualfair faces`: generate faces, or import your own, into a faces folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click


@click.group()
def command() -> None:
    """Make a faces folder: manifest.csv, pixels.npy (uint8) and faces.json."""


@command.command("synth")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The faces folder to make.")
@click.option("--identities", type=int, default=200, show_default=True, help="People, dealt to the groups in turn.")
@click.option("--images", type=int, default=16, show_default=True, help="Images of every person.")
@click.option("--size", type=int, default=48, show_default=True, help="Side of the images in pixels.")
@click.option("--groups", type=int, default=2, show_default=True, help="Number of groups, named a, b, ...")
@click.option(
    "--bias", type=float, default=0.5, show_default=True, help="0: groups are exchangeable; 1: most different."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same faces.")
def synth(out: Path, **options: object) -> None:
    """Generate faces of people who do not exist."""
    from supernet.faces.synthetic import SyntheticFaces

    names = tuple(chr(ord("a") + number) for number in range(int(options.pop("groups"))))
    store = synthesise(SyntheticFaces(groups=names, **options), out)
    describe(store)
    click.echo(f"Look at {out / PREVIEW}. Next: dualfair train --faces {out} --out run")


PREVIEW = "preview.png"


def synthesise(config, out: Path):
    """Generate the faces of a configuration into a folder, with a contact sheet; returns the store."""
    import dataclasses

    import numpy as np
    from tqdm import tqdm

    from supernet.faces.manifest import Manifest
    from supernet.faces.store import StoreWriter
    from supernet.faces.synthetic import synthesize

    writer = StoreWriter(out, config.identities * config.images, config.size)
    columns: dict[str, list[str]] = {"path": [], "identity": [], "group": []}
    sheet = []
    for identity, group, images in tqdm(
        synthesize(config), total=config.identities, desc="faces", unit="person", disable=None
    ):
        writer.add(images)
        columns["path"] += [f"{identity}/{number:03d}" for number in range(len(images))]
        columns["identity"] += [identity] * len(images)
        columns["group"] += [group] * len(images)
        if len(sheet) < 12:
            sheet.append(np.concatenate(images[:12], axis=1))
    origin = {"made by": "synth", **dataclasses.asdict(config)}
    store = writer.close(Manifest({name: tuple(values) for name, values in columns.items()}), origin)
    save_sheet(sheet, out / PREVIEW)
    return store


def save_sheet(rows, path: Path) -> None:
    """Write a contact sheet, one person a row, as PNG."""
    import numpy as np
    from PIL import Image

    sheet = Image.fromarray(np.concatenate(rows))
    scale = max(1, round(96 / (sheet.height // len(rows))))
    sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST).save(path)


@command.group("import")
def import_() -> None:
    """Import faces from data as it lies on the disk."""


def _import_options(function):
    for decorator in reversed(
        (
            click.option("--out", type=click.Path(path_type=Path), required=True, help="The faces folder to make."),
            click.option(
                "--size", type=int, default=112, show_default=True, help="Side of the stored images in pixels."
            ),
            click.option(
                "--max-unreadable",
                type=float,
                default=0.01,
                show_default=True,
                help="Largest share of images that may be unreadable; they are left out and listed.",
            ),
        )
    ):
        function = decorator(function)
    return function


@import_.command("folder")
@click.argument("photos", type=click.Path(path_type=Path))
@click.option(
    "--groups", type=click.Path(path_type=Path), help="CSV with the columns identity,group[,more attributes]."
)
@_import_options
def import_folder(photos: Path, groups: Path | None, out: Path, size: int, max_unreadable: float) -> None:
    """Import PHOTOS, a folder that holds one folder a person.

    Grey images become RGB; a non-square image is cropped to its central square, then resized.
    """
    from supernet.faces.importers import list_folder

    _import(list_folder(photos, groups), photos, out, size, max_unreadable)


@import_.command("csv")
@click.argument("metadata", type=click.Path(path_type=Path))
@_import_options
def import_csv(metadata: Path, out: Path, size: int, max_unreadable: float) -> None:
    """Import the images that METADATA lists: a CSV with the columns path,identity,group[,more attributes].

    Paths are relative to the CSV. A column 'split' (train, validation, test) is kept. Grey images become RGB; a
    non-square image is cropped to its central square, then resized.
    """
    from supernet.faces.importers import list_csv

    _import(list_csv(metadata), metadata.parent, out, size, max_unreadable)


def _import(manifest, root: Path, out: Path, size: int, max_unreadable: float) -> None:
    from tqdm import tqdm

    from supernet.faces.importers import import_images

    report = import_images(
        manifest,
        root,
        out,
        size=size,
        max_unreadable=max_unreadable,
        progress=lambda images: tqdm(images, desc="images", unit="image", disable=None),
    )
    for name, reason in report.unreadable:
        click.echo(f"Left out: {name} ({reason})", err=True)
    describe(report.store)
    click.echo(f"Next: dualfair train --faces {out} --out run")


def describe(store) -> None:
    """Print what a faces folder holds, with the counts of its first attribute."""
    from supernet.faces.manifest import attributes_of

    manifest = store.manifest
    people = len(set(manifest.columns["identity"]))
    click.echo(f"{store.folder}: {len(manifest):,} images of {people:,} people at {store.size} px")
    attributes = attributes_of(manifest)
    if "group" in attributes:
        counts = Counter(dict(zip(manifest.columns["identity"], manifest.columns["group"], strict=True)).values())
        click.echo("people by group: " + ", ".join(f"{group} {n}" for group, n in sorted(counts.items())))
    elif attributes:
        click.echo(f"There is no column 'group'; use --group-column with one of: {', '.join(attributes)}")
    else:
        click.echo("There are no groups: training needs a column to compare people by; see --groups")
