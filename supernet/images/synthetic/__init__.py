"""Faces of `people` who do not exist: `drawing` paints them on a `canvas`."""
