"""Faces of people who do not exist, generated from a seed, with groups that are recognised by different cues.

The groups are abstract. Skin tone, hair and every other trait that is not shape or skin texture has one distribution
for all of them, and the average face is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dualfair.supernet.images.synthetic.canvas import SENSOR
from dualfair.supernet.images.synthetic.drawing import Texture, draw

# Every number that makes the set easy or hard stands in the tables below. They are balanced for 48 px, bias 0.5 and two
# groups: small networks, trained for minutes, confuse a quarter of the unseen faces, raw pixels most of them.

SHAPE = {
    # Trait: (mean, standard deviation over people), in half image sides unless a ratio. The group's shape cue scales
    # the deviations, so the mean face is everyone's; they are as wide as features can vary without collisions.
    "face_width": (0.50, 0.045),
    "forehead": (0.72, 0.04),
    "chin": (0.70, 0.05),
    "jaw_taper": (0.48, 0.16),
    "jaw_square": (0.25, 0.22),
    "neck_width": (0.26, 0.025),
    "ear_size": (1.0, 0.15),
    "ear_height": (0.06, 0.04),
    "eye_spacing": (0.215, 0.024),
    "eye_height": (-0.06, 0.035),
    "eye_size": (0.105, 0.014),
    "eye_round": (0.50, 0.09),
    "eye_tilt": (0.06, 0.13),
    "eye_depth": (1.0, 0.45),
    "brow_height": (0.155, 0.026),
    "brow_arch": (0.025, 0.02),
    "brow_tilt": (0.05, 0.13),
    "brow_length": (0.135, 0.018),
    "brow_thickness": (0.026, 0.009),
    "nose_length": (0.25, 0.04),
    "nose_width": (0.105, 0.02),
    "nose_bridge": (0.75, 0.15),
    "mouth_height": (0.43, 0.03),
    "mouth_width": (0.19, 0.03),
    "lip_upper": (0.035, 0.012),
    "lip_lower": (0.048, 0.014),
}

APPEARANCE = {
    # Trait: (mean, standard deviation), the same in all groups. Wide enough to tell a fair from a dark-haired person,
    # too narrow to name anyone: otherwise colour alone would serve both groups and no cue would matter.
    "skin_tone": (0.8, 0.1),
    "skin_warmth": (0, 0.9),
    "blush": (0.12, 0.08),
    "freckles": (0.02, 0.10),
    "age_lines": (0.25, 0.30),
    "hair_tone": (0.32, 0.16),
    "hair_warmth": (0, 0.9),
    "hair_line": (-0.44, 0.05),
    "hair_curve": (0.14, 0.08),
    "hair_part": (0, 0.14),
    "hair_fringe": (0.4, 0.4),
    "hair_temple": (0.84, 0.05),
    "hair_volume": (0.05, 0.025),
    "hair_length": (0.35, 0.38),
    "iris_tone": (0.36, 0.12),
    "iris_hue": (0.3, 0.5),
    "lip_redness": (0.12, 0.07),
}

NOT_NEGATIVE = ("blush", "freckles", "age_lines", "hair_fringe", "eye_depth", "lip_redness", "lip_upper", "lip_lower")
"""Traits that are cut at zero: many people have no freckles at all."""

WIDEST_TRAIT = 2.0
"""Traits are clipped at this many standard deviations, so that nobody's face falls apart."""

TEXTURE_WAVES = 4
"""Cosines in a person's skin texture: fewer look like stripes, more look all alike."""
TEXTURE_CYCLES = (6.0, 10.0)
"""Cycles of those across a face: mostly coarse enough to survive 32 px, too fine for the shape of a face."""
TEXTURE_AMPLITUDE = 0.09
"""Root mean square of the skin texture, as a share of the skin's brightness, for the texture cue 1."""

