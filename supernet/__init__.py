"""All that has weights, and the faces that feed them.

Values first, without torch: `genotype` is an architecture, `space` says which ones there are, `operations` and
`skeleton` what they are made of, `published` networks of studies, `strict_fairness` which paths a training step
takes, `recipe` how training goes. `memory` says what is free. With torch: `trunk` is what comes before the heads in
any family of networks, `dpn` the parts of dual path ones, of `convolution`s; `heads` has margins and necks, `network`
the supernet and standalone networks, `backbone_network` those of timm that a `backbone` names. `training` trains any
by what `optimisation` makes of the recipe, on batches that `shuffler` deals: `gradients` runs a step's paths,
`statistics` moves their BN statistics once. `process_group` is the other ranks, if any; `path_sharing` says which of
them takes which path, `synchronised_norm` normalises over the images of several. `non_finite` names the layer where
numbers end, `checkpoint` keeps weights safe in files that are `atomic`, `resuming` continues a training from them,
`calibration` measures BN statistics of a path on copies. In production: `timm_model` registers networks with timm,
`folding` folds BN away, and `exported` opens what `dualfair export` wrote.
"""
