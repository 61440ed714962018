"""`dualfair export`: a trained network as a folder that other programs can use."""

from __future__ import annotations

from pathlib import Path

import click

FORMATS = ("timm", "onnx", "state")
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("network")
@click.option("--to", type=_PATH, required=True, help="Folder for the export; an earlier export there is replaced.")
@click.option(
    "--format",
    "exported_as",
    type=click.Choice(FORMATS),
    default="timm",
    show_default=True,
    help="timm: for timm.create_model; onnx: that and model.onnx; state: for "
    "dualfair.supernet.production.exported.open_export.",
)
@click.option("--run", type=_PATH, help="The run of a NETWORK that is given by its name.")
@click.option("--seed", type=int, help="Which training of a run.  [default: the best on validation people]")
@click.option("--inherit", is_flag=True, help="With --run: inherited weights of the supernet, not a training's.")
@click.option("--fold-bn", is_flag=True, help="Fold batch normalisation into the layers in front of it.")
@click.option(
    "--class-weights/--no-class-weights", default=True, help="Class weights: a vector of every training person."
)
@click.option("--licence", default="not stated", show_default=True, help="Licence of the weights, for the model card.")
@click.option("--data-licence", default="not stated", show_default=True, help="Licence of the training faces.")
@click.option("--dataset-name", default="", help="Name of the training faces.  [default: that of their folder]")
def command(
    network: str,
    to: Path,
    exported_as: str,
    run: Path | None,
    seed: int | None,
    inherit: bool,
    fold_bn: bool,
    class_weights: bool,
    licence: str,
    data_licence: str,
    dataset_name: str,
) -> None:
    """Export NETWORK: a training's folder (RUN/retrain/LABEL/seed-0), a run, or with --run a network's name.

    Of a run it is the network that the report recommends. The folder holds the weights, class weights to fine-tune
    with, all about the network as JSON, and a model card.
    """
    from dualfair.exporting.description import Terms
    from dualfair.exporting.folder import check_target
    from dualfair.exporting.onnx_file import check_packages
    from dualfair.exporting.source import find_source

    check_target(to)
    if exported_as == "onnx":
        check_packages()
    source = find_source(network, run, seed, inherit, click.echo)
    terms = Terms(licence=_line(licence), data_licence=_line(data_licence), dataset=_line(dataset_name))
    click.echo(f"{source.training}: {source.why}")
    for line in export(source, to, exported_as, terms, fold_bn=fold_bn, class_weights=class_weights):
        click.echo(line)


def export(
    source, to: Path, exported_as: str, terms, *, fold_bn: bool = False, class_weights: bool = True
) -> list[str]:
    """Write a trained network (dualfair.exporting.source.Source) to a folder; returns what there is to say of it.

    Raises ValueError where the format cannot hold the network, or the ONNX model does not agree with torch; then
    nothing is written.
    """
    from dataclasses import asdict

    import safetensors.torch

    from dualfair.exporting import folder
    from dualfair.exporting.card import card
    from dualfair.exporting.description import describe, skeleton_of, timm_config
    from dualfair.exporting.onnx_file import OPSET, compare, to_onnx
    from dualfair.supernet.production.exported import OWN, weights_of
    from dualfair.supernet.production.folding import Folding, fold
    from dualfair.supernet.production.timm_model import embedder_of

    network = source.network
    if exported_as == "timm" and skeleton_of(network)[0] == OWN:
        raise ValueError(
            f"{network.genotype} has a skeleton, operations or a head of your own, which timm's config.json cannot "
            "hold; take --format onnx or --format state"
        )
    # The model shares the network's layers: folding the one folds the other.
    model = embedder_of(network)
    folding = fold(model) if fold_bn else Folding((), ())
    about = describe(source, exported_as, terms, asdict(folding))
    weights, classes = weights_of(network)
    files = {folder.WEIGHTS: safetensors.torch.save(weights)}
    if class_weights:
        files[folder.CLASS_WEIGHTS] = safetensors.torch.save(classes)
    lines = []
    if fold_bn:
        lines.append(f"Folded {len(folding.folded)} of {len(folding.folded) + len(folding.kept)} batch normalisations")
    if exported_as == "onnx":
        import torch

        model = model.to(memory_format=torch.contiguous_format)
        size = network.skeleton.image_size
        files[folder.ONNX] = to_onnx(model, size)
        agreement = compare(model, files[folder.ONNX], size)
        about["onnx"] = {"opset": OPSET, "dynamic_batch": True, "compared_with_torch": asdict(agreement)}
        lines.append(
            f"onnxruntime agrees with torch: smallest cosine {agreement.smallest_cosine:.8f} over {agreement.images} "
            "images"
        )
    if exported_as != "state" and about["timm"]:
        files[folder.CONFIG] = folder.as_json(timm_config(about))
    about["class_weights"] = class_weights
    files[folder.CARD] = card(about).encode()
    folder.write_folder(to, about, files)
    sizes = ", ".join(f"{name} {len(data) / 1e6:.2f} MB" for name, data in files.items() if len(data) >= 1e4)
    return [*lines, f"Everything is in {to} ({sizes}); {folder.CARD} says what it is and what it is not"]


def _line(text: str) -> str:
    return " ".join(text.split())
