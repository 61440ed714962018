"""From images as they lie on a disk to a faces folder.

`datasets` is the table of importers (`celeba`, `vggface2` and the rest); each returns a `listing`, which `importing`
reads into a store, with a `journal` to continue from. `containers` reads images out of `recordio` and
`verification_bin` files, `alignment` turns faces by landmarks, `balance` evens out groups.
"""
