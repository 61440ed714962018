"""A network outside: `timm_model` registers networks with timm, `onnx_model` makes ONNX of them, `folding` folds BN
away, `quantisation` rounds to fewer bits in simulation, `integers` makes 8-bit ONNX of that, and `exported` opens what
`dualfair export` wrote.
"""
