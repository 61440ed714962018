"""A network as ONNX: exported, stripped of this machine's paths, and compared with torch image by image."""

import logging
import warnings
from dataclasses import dataclass
from importlib.util import find_spec

OPSET = 18
FILE = "model.onnx"
INPUT, EMBEDDINGS, SCORES = "images", "embeddings", "class_scores"
"""What goes in, and what comes out: of networks that are judged by class scores, these."""
NEEDED = ("onnx", "onnxscript", "onnxruntime")
LEAST_COSINE = 0.9999
LEAST_OF_INTEGERS = 0.8
"""Integers add what is rounded between the quantisers of a simulation: over these images 0.978 was the least of twelve
small networks, and 0.90 that of a transformer."""
BATCHES = (1, 2, 7)
COMPARED = 70


@dataclass(frozen=True)
class Agreement:
    """How an ONNX model agrees with torch over so many images: the smallest cosine of the two outputs of an image,
    embeddings or class scores, and the largest difference relative to the output's length."""

    images: int
    smallest_cosine: float
    largest_relative_difference: float


def check_packages() -> None:
    """Raise ValueError naming the packages that exporting needs and this machine lacks."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ValueError(f"ONNX needs {', '.join(missing)}; run: pip install 'dualfair[onnx]'")


def to_onnx(model, size: int, output: str = EMBEDDINGS) -> bytes:
    """A model of images (batch, 3, size, size) as the bytes of an ONNX file, the batch free, that names its `output`;
    the same for the same weights. Raises ValueError where torch cannot translate it."""
    import onnx
    import torch

    images = torch.zeros(2, 3, size, size)
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                (images,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[output],
                opset_version=OPSET,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"torch cannot export this network to ONNX ({reason})") from error
    finally:
        exporter.setLevel(level)
    proto = program.model_proto
    _strip(proto)
    onnx.checker.check_model(proto)
    return proto.SerializeToString(deterministic=True)


def compare(model, data: bytes, size: int, least: float = LEAST_COSINE) -> Agreement:
    """Compare torch and onnxruntime over COMPARED generated images in batches of 1, 2 and 7.

    Raises ValueError where the cosine of an image is below `least`, or an output is not finite.
    """
    import torch
    from torch.nn.functional import cosine_similarity

    session = open_session(data)
    cosines, differences = [], []
    for images in _batches(size):
        with torch.no_grad():
            expected = model(images).double()
        computed = torch.from_numpy(session.run(None, {INPUT: images.numpy()})[0]).double()
        cosines += cosine_similarity(expected, computed).tolist()
        differences += ((expected - computed).norm(dim=1) / expected.norm(dim=1)).tolist()
    agreement = Agreement(len(cosines), min(cosines), max(differences))
    # A cosine of not-a-number is no smaller than anything.
    if not all(cosine >= least for cosine in cosines):
        raise ValueError(
            f"onnxruntime and torch do not agree: smallest cosine {agreement.smallest_cosine:.6f} over "
            f"{agreement.images} images, {least} is needed; nothing was written, take another --format"
        )
    return agreement


def open_session(data: bytes, threads: int = 0):
    """An onnxruntime session on the CPU that says nothing but errors; 0 threads leaves their number to it. Raises
    ValueError for what is no network."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"onnxruntime cannot open this network ({' '.join(str(error).split())[:200]})") from error


def _batches(size: int):
    """Images unlike each other: patches of colour of several sizes with noise, in [-1, 1], drawn by a fixed seed."""
    import torch
    from torch.nn.functional import interpolate

    generator = torch.Generator().manual_seed(0)
    drawn = 0
    while drawn < COMPARED:
        for number in BATCHES:
            cells = (3, 6, 12, 24)[drawn % 4]
            patches = torch.rand(number, 3, cells, cells, generator=generator) * 2 - 1
            noise = torch.randn(number, 3, size, size, generator=generator) * 0.1
            yield (interpolate(patches, size=(size, size), mode="bilinear") + noise).clamp(-1, 1)
            drawn += number


def _strip(proto) -> None:
    """Take out where in the source a layer came from: it holds this machine's folders."""
    graph, functions = proto.graph, proto.functions
    parts = [*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]
    parts += [part for function in functions for part in (*function.node, *function.value_info)]
    for part in (proto, graph, *functions, *parts):
        part.doc_string = ""
        del part.metadata_props[:]
