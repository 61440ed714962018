"""A network that is fake-quantised to 8 bits as an ONNX file that computes with integers, by onnxruntime's static
quantisation in its QDQ form.

Where the network has a quantiser and integers follow, its range is taken over as it is (the mean over a map is not one
of integers: what it reads is not rounded). What stands between quantisers, so that integers follow integers (outputs of
convolutions, sums, the image itself), gets the range of what some images make of it. Weights become int8 by output
channel, symmetric around 0 as runtimes take them, in place of by their range. The embedding is float32. A file names
the weights that it was made of.
"""

import copy
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from dualfair.supernet.network import Network
from dualfair.supernet.production import onnx_model
from dualfair.supernet.production.exported import model_of
from dualfair.supernet.production.folding import fold
from dualfair.supernet.production.quantisation import ActivationQuantiser, quantisers

BITS = 8
_MADE_OF = "made_of"


class _Marked(nn.Module):
    """Where a quantiser stands, as ONNX has it: for export only, torch does not compute it."""

    def __init__(self, quantiser: ActivationQuantiser) -> None:
        super().__init__()
        scale = (quantiser.highest - quantiser.lowest).clamp(min=1e-8) / (2**BITS - 1)
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", (-quantiser.lowest / scale).round().clamp(0, 2**BITS - 1).to(torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        made = torch.onnx.ops.symbolic
        by = self.scale, self.zero_point
        integers = made("QuantizeLinear", (x, *by), dtype=torch.uint8, shape=x.shape)
        return made("DequantizeLinear", (integers, *by), dtype=x.dtype, shape=x.shape)


def to_integers(network: Network, images: Iterable[Tensor], made_of: str = "") -> bytes:
    """The embedding part of a `quantised` network of BITS, in evaluation mode, as the bytes of an ONNX file of
    integers: images (batch, 3, S, S) in [-1, 1] -> embeddings, both float32. `images` are batches (B, 3, S, S) for the
    ranges that the network has none of; `made_of` is kept in the file, for `made_of_what`. Raises ValueError for a
    network of other bits, and where torch cannot translate it or onnxruntime cannot quantise it."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader

    class Batches(CalibrationDataReader):
        """The images, as onnxruntime asks for them."""

        def __init__(self) -> None:
            self.batches = iter(images)

        def get_next(self) -> dict | None:
            batch = next(self.batches, None)
            return None if batch is None else {onnx_model.INPUT: batch.contiguous().cpu().numpy()}

    if {quantiser.bits for quantiser in quantisers(network).values()} != {BITS}:
        raise ValueError(f"integers are made of networks that are quantised to {BITS} bits throughout")
    network = copy.deepcopy(network).cpu()
    fold(network)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and is_parametrized(module, "weight"):
            module.parametrizations.weight[0] = nn.Identity()
        if isinstance(getattr(module, "quantiser", None), ActivationQuantiser):
            module.quantiser = _Marked(module.quantiser)
    model = model_of(network, scored=False).to(memory_format=torch.contiguous_format)
    plain, ranges = _without_marks(onnx_model.to_onnx(model, network.skeleton.image_size))
    try:
        made = _quantised(plain, ranges, Batches())
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"onnxruntime cannot quantise this network ({reason})") from error
    onnx.helper.set_model_props(made, {_MADE_OF: made_of})
    onnx.checker.check_model(made)
    return made.SerializeToString(deterministic=True)


def made_of_what(data: bytes) -> str | None:
    """What a file of `to_integers` says that it was made of; None for any other."""
    import onnx

    try:
        properties = onnx.load_from_string(data).metadata_props
    # protobuf's own error, of a package that comes with onnx.
    except Exception:
        return None
    return next((each.value for each in properties if each.key == _MADE_OF), None)


def _quantised(plain, ranges: dict, batches):
    """A float32 model in integers, with ranges of its tensors and else those of the images."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        given, prepared, made = (Path(folder) / f"{name}.onnx" for name in ("given", "prepared", "made"))
        onnx.save(plain, given)
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        nodes = onnx.load(prepared).graph.node
        quantize_static(
            prepared,
            made,
            batches,
            quant_format=QuantFormat.QDQ,
            # Batch normalisation that cannot be folded stays as it is: its few numbers need more than 8 bits.
            nodes_to_exclude=[node.name for node in nodes if node.op_type == "BatchNormalization"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": ranges},
        )
        model = onnx.load(made)
    # onnxruntime names all domains that it knows, also those that other runtimes do not.
    used = {node.domain for node in model.graph.node}
    needed = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(needed)
    _leave_output(model.graph)
    return model


def _leave_output(graph) -> None:
    """Take the quantiser of the graph's output away, if there is one, with its numbers: nothing computes with them."""
    made_by = {node.output[0]: node for node in graph.node}
    last = made_by[graph.output[0].name]
    if last.op_type == "DequantizeLinear":
        first = made_by[last.input[0]]
        made_by[first.input[0]].output[0] = last.output[0]
        graph.node.remove(last)
        graph.node.remove(first)
    read = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _without_marks(data: bytes):
    """The model without its quantisers, and the scale and zero point of each by the tensor that it stands behind."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(data)
    graph = model.graph
    values = {each.name: each for each in graph.initializer}
    marks = {node.output[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    instead, ranges = {}, {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            behind, *by = marks[node.input[0]].input
            # Of quantisers in a row the first says the range: what the others read is rounded by it.
            behind = instead[node.output[0]] = instead.get(behind, behind)
            scale, zero_point = (numpy_helper.to_array(values[name]) for name in by)
            ranges.setdefault(behind, [{"scale": scale, "zero_point": zero_point}])
    kept = [node for node in graph.node if node.op_type not in ("QuantizeLinear", "DequantizeLinear")]
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = instead.get(name, name)
    read = {name for node in kept for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(each for name, each in values.items() if name in read)
    return model, ranges
