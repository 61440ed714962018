"""Networks and hyper-parameters together, by successive halving: `study`; `trials` are drawn, a `ladder` of rungs keeps
what they came to, `output` tells it.
"""
