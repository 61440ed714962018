"""How sure a number is.

`bootstrap` has intervals over people, `reliability` says how far a measure tells networks apart.

`ranking` asks whether cheap scores order networks as the costly truth does (by `kendall`, over thousands of resamples;
`mean_tau` of several scores), `ceiling` how well the truth's own noise lets any score do so.
"""
