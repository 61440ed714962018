"""Faces: a data set on the disk, or generated people, becomes a `store`, whose rows a `manifest` describes.

`datasets` is the table of importers (`celeba`, `vggface2` and the rest); each returns a `listing`, which `importers`
reads into a store, with a `journal` to continue from. `containers` reads images out of `recordio` and
`verification_bin` files, `alignment` turns faces by landmarks, `balance` evens out groups, `pairs` are published
verification pairs, and `inspection` looks for faults in a store.

`synthetic` makes people who do not exist: `drawing` paints them on a `canvas`. `face_set` opens the splits of a store;
`feed` has their images on the device before they are asked for, and `augmentation` turns pixels into network input.
"""