VIEW = {
    # What differs between images of a person: (lowest, highest), uniform. Shifts, light, hair-dos and backgrounds are
    # strong enough to mislead raw pixels; wider ranges cost a small network more epochs than a demonstration has.
    "shift_x": (-0.06, 0.06),
    "shift_y": (-0.03, 0.06),
    "scale": (0.94, 1.06),
    "roll": (-0.08, 0.08),
    "yaw": (-0.16, 0.16),
    "pitch": (-0.07, 0.07),
    "smile": (-0.15, 0.65),
    "mouth_open": (-0.6, 0.6),
    "eye_open": (0.65, 1.1),
    "brow_raise": (-0.01, 0.03),
    "gaze_x": (-0.02, 0.02),
    "gaze_y": (-0.01, 0.01),
    "light_x": (-0.6, 0.6),
    "light_y": (-0.4, 0.1),
    "ambient": (0.55, 0.7),
    "lamp": (0.38, 0.58),
    "light_red": (0.95, 1.06),
    "light_green": (0.97, 1.03),
    "light_blue": (0.93, 1.06),
    "hair_volume": (-0.02, 0.03),
    "hair_lift": (-0.03, 0.03),
    "hair_curve": (-0.05, 0.05),
    "hair_part": (-0.12, 0.12),
    "hair_length": (-0.2, 0.25),
    "ground": (0.3, 0.7),
    "ground_red": (-0.18, 0.18),
    "ground_green": (-0.15, 0.15),
    "ground_blue": (-0.18, 0.18),
    "ground_slope_x": (-0.12, 0.12),
    "ground_slope_y": (-0.12, 0.12),
    "ground_wave_x": (-3, 3),
    "ground_wave_y": (-3, 3),
    "ground_phase": (0.0, 6.3),
    "clothes_red": (0.2, 0.6),
    "clothes_green": (0.2, 0.6),
    "clothes_blue": (0.2, 0.6),
    "blur": (0.01, 0.022),
    "blur_ratio": (0.75, 1.33),
    "contrast": (0.82, 1.04),
    "brightness": (-0.04, 0.04),
    "noise": (0.02, 0.045),
    "patch_x": (-0.6, 0.6),
    "patch_y": (-0.6, 0.8),
    "patch_w": (0.12, 0.30),
    "patch_h": (0.12, 0.30),
    "patch_tone": (0.1, 0.8),
    "sunglasses": (0.0, 1.0),
    "patch": (0.0, 1.0),
}

SUNGLASSES, PATCH = 0.06, 0.10
"""Shares of the images with sunglasses and with a patch somewhere: so no single feature suffices."""

