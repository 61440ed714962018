"""The command line: options in, one call, words out. The only room that knows click.

`console` has what commands say and how they are stopped, `options` turns configurations into options.
"""
