"""All that has weights, and the images that feed them.

Values first, without torch: `genotype` is an architecture, `space` says which ones there are, `operations` and
`skeleton` what they are made of. With torch: `trunk` is what comes before the heads in any of the `families` of
networks, made of `convolution`s; `heads` has margins and necks, `network` the supernet, standalone networks, and what
any network by itself keeps. `training` trains any of them on `images`; `production` is for networks outside of this
program.

`files` are written whole or not at all; `memory` says what is free, and halves batches where it runs out.
"""
