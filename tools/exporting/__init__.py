"""The parts of `dualfair export`: `source` finds the network that is meant and measures it, `export` tells all about it
as data and writes the files, `card` tells it in words.

`supernet.production.exported` opens what was written.
"""

FORMATS = ("timm", "onnx", "state")
"""What a network is exported as; "onnx" is "timm" and an ONNX model."""
