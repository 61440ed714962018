"""How things are shown: `format` puts numbers in words, `table` is rows as lines, CSV, JSON and HTML, `figures` and
`network` draw, `page` has the macros of pages, and `boards` is TensorBoard (`search_board`, `training_board`).
"""
