"""Pure functions of arrays, numpy alone: per-sample values, then a value a group, then a reducer.

`similarity` compares embeddings in chunks; `identification` turns that into the rank of every probe, `open_set` adds
people who are not enrolled. `pairs` draws and scores pairs, `verification` tells them apart at a threshold.
`disparity` takes ranks, or whether they are right, to one value a group and reduces those to one number;
`pair_disparity` does so with the rates of every group's pairs.
"""
