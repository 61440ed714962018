"""How things are shown: `format` puts numbers in words, `table` is rows as lines, CSV, JSON and HTML, `figures` and
`network` draw, and `boards` is TensorBoard.
"""
