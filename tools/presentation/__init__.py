"""How numbers are shown: `format` as text, `table` as lines of it, `figures` as PNG, `boards` in TensorBoard
(`search_board`, `training_board`).
"""
