"""Embedding networks of other makers, as torch modules that take our network input: ONNX files, and timm's models in a
local folder. Nothing in either is executed but the network.

Shape legend: B batch, S side of the images in pixels, T embedding.
"""

from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

TIMM_FILES = ("config.json", "model.safetensors")
"""What a folder of timm's model holds."""


class OnnxEmbedder(nn.Module):
    """An ONNX file as a module on the CPU: images (B, 3, S, S) in [-1, 1] -> its first output (B, T).

    `size` is the S that the file states, else the one that is asked for. Raises ValueError where onnxruntime is not
    installed, and for a file that is no such network.
    """

    def __init__(self, path: Path, size: int) -> None:
        super().__init__()
        if find_spec("onnxruntime") is None:
            raise ValueError(f"{path} needs onnxruntime; run: pip install 'dualfair[onnx]'")
        import onnxruntime

        try:
            self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ValueError(f"{path} is no ONNX network ({' '.join(str(error).split())[:200]})") from error
        images, *others = self.session.get_inputs()
        shape = images.shape
        if others or len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or images.type != "tensor(float)":
            raise ValueError(
                f"{path} must take images of float32 (batch, 3, S, S) alone, got {images.type} {shape}"
                f"{' and more inputs' if others else ''}"
            )
        self.size = shape[2] if isinstance(shape[2], int) else size
        # What says on which device a module is.
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)
        self._one_by_one = isinstance(shape[0], int)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, T)."""
        [name], output = [each.name for each in self.session.get_inputs()], self.session.get_outputs()[0].name
        parts = images.split(1) if self._one_by_one else [images]
        outputs = [self.session.run([output], {name: part.contiguous().cpu().numpy()})[0] for part in parts]
        return torch.cat([torch.from_numpy(part).flatten(1) for part in outputs])


class TimmEmbedder(nn.Module):
    """timm's model of a local folder, without its classifier: images (B, 3, S, S) in [-1, 1] -> features (B, T).

    `size` is the S that its configuration states. Raises ValueError for a folder that timm cannot make a model of.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        try:
            self.model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0)
            about = self.model.pretrained_cfg
            self.size = int(about["input_size"][-1])
            mean, std = (torch.tensor(about[name], dtype=torch.float32)[:, None, None] for name in ("mean", "std"))
        except Exception as error:
            raise ValueError(f"timm makes no model of {folder} ({' '.join(str(error).split())[:200]})") from error
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, T)."""
        return self.model(((images + 1) / 2 - self.mean) / self.std)


def open_foreign(place: Path, size: int) -> OnnxEmbedder | TimmEmbedder:
    """The network of an .onnx file or of a folder with `TIMM_FILES`, in evaluation mode on the CPU; ONNX files that
    state no size of images get some of `size` pixels. Raises ValueError for anything else."""
    if place.is_dir() and all((place / name).is_file() for name in TIMM_FILES):
        return TimmEmbedder(place).eval()
    if place.suffix == ".onnx" and place.is_file():
        return OnnxEmbedder(place, size).eval()
    raise ValueError(
        f"{place} holds no embedding network; name a training's folder, an export, an .onnx file, a folder of timm's "
        f"with {' and '.join(TIMM_FILES)}, or .npy embeddings"
    )
