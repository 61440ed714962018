"""The model card of an export: what the network is, what it was measured on, and what not to believe."""

import re
from collections.abc import Mapping

from huggingface_hub import ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from dualfair.presentation.format import FEW_PEOPLE, decimals, spoken, whole, with_interval

NOT_STATED = "not stated"
HUB_LICENCES = (
    "afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 "
    "c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 "
    "cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 "
    "cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 "
    "gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail "
    "osl-3.0 pddl postgresql unknown unlicense wtfpl zlib"
)
"""Licences that the Hugging Face Hub takes by name, between blanks; any other one is "other" with a name of its own."""


def card(about: Mapping) -> str:
    """The text of README.md, with the YAML header that model hubs read; `about` is what dualfair.json holds."""
    test, protocol = about["metrics"]["test"], about["metrics"]["judging"]
    classes = about.get("classes", [])
    people = not classes or bool(test and test["people"])
    amounts = {group["group"]: group["people" if people else "images"] for group in test["groups"]} if test else {}
    kind = {"backbone": "a backbone of timm's", "searched": f"skeleton {about['skeleton'].get('name')}"}
    header = ModelCardData(
        **licence_on_hub(about["licence"]),
        library_name="timm" if about["timm"] and about["exported_as"] != "state" else "dualfair",
        pipeline_tag="image-classification" if classes else "image-feature-extraction",
        tags=[
            "image-classification" if classes else "face-recognition",
            "dualfair",
            *(["onnx"] if about.get("onnx") else []),
        ],
    )
    environment = Environment(
        loader=PackageLoader("dualfair.exporting", "."), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters |= {"plain": _plain, "whole": whole, "decimals": decimals}
    return environment.get_template("card_of_classes.md.j2" if classes else "card.md.j2").render(
        about=about,
        header=header.to_yaml(),
        what=kind.get(about["kind"], f"a skeleton of its own ({about['skeleton'].get('opened_by') or 'not named'})"),
        disparity=spoken(protocol.get("disparity", "disparity")),
        interval=lambda name: with_interval(test[name], *(test["intervals"] or {}).get(name, (None, None))),
        few=[group for group, amount in amounts.items() if (amount or FEW_PEOPLE) < FEW_PEOPLE],
        images="images" if classes else "faces",
        people=people,
        units="people" if people else "images",
        few_people=FEW_PEOPLE,
    )


def licence_on_hub(licence: str) -> dict[str, str]:
    """The fields of a model card's header for a licence as people write it: "CC BY 4.0" is cc-by-4.0."""
    if licence == NOT_STATED:
        return {"license": "unknown"}
    name = re.sub(r"[^a-z0-9.+]+", "-", licence.lower()).strip("-")
    return (
        {"license": name} if name in HUB_LICENCES.split() else {"license": "other", "license_name": name or "unnamed"}
    )


def _plain(text: object) -> str:
    """A text of the user's in Markdown as it is, on one line: what Markdown or HTML would read is escaped."""
    return re.sub(r"[\\`*\[\]|<>~&]|(?<!\w)_|_(?!\w)", r"\\\g<0>", " ".join(str(text).split()))
