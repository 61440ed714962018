"""The search: genotypes in, a front out. Nothing here sees a tensor.

A scorer is any function from a list of genotypes to an array (n, columns), a space is any
`supernet.space.SearchSpace`. `nsga2.evolve` is NSGA-II; of the `baselines`, `random_search` is what it has to beat
at the same number of distinct evaluations, and `exhaustive` scores a whole space and so gives its true front. The three
return the same `run.SearchResult`. `comparison` lets the first two search at equal evaluations, and holds both against
the third.

Underneath, `archive.Archive` keeps every evaluation of a measurement and never lets one be made twice, so repeating an
interrupted command continues it. `run.Run` scores what the archive lacks, counts and traces; `attempts` finds out whose
fault it is when a score raises. `pareto` holds dominance, hypervolume, the reference point and the knee, `layers` the
fronts behind the front, `front_difference` what is sure of two fronts when every point is a few trainings. `operators`
is the border to pymoo: integer vectors whose numbers are names, never magnitudes. `constraints` says which networks may
be asked for at all, and finds such; `halving` spends more on fewer.

An archive is one SQLite file: `storage` has its tables and digests, checks it, and keeps of a damaged one what SQLite
still reads.
"""
