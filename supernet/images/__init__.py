"""Images: a data set on the disk, or generated people, becomes a `store`, whose rows a `manifest` describes.

`importers` read data sets and `decoding` their pictures, `synthetic` makes people who do not exist, `noise` images
without content. `pairs` are published verification pairs, and `inspection` looks for faults in a store. `face_set`
opens the splits of a store, `choice` the images that are evaluated; `loader` has their images on the device before they
are asked for, and `augmentation` turns pixels into network input.
"""

PEOPLE = "people"
"""What images are counted in, and resampled by, where people are known."""
DROP_UNKNOWN = "Leave out images without identity, and people without a group or with two groups in equal number."
"""What `labels.known_labels` does where it is asked to, in the words of an option; here, so that it needs no numpy."""

IDENTIFICATION, CLASSIFICATION = "identification", "classification"
"""What a set of images is for: to tell people apart, also new ones; or to tell classes apart."""
