"""What a margin function has to be, whoever wrote it.

Shape legend: B batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from dualfair.supernet.heads import MarginHead


def check_head(margin: Callable) -> list[str]:
    """Faults of a margin function, which maps the cosines of the true identities (B,), the norms of the embeddings as
    for 512 dimensions (B,) and a strength in [0, 1] to (cosines with margin (B,), penalty).

    With strength 0 there must be no margin; with 1 it must not raise a cosine, nor turn the order of two. Gradients
    must be finite, at cosines of -1 and 1 too, and reach the embedding.
    """
    cosines = torch.linspace(-1, 1, 41, requires_grad=True)
    norms = torch.full((41,), 22.0)
    try:
        given = [margin(cosines, norms, strength) for strength in (0.0, 1.0)]
    except Exception as error:
        return [f"called as margin(cosines, norms, strength) it raises {type(error).__name__}: {error}"]
    if not all(isinstance(returned, tuple) and len(returned) == 2 for returned in given):
        return [f"it returns {_shape(given[0])}; return two things: (cosines with margin, penalty)"]
    (free, _), (held, penalty) = given
    if not isinstance(held, torch.Tensor) or held.shape != cosines.shape:
        return [f"it returns {_shape(held)} for cosines of shape (41,); return (cosines with margin (41,), penalty)"]
    if not isinstance(penalty, torch.Tensor) or penalty.ndim:
        return [f"its penalty is {_shape(penalty)}; return a tensor without dimensions, torch.zeros(()) for none"]
    faults = []
    if not torch.allclose(free, cosines, atol=1e-4):
        far = int((free - cosines).abs().argmax())
        faults.append(
            f"with strength 0 a cosine of {cosines[far].item():.3g} becomes {free[far].item():.3g}; "
            "multiply the margin by the strength"
        )
    if bool((held > cosines + 1e-4).any()):
        faults.append("with strength 1 it raises some cosines; a margin makes the true identity harder")
    if bool((held.diff() < -1e-4).any()):
        place = int(held.diff().argmin())
        faults.append(
            f"a better cosine gets a worse logit between {cosines[place].item():.3g} and "
            f"{cosines[place + 1].item():.3g}; continue the margin so that it never falls"
        )
    if not held.requires_grad:
        return [*faults, "its gradient does not reach the cosines; do not detach them"]
    (held.sum() + penalty).backward()
    if cosines.grad is None or not bool(cosines.grad.isfinite().all()):
        faults.append("its gradient is not finite at some cosine of [-1, 1]; clamp before acos or sqrt")
    return faults or _faults_in_training(margin)


def _faults_in_training(margin: Callable) -> list[str]:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        head = MarginHead(8, 16, 5, margin)
    features = torch.randn(6, 8, 3, 3, generator=generator, requires_grad=True)
    result = head(features, torch.arange(6) % 5)
    loss = nn.functional.cross_entropy(16 * result.cosines, torch.arange(6) % 5) + result.penalty
    loss.backward()
    reached = {"features": features.grad, "class weights": head.weight.grad, "neck": head.neck.linear.weight.grad}
    return [f"no finite gradient reaches the {name}" for name, gradient in reached.items() if not _useful(gradient)]


def _useful(gradient: torch.Tensor | None) -> bool:
    return gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any())


def _shape(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