CUES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where a group stands between texture (0) and shape (1): 0.5 for all at bias 0, 0.25 and 0.75 for two at bias 0.5."""
SHAPE_CUE = (0.1, 0.2, 0.55, 0.65, 0.7)
"""Factor on the spread of shape at those places."""
TEXTURE_CUE = (1.4, 1.35, 0.8, 0.15, 0.05)
"""Factor on the skin texture at those places; set so that two groups are about equally hard on average at bias 0.5."""

LAST_GROUP_BLUR, LAST_GROUP_CONTRAST, LAST_GROUP_NOISE = 1.4, 0.78, 1.4
"""Factors on blur, contrast and noise of the last group at bias 1; 1 for everyone at bias 0. Its images say less."""


@dataclass(frozen=True, kw_only=True)
class SyntheticFaces:
    """What to generate; raises ValueError for a number out of its range.

    With `bias` 0 the groups are exchangeable. The more bias, the more the first group's people differ in fine skin
    texture alone and the last group's in the shape of face and features alone (further groups lie evenly between),
    and the more the last group's images are blurred, dull and noisy.
    """

    identities: int = 200
    """People, dealt to the groups in turn."""
    images: int = 16
    """Images of every person."""
    size: int = 48
    """Side of the images in pixels, 16 or more."""
    groups: tuple[str, ...] | int = ("a", "b")
    """Names of two or more groups, or their number; then they are called a, b, c, ..."""
    bias: float = 0.5
    """How differently the groups are recognised, 0 to 1."""
    seed: int = 0
    """Same seed, same faces."""

    def __post_init__(self) -> None:
        if isinstance(self.groups, int):
            if not 2 <= self.groups <= 26:
                raise ValueError(
                    f"groups must be 2 to 26 when given as a count, got {self.groups}; or give their names"
                )
            object.__setattr__(self, "groups", tuple(chr(ord("a") + number) for number in range(self.groups)))
        if isinstance(self.groups, str):
            raise ValueError(f"groups must be a count or a sequence of names, got {self.groups!r}")
        object.__setattr__(self, "groups", tuple(self.groups))
        if len(self.groups) < 2 or len(set(self.groups)) < len(self.groups) or not all(self.groups):
            raise ValueError(f"groups must be two or more different names, got {', '.join(map(repr, self.groups))}")
        if self.identities < len(self.groups):
            raise ValueError(
                f"identities must be at least the number of groups ({len(self.groups)}), got {self.identities}"
            )
        if self.images < 1:
            raise ValueError(f"images must be 1 or more per identity, got {self.images}")
        if self.size < 16:
            raise ValueError(f"size must be 16 px or more for a face to be seen, got {self.size}")
        if not 0 <= self.bias <= 1:
            raise ValueError(f"bias must lie between 0 (groups exchangeable) and 1, got {self.bias}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")


def synthesize(config: SyntheticFaces) -> Iterator[tuple[str, str, np.ndarray]]:
    """Person after person: (identity, group, images uint8 (config.images, size, size, 3) RGB).

    The k-th person depends on `seed`, k and k's group only, and the n-th image of a person not on how many there are:
    more identities or images start with the same ones, and another size shows the same pictures.
    """
    for number in range(config.identities):
        place = number % len(config.groups)
        images = _person(config, number, place / (len(config.groups) - 1))
        yield f"p{number:06d}", config.groups[place], images


def _person(config: SyntheticFaces, number: int, place: float) -> np.ndarray:
    """The images of one person whose group lies at `place`, 0 the first group and 1 the last."""
    cue = 0.5 + config.bias * (place - 0.5)
    shape_cue, texture_cue = np.interp(cue, CUES, SHAPE_CUE), np.interp(cue, CUES, TEXTURE_CUE)
    people, scenes, sensor = (np.random.default_rng([config.seed, number, stream]) for stream in range(3))
    traits = _traits(people, float(shape_cue))
    texture = _texture(people, float(texture_cue))
    views = _views(scenes, config.images, config.bias * place)
    noise = sensor.standard_normal((config.images, SENSOR, SENSOR, 3), dtype=np.float32)
    return draw(traits, texture, views, noise, config.size)


def _traits(rng: np.random.Generator, shape_cue: float) -> dict[str, float]:
    traits = {}
    for table, spread in ((SHAPE, shape_cue), (APPEARANCE, 1.0)):
        draws = np.clip(rng.standard_normal(len(table)), -WIDEST_TRAIT, WIDEST_TRAIT)
        for (name, (mean, deviation)), value in zip(table.items(), draws, strict=True):
            traits[name] = float(mean + spread * deviation * value)
    return {name: max(value, 0.0) if name in NOT_NEGATIVE else value for name, value in traits.items()}


def _texture(rng: np.random.Generator, texture_cue: float) -> Texture:
    # A face is about one unit wide, so cycles a unit are cycles a face.
    cycles = rng.uniform(*TEXTURE_CYCLES, TEXTURE_WAVES)
    angles = rng.uniform(0, np.pi, TEXTURE_WAVES)
    waves = cycles[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    phases = rng.uniform(0, 2 * np.pi, TEXTURE_WAVES)
    shares = rng.uniform(0.4, 1.0, TEXTURE_WAVES)
    amplitudes = shares * texture_cue * TEXTURE_AMPLITUDE * np.sqrt(2 / np.sum(shares**2))
    return Texture(waves.astype(np.float32), phases.astype(np.float32), amplitudes.astype(np.float32))


def _views(rng: np.random.Generator, images: int, worse: float) -> dict[str, np.ndarray]:
    """Pose, light, expression, camera and occlusion of every image, arrays (images, 1, 1)."""
    low, high = np.array(list(VIEW.values())).T
    draws = (low + (high - low) * rng.random((images, len(VIEW)))).astype(np.float32)
    views = {name: draws[:, place, None, None] for place, name in enumerate(VIEW)}
    views["mouth_open"] = np.maximum(views["mouth_open"], 0)
    views["sunglasses"] = (views["sunglasses"] < SUNGLASSES).astype(np.float32)
    views["patch"] = (views["patch"] < PATCH).astype(np.float32)
    for name, factor in (("blur", LAST_GROUP_BLUR), ("contrast", LAST_GROUP_CONTRAST), ("noise", LAST_GROUP_NOISE)):
        views[name] = views[name] * np.float32(1 + worse * (factor - 1))
    return views
