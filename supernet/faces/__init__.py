"""Faces: `importers` and `synthetic` end in a `store`, whose rows a `manifest` describes.

`drawing` paints synthetic faces on a `canvas`. `face_set` opens the splits of a store; `augmentation` turns pixels into
network input on the device.
"""
