"""The parts of `dualfair export`: `source` finds the network that is meant, `description` says everything about it as
data, `card` in words, `onnx_file` makes and checks the ONNX model, and `folder` writes it all.

`supernet.production.exported` opens what was written.
"""
