"""`dualfair faces`: generate faces, import a data set or your own into a faces folder, and check what is in it."""

from __future__ import annotations

from pathlib import Path

import click

from dualfair.commands import faces_check, faces_import
from dualfair.commands.faces_import import describe


@click.group()
def command() -> None:
    """Make a faces folder (manifest.csv, pixels.npy and faces.json), and check it."""


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
    from dualfair.supernet.images.synthetic.people import SyntheticFaces

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

    from dualfair.supernet.images.manifest import Manifest
    from dualfair.supernet.images.store import StoreWriter
    from dualfair.supernet.images.synthetic.people import synthesize

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


command.add_command(faces_import.command)
command.add_command(faces_check.command)
