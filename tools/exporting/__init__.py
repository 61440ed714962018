"""The parts of `dualfair export`: `source` finds the network that is meant, `measured` takes its numbers, `description`
says everything about it as data, `card` in words, `onnx_file` makes and checks the ONNX model, `folder` knows the
files, and `export` writes them.

`supernet.production.exported` opens what was written.
"""
