"""Families of networks: `dual_path` has the blocks of dual path networks; `backbone` names a network of timm's as a
value, without torch, and `backbone_network` builds it.
"""
