"""The model card of an export: what the network is, what it was measured on, and what not to believe."""

from __future__ import annotations

import json
from collections.abc import Mapping

FEW_PEOPLE = 30
"""People of a group below whom its numbers say little."""
NOT_STATED = "not stated"


def card(about: Mapping) -> str:
    """The text of README.md, with the YAML header that model hubs read."""
    parts = (_header(about), _title(about), _use(about), _input(about), _measured(about), _limits(about), _terms(about))
    return "\n".join(parts)


def _header(about: Mapping) -> str:
    licence = "unknown" if about["licence"] == NOT_STATED else about["licence"]
    library = "timm" if about["timm"] and about["exported_as"] != "state" else "dualfair"
    tags = ["face-recognition", "image-feature-extraction", "dualfair", *(["onnx"] if about.get("onnx") else [])]
    lines = [f"license: {json.dumps(licence)}", f"library_name: {library}", "tags:", *(f"- {tag}" for tag in tags)]
    return "\n".join(["---", *lines, "---", ""])


def _title(about: Mapping) -> str:
    trained, folded = about["trained"], about["folded"]["folded"]
    size = about["input"]["shape"][-1]
    text = (
        f"It turns a face of {size} x {size} px into {about['output']['shape'][1]} numbers; two faces are compared by "
        f"the cosine of theirs. It was trained with the {about['head']} head on {trained['identities']:,} people of "
        f'the faces "{_name(trained["faces"])}", seed {trained["seed"]}. How it was chosen: {_name(trained["chosen"])}.'
    )
    kind = {"backbone": "a backbone of timm's", "searched": f"skeleton {about['skeleton'].get('name')}"}
    what = kind.get(about["kind"], f"a skeleton of its own ({about['skeleton'].get('opened_by') or 'not named'})")
    norms = f" {len(folded)} batch normalisations are folded into weights." if folded else ""
    return f"# {about['network']}\n\nA face embedding network: {what}. {text}{norms}\n"


def _use(about: Mapping) -> str:
    if about["exported_as"] == "state" or not about["timm"]:
        lines = [
            "from dualfair.supernet.production.exported import open_export",
            'network = open_export("THIS FOLDER")',
        ]
        if about["kind"] == "own skeleton":
            lines[1] = 'network = open_export("THIS FOLDER", skeleton=YOUR_SKELETON)'
    else:
        lines = [
            "import timm, dualfair.supernet.production.timm_model  # of the package dualfair",
            'network = timm.create_model("local-dir:THIS FOLDER", pretrained=True).eval()',
        ]
    onnx = (
        "\nOr `model.onnx` with onnxruntime alone: input `images`, output `embeddings`.\n" if about.get("onnx") else ""
    )
    return "\n".join(["## Use", "", "```python", *lines, "```", onnx])


def _input(about: Mapping) -> str:
    asked = about["input"]
    size = asked["shape"][-1]
    return (
        "## Input and output\n\n"
        f"- Images: float32 (batch, 3, {size}, {size}), {asked['channels']}, pixels {asked['pixels']} normalised as "
        f"{asked['normalisation']}.\n"
        f"- The training faces were cut out so: {asked['alignment']['means']}. Cut yours out in the same way.\n"
        f"- Embeddings: float32 (batch, {about['output']['shape'][1]}), not of length 1. The numbers below are of the "
        f"{about['output']['measured_as']}.\n"
    )


