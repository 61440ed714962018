"""How numbers are shown: `figures` as PNG, `boards` in TensorBoard (`search_board`, `training_board`), `progress` as
bars.
"""
