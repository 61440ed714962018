"""A network outside: `timm_model` registers networks with timm, `folding` folds BN away, and `exported` opens what
`dualfair export` wrote.
"""
