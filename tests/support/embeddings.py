"""Embeddings for tests."""

import numpy as np


def clustered(people=20, images=5, noise=1.2, seed=0):
    """Embeddings around a centre a person, wider for group b; with identities and groups."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(people, 6)), images, axis=0)
    spread = np.repeat(np.where(np.arange(people) % 2, noise, noise / 3), images)[:, None]
    identities = np.repeat([f"p{person:02d}" for person in range(people)], images)
    groups = np.where(np.repeat(np.arange(people) % 2, images), "b", "a")
    return centres + spread * rng.normal(size=centres.shape), identities, groups
