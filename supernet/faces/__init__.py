"""Faces: `importers` and `synthetic` (drawn by `drawing`) end in a `store`, whose rows a `manifest` describes.

`face_set` opens the splits of a store; `augmentation` turns pixels into network input on the device.
"""
