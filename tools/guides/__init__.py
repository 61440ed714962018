"""Guides to read, and worked examples of what can be plugged in, which can be named as they are.

`inverted_residual` is a small MobileNet of the parts of the built-in ones, with its space; `own_operation` a
tenth operation; `own_head` two margin functions; `own_sampler` other paths a step; `own_objective` what else to search
for. `tour.sh` goes through everything on generated faces.
"""
