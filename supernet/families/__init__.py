"""Families of networks, each as data that needs no torch, and beside it its modules: `dual_path` and
`dual_path_network`, `inverted_residual` and `inverted_residual_network`, whose layers `mix` is made of, too, `residual`
and `residual_network`, and `backbone` and `backbone_network`, which name and build a network of timm's. `base` is what
the skeletons of all families say.
"""
