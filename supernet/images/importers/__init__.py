"""From images as they lie on a disk to a faces folder.

`datasets` is the table of importers (`celeba`, `vggface2` and the rest); each returns a `listing`, which `importing`
reads into a store, image by image (`reading`), with a `journal` to continue from. `tree` looks at every file below a
folder, for `folders` of people; `table` takes the user's own CSV. `containers` reads images out of `recordio` and
`verification_bin` files, `alignment` turns faces by landmarks, `balance` evens out groups.
"""
