"""Margin heads of your own: a function from cosines to cosines.

    dualfair check --heads own_head:normface,own_head:sphereface
    dualfair train --faces faces --out run --heads cosface,own_head:normface,own_head:sphereface
    dualfair retrain --run run --backbone resnet10t --head own_head:normface

Genotypes name it by its function: `101:sphereface`. A function takes the cosines (B,) of the true identities, the norms
of the embeddings (B,), which MagFace needs, and the margin's strength from 0 (none) to 1, which grows while training
begins. It returns the cosines with the margin in them (B,) and a penalty to add to the loss. The strength is a number,
or a scalar tensor where steps go as one graph: what is made of it is computed by torch, as a GPU is not waited for.
"""

import math

import torch


def normface(cosine, norm, strength):
    """No margin at all: normalised softmax (NormFace)."""
    return cosine, cosine.new_zeros(())


def sphereface(cosine, norm, strength, factor=1.5):
    """cos(m theta) (SphereFace, equation 6), up to the angle where it stops falling; from there on a line."""
    grown = 1 + torch.as_tensor(strength, dtype=torch.float64) * (factor - 1)
    # Where the cosine is 1 or -1 the arc cosine has no derivative.
    angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()
    last = math.pi / grown
    line = -1 + (cosine - last.cos())
    return (grown * angle).cos().where(angle < last, line), cosine.new_zeros(())
