"""A network outside: `timm_model` registers networks with timm, `onnx_model` makes ONNX of them, `folding` folds BN
away, and `exported` opens what `dualfair export` wrote.
"""
