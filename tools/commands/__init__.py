"""The command line: one file a command, options in, one call, words out. The only room that knows click.

`interruption` lets a signal end a command where that is safe.
"""
