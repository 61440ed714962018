"""Training of supernets and of standalone networks, by one loop.

`recipe` says how training goes and `sampling` which paths a step takes, both without torch. `trainer` is the loop, by
what `optimisation` makes of the recipe, on `batches`: a `step` runs its paths, `statistics` moves their BN statistics
once. `process_group` is the other ranks, if any; `path_sharing` says which of them takes which path,
`synchronised_norm` normalises over the images of several. `non_finite` names the layer where numbers end, `checkpoint`
keeps weights safe, `resuming` continues a training from them.
"""
