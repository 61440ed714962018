"""`dualfair.export`: the command's options as keyword arguments, what was written as a record."""

import inspect

import dualfair
from dualfair.commands.export import command


def test_the_keywords_are_the_commands_options_with_the_same_defaults():
    keywords = {
        name: parameter.default
        for name, parameter in inspect.signature(dualfair.export).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "say"
    }
    options = command.make_context("export", ["NETWORK", "--to", "FOLDER"]).params
    assert keywords == {name: value for name, value in options.items() if name not in ("network", "to")}
