"""The parts of `dualfair export`: `source` finds the network that is meant and measures it, `description` tells all
about it as data, `card` in words, and `export` writes the files.

`supernet.production.exported` opens what was written.
"""

FORMATS = ("timm", "onnx", "state")
"""What a network is exported as; "onnx" is "timm" and an ONNX model."""
