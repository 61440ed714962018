"""From stored pixels to network input, and per-sample augmentation on the device.

Shape legend: B batch, H height, W width, S side of the images in pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional


def to_input(pixels: Tensor) -> Tensor:
    """Stored pixels, uint8 (B, H, W, 3) RGB -> float32 (B, 3, H, W) in [-1, 1]: (x / 255 - 0.5) / 0.5."""
    return pixels.permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)


def draw(images: int, generator: torch.Generator, cutout: float = 0.0) -> Tensor:
    """All chance that `augment` needs for so many images: uniform in [0, 1), shape (5, images), (7, images) where it
    cuts out."""
    return torch.rand(7 if cutout else 5, images, generator=generator, device=generator.device)


def augment(
    images: Tensor, draws: Tensor, side: int, *, flip: bool, shift: float, brightness: float, cutout: float = 0.0
) -> Tensor:
    """A random variant of every image by itself: (B, 3, H, W) in [-1, 1] -> (B, 3, S, S), S the `side`.

    With `flip` each image is mirrored with probability 1/2. Any part of S x S pixels of it is taken, or one that is
    beyond by up to `shift` of S (whole pixels, edges repeated), and its contrast and brightness change by up to the
    share `brightness`. A square with a side of `cutout` of S around any pixel, or what of it is on the image, becomes
    grey (DeVries and Taylor, 2017). `draws`, from `draw`, are on the images' device.
    """
    batch, _, height, width = images.shape
    device = images.device
    columns = rows = torch.arange(side, device=device).expand(batch, side)
    if shift or (height, width) != (side, side):
        columns = columns + _whole_pixels(draws[0], shift * side, width - side)
        rows = rows + _whole_pixels(draws[1], shift * side, height - side)
    if flip:
        columns = torch.where(draws[2, :, None] < 0.5, width - 1 - columns, columns)
    columns = columns.clamp(0, width - 1)
    rows = rows.clamp(0, height - 1)
    samples = torch.arange(batch, device=device)[:, None, None]
    # The indexed dimensions come first: (B, H, W, 3), which is the channels-last layout of (B, 3, H, W).
    moved = images[samples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if brightness:
        contrast = (1 + brightness * (2 * draws[3] - 1))[:, None, None, None]
        offset = (brightness * (2 * draws[4] - 1))[:, None, None, None]
        moved = (moved * contrast + offset).clamp(-1, 1)
    if cutout:
        above, left = (_inside(middle, side, max(1, round(cutout * side))) for middle in draws[5:7])
        moved = moved.masked_fill((above[:, :, None] & left[:, None, :])[:, None], 0.0)
    return moved


def mirror(images: Tensor) -> Tensor:
    """Every image mirrored left to right: (B, 3, H, W) -> the same."""
    return images.flip(3)


def resize(pixels: Tensor, size: int) -> Tensor:
    """Stored pixels uint8 (B, H, W, 3) -> (B, size, size, 3): bilinear with antialiasing, rounded."""
    images = pixels.permute(0, 3, 1, 2).float()
    smaller = functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return smaller.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _inside(middle: Tensor, side: int, length: int) -> Tensor:
    """Which of the pixels of a side are within so many around a random one, (B, side), from draws in [0, 1)."""
    first = (middle * side).long() - length // 2
    pixels = torch.arange(side, device=middle.device)
    return (pixels >= first[:, None]) & (pixels < first[:, None] + length)


def _whole_pixels(draw: Tensor, largest: float, room: int) -> Tensor:
    """Uniform whole shifts in [-largest, room + largest], shape (B, 1), from draws in [0, 1)."""
    span = 2 * int(largest) + 1 + room
    return ((draw * span).long() - int(largest))[:, None]