def _measured(about: Mapping) -> str:
    metrics = about["metrics"]
    if metrics["test"] is None:
        return "## Measured\n\nNothing: no result lay beside the weights. Run `dualfair evaluate` on your own faces.\n"
    lines = ["## Measured", "", f"Identification among all images of the split, {metrics['how']}:", ""]
    lines += ["| people | n people | n images | error | mean rank |", "|---|---|---|---|---|"]
    for split in ("validation", "test"):
        scores = metrics[split]
        lines.append(
            f"| {split}, all | {_count(scores['people'])} | {_count(scores['images'])} | {_number(scores['error'])} | |"
        )
        lines += [
            f"| {split}, {_name(group['group'])} | {_count(group['people'])} | {_count(group['images'])} | "
            f"{_number(group['error'])} | {_number(group['mean_rank'])} |"
            for group in scores["groups"]
        ]
    test, protocol_options = metrics["test"], metrics["judging"]
    measure = protocol_options.get("disparity", "disparity").replace("_", " ")
    gallery = protocol_options.get("gallery", "all")
    among = "" if gallery == "all" else f" in galleries of {gallery} people"
    gap = f"On test people: error {_number(test['error'])}{_interval(test, 'error')}; {_name(measure)} between groups"
    gap += f"{among}, 0 where they are alike: {_number(test['disparity'])}{_interval(test, 'disparity')}"
    return "\n".join(
        [
            *lines,
            "",
            "Error is the share of images whose nearest other image is of someone else; rank counts the images of "
            "others that are nearer than the nearest of the same person. Lower is better, 0 the best.",
            "",
            f"{gap}. {_seeds(metrics['seeds'])}",
            "",
        ]
    )


def _seeds(seeds: list[Mapping]) -> str:
    if len(seeds) < 2:
        return "It is not known how much another training seed would change these numbers."
    errors = ", ".join(f"{_number(training['error'])} (seed {training['seed']})" for training in seeds)
    return f"Test error of all {len(seeds)} trainings of this network, as their run recorded it: {errors}."


def _limits(about: Mapping) -> str:
    test = about["metrics"]["test"]
    groups = [] if test is None else test["groups"]
    lines = [
        "- Verification rates, thresholds and intervals of every group are not here: `dualfair evaluate --network "
        "FOLDER --faces FACES` gives them, on your own faces too.",
        "- Validation people have a say in which network a run recommends, so their numbers flatter; test people have "
        "none.",
        "- Numbers hold for faces like these: error and mean rank grow with the number of people searched among, and "
        "change with camera, pose, age and cropping.",
    ]
    if about["class_weights"]:
        lines.append(
            "- `class_weights.safetensors` holds a vector of every person that the network was trained on, without "
            "names: biometric data. It is for fine-tuning; leave it out (`dualfair export --no-class-weights`) where "
            "the folder goes to others."
        )
    few = [_name(group["group"]) for group in groups if group["people"] is not None and group["people"] < FEW_PEOPLE]
    if few:
        lines.append(
            f"- Groups with fewer than {FEW_PEOPLE} test people ({', '.join(few)}): too few to compare groups by."
        )
    if any(group["people"] is None for group in groups):
        lines.append("- How many people the test images show was not known when this was written.")
    if groups and len(groups) < 2:
        lines.append("- Only one group was measured: nothing is known of differences between groups.")
    lines.append(
        "- Groups that are not in the table were not measured; equal numbers here do not make it fair elsewhere."
    )
    return "\n".join(
        [
            "## What not to believe",
            "",
            *lines,
            "",
            "## Intended use",
            "",
            "Research on face recognition and on its differences between groups of people. Not for decisions about "
            "people without measuring it on those it will meet.",
            "",
            "Embeddings of faces are biometric data: have a legal basis and the consent of the people shown. A "
            "smaller difference between measured groups is no licence to watch people, and "
            "does not make a wrong match harmless.",
            "",
        ]
    )


def _terms(about: Mapping) -> str:
    return (
        f"## Terms\n\nLicence of the weights: {_name(about['licence'])}. Licence of the training faces: "
        f"{_name(about['data_licence'])}. `dualfair.json` has all of this as data, with SHA-256 of the weights.\n"
    )


def _name(text: object) -> str:
    """A text of the user's in Markdown, on one line and without a cell's end."""
    return " ".join(str(text).replace("|", "/").replace("`", "'").replace("<", "(").replace(">", ")").split())


def _interval(scores: Mapping, name: str) -> str:
    low, high = (scores["intervals"] or {}).get(name, (None, None))
    return (
        ""
        if low is None or high is None
        else f" (95 % percentile interval over people {_number(low)} to {_number(high)})"
    )


def _count(value: object) -> str:
    return "not known" if value is None else f"{value:,}"


def _number(value: object) -> str:
    return "undefined" if value is None else f"{float(value):.3f}"
