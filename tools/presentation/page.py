"""Pages: one environment of templates for all, with the macros of `templates/page.html`. Whatever text comes in is
escaped."""

from base64 import b64encode

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from dualfair.presentation import format as formats

LONG = 40
"""Letters from which on a cell of text may break over lines."""
FOLDED = 12
"""Rows from which on a table is shown when its title is opened."""


def environment(package: str) -> Environment:
    """What renders the templates of a package, which may import the macros of `page.html`."""
    loader = ChoiceLoader([PackageLoader(package), PackageLoader("dualfair.presentation")])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    names = ("decimals", "listed", "spoken", "whole")
    made.filters |= {name: getattr(formats, name) for name in names}
    made.globals |= {"counted": formats.counted, "LONG": LONG, "FOLDED": FOLDED}
    return made


def embedded(picture: bytes, kind: str) -> str:
    """A picture of a kind, "png" or "svg+xml", as the address of an image that needs no file."""
    return f"data:image/{kind};base64,{b64encode(picture).decode()}"
