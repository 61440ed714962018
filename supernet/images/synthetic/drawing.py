"""Drawing of generated faces: all images of one person at once, by smooth masks on a coordinate grid. numpy only.

Each part of a face is a short function that lays masks over the picture, back to front; `draw` gives the order.

Lengths are in half image sides: the picture spans [-1, 1] to the right (x) and downwards (y), and a face is about
1.0 wide and 1.35 high. Shape legend: N images, S side in pixels. Masks are (N, S, S), colours (3, N, S, S) in [0, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dualfair.supernet.images.synthetic.canvas import HEAD_HEIGHT, HEAD_WIDTH, Canvas, Views, bump, develop

Traits = Mapping[str, float]


@dataclass(frozen=True)
class Texture:
    """A sum of oriented cosines on the skin: wave vectors (K, 2) in cycles a unit, phases and amplitudes (K,)."""

    waves: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray


def draw(traits: Traits, texture: Texture, views: Views, noise: np.ndarray, size: int) -> np.ndarray:
    """All images of one person: uint8 (N, size, size, 3).

    `traits` are the person's numbers, `views` what differs between images, arrays (N, 1, 1); `noise` is (N, 64, 64, 3)
    of standard normal numbers. The same arguments give the same picture at every size, sharper or coarser.
    """
    canvas = Canvas(views, size)
    _behind_the_face(canvas, traits, views)
    face = _face(canvas, traits, views)
    _skin(canvas, face, traits, texture)
    _lines(canvas, face, traits, views)
    _eyes(canvas, traits, views)
    _nose(canvas, traits, views)
    _mouth(canvas, traits, views)
    _hair(canvas, traits, views)
    _light(canvas, views)
    _background(canvas, views)
    _occlusion(canvas, traits, views)
    return develop(canvas.paint, views, noise)


def _skin_colour(traits: Traits) -> tuple[float, float, float]:
    tone, warmth = traits["skin_tone"], traits["skin_warmth"]
    return tone * (1.0 + 0.06 * warmth), tone * (0.80 - 0.02 * warmth), tone * (0.68 - 0.06 * warmth)


def _hair_colour(traits: Traits) -> tuple[float, float, float]:
    tone, warmth = traits["hair_tone"], traits["hair_warmth"]
    return tone * (1.05 + 0.15 * warmth), tone * (0.82 - 0.02 * warmth), tone * (0.62 - 0.15 * warmth)


def _behind_the_face(canvas: Canvas, traits: Traits, views: Views) -> None:
    """Hair behind the head, neck, shoulders and ears."""
    u, v = canvas.u, canvas.v
    skin, width = _skin_colour(traits), traits["face_width"]
    # Hair falls behind the neck from the crown to the person's hair length.
    reach = width + 0.06 + traits["hair_volume"] + views["hair_volume"]
    spread = np.abs(u) - reach * (1 + 0.12 * np.clip(v, -0.5, 1))
    fall = np.maximum(spread, np.maximum(v - traits["hair_length"] - views["hair_length"], -v - 0.2))
    crown = np.maximum(_outer(canvas, traits, views), v - 0.1)
    canvas.outline(canvas.inside(np.minimum(fall, crown), 0.06), [0.82 * part for part in _hair_colour(traits)])
    neck = np.maximum(np.abs(u - 0.2 * views["yaw"]) - traits["neck_width"] - np.maximum(v - 0.8, 0), 0.3 - v)
    canvas.outline(canvas.inside(neck), [0.86 * part for part in skin])
    canvas.darken(bump((v - traits["chin"] - 0.02) / 0.10) * canvas.inside(neck), 0.40)
    shoulders = 0.92 + 0.35 * u * u - 0.12 * bump(u / 0.5) + 0.22 * bump(u / 0.16) - v
    clothes = [views[f"clothes_{name}"] for name in ("red", "green", "blue")]
    canvas.outline(canvas.inside(shoulders), clothes)
    # The ear on the far side of a turned head disappears behind the cheek.
    far = np.sign(u) * views["yaw"]
    ear_x = (np.abs(u) - width - 0.01 + 0.10 * far) / (0.085 * traits["ear_size"])
    ear_y = (v - traits["ear_height"] - 0.3 * views["pitch"]) / (0.15 * traits["ear_size"])
    ear = (np.sqrt(ear_x**2 + ear_y**2) - 1) * 0.085
    canvas.outline(canvas.inside(ear), [0.90 * part for part in skin])
    canvas.darken(bump(ear_x / 0.45, ear_y / 0.5), 0.25)


def _face(canvas: Canvas, traits: Traits, views: Views) -> np.ndarray:
    """The mask of the face: an ellipse whose lower half narrows to the chin and squares at the jaw."""
    u, v = canvas.u - 0.08 * views["yaw"], canvas.v - 0.06 * views["pitch"]
    low = np.clip(v, 0, 1)
    width = traits["face_width"] * (1 - traits["jaw_taper"] * low * low)
    height = np.where(v > 0, traits["chin"] + 0.05 * views["mouth_open"], traits["forehead"])
    a2, b2 = (u / width) ** 2, (v / height) ** 2
    corner = np.where(v > 0, np.float32(traits["jaw_square"]), np.float32(0.1))
    distance = (np.sqrt(np.maximum(a2 + b2 - corner * a2 * b2, 1e-6)) - 1) * traits["face_width"]
    mask = canvas.inside(distance)
    canvas.outline(mask, _skin_colour(traits))
    return mask


def _skin(canvas: Canvas, face: np.ndarray, traits: Traits, texture: Texture) -> None:
    """Skin texture, freckles and blush."""
    s, t = canvas.s, canvas.t
    relief = np.zeros_like(s)
    for (along, down), phase, amplitude in zip(texture.waves, texture.phases, texture.amplitudes, strict=True):
        relief += amplitude * np.cos(2 * np.pi * (along * s + down * t) + phase)
    canvas.darken(face, -relief)
    cheek = bump((canvas.side - 0.30) / 0.13, (t - 0.18) / 0.13)
    canvas.darken(face * cheek, traits["blush"], (0.0, 1.0, 0.8))
    speckle = np.cos(26 * s + 3 * np.sin(9 * t + 1)) * np.cos(24 * t + 3 * np.sin(11 * s))
    canvas.darken(face * np.clip(2.5 * speckle - 1.2, 0, 1) * bump(s / 0.35, (t - 0.10) / 0.15), traits["freckles"])


def _lines(canvas: Canvas, face: np.ndarray, traits: Traits, views: Views) -> None:
    """Lines of age: forehead, folds from nose to mouth, and below the eyes. They deepen with expression."""
    s, t, side = canvas.s, canvas.t, canvas.side
    age = traits["age_lines"]
    furrows = np.clip(np.cos((t + 0.42 - 0.15 * s * s) * 70) - 0.3, 0, 1)
    canvas.darken(face * furrows * bump(s / 0.22, (t + 0.42) / 0.07), 0.45 * age)
    fold_x = side - traits["nose_width"] - 0.04 - 0.45 * (t - traits["nose_length"])
    fold = bump(fold_x / 0.02, (t - traits["nose_length"] - 0.10) / 0.09)
    canvas.darken(face * fold, age * 0.45 + 0.25 * np.maximum(views["smile"], 0))
    pouch = t - traits["eye_height"] - 0.13 + 1.2 * (side - traits["eye_spacing"]) ** 2
    canvas.darken(bump(pouch / 0.025, (side - traits["eye_spacing"]) / 0.08), 0.12 + 0.35 * age)


def _eyes(canvas: Canvas, traits: Traits, views: Views) -> None:
    """Both eyes and brows at once, in coordinates that run outwards from the nose."""
    out = canvas.side - traits["eye_spacing"]
    size = traits["eye_size"]
    along = out / size
    level = canvas.t - traits["eye_height"] + traits["eye_tilt"] * out
    opening = size * traits["eye_round"] * views["eye_open"]
    canvas.darken(bump(along / 1.0, (level + 0.06) / 0.08), 0.22 * traits["eye_depth"])
    lid = opening * (1 - along * along)
    eye = canvas.inside(np.abs(level) - lid)
    canvas.cover(eye, (0.93, 0.92, 0.90))
    gaze = out - np.sign(canvas.s) * views["gaze_x"]
    ring = np.sqrt(gaze**2 + (level - views["gaze_y"]) ** 2)
    iris = 0.62 * size * 0.78
    tone, hue = traits["iris_tone"], traits["iris_hue"]
    colour = (tone * (1 - 0.3 * hue), tone * (0.75 + 0.1 * hue), tone * (0.5 + 0.6 * hue))
    canvas.cover(eye * canvas.inside(ring - iris), colour)
    canvas.cover(eye * canvas.inside(ring - 0.45 * iris), (0.05, 0.04, 0.04))
    spark = bump((canvas.side - traits["eye_spacing"] + 0.02) / 0.016, (level + 0.02) / 0.016)
    canvas.cover(0.8 * eye * spark, (1.0, 1.0, 1.0))
    lash = bump((level + lid) / (0.016 + 0.3 * canvas.pixel)) * canvas.inside(np.abs(along) - 1.05, 0.1)
    canvas.darken(lash, 0.75)
    crease = bump((level + lid + 0.055) / 0.016) * canvas.inside(np.abs(along) - 0.9, 0.2)
    canvas.darken(crease, 0.22)
    brow = (canvas.side - traits["eye_spacing"] - 0.01) / traits["brow_length"]
    arch = traits["brow_arch"] * (1 - brow * brow) + traits["brow_tilt"] * (canvas.side - traits["eye_spacing"])
    offset = canvas.t - traits["eye_height"] + traits["brow_height"] + views["brow_raise"] + arch
    thick = traits["brow_thickness"] * (1 - 0.35 * brow)
    mask = canvas.inside(np.maximum(np.abs(offset) - thick, (np.abs(brow) - 1) * 0.1), 0.03)
    canvas.cover(0.85 * mask, [0.6 * part for part in _hair_colour(traits)])


def _nose(canvas: Canvas, traits: Traits, views: Views) -> None:
    """Ridge, tip and wings; the nose stands out of the face, so it moves further when the head turns."""
    s, t = canvas.s - 0.14 * views["yaw"], canvas.t - 0.10 * views["pitch"]
    width, tip = traits["nose_width"], traits["nose_length"]
    ridge = 0.5 * width * traits["nose_bridge"] * (1 + 0.8 * np.clip((t + 0.1) / (tip + 0.1), 0, 1))
    flank = s / ridge
    run = canvas.inside(t - tip + 0.02, 0.10) * canvas.inside(traits["eye_height"] - 0.02 - t, 0.16)
    # The derivative of a bump: one flank in the light, the other in shade.
    slope = flank * bump(flank) * run
    canvas.darken(slope, -views["light_x"] * 0.42)
    canvas.darken(bump((np.abs(s) - 1.2 * ridge) / 0.03) * run, 0.10)
    canvas.darken(bump(s / (0.45 * width), (t - tip + 0.07) / 0.05), -0.10)
    under = bump(s / (0.75 * width), (t - tip - 0.015) / 0.022)
    canvas.darken(under, 0.32)
    nostril = bump((np.abs(s) - 0.48 * width) / (0.20 * width), (t - tip) / 0.020)
    canvas.darken(nostril, 0.55)
    wing = bump((np.abs(s) - width - 0.3 * (t - tip + 0.03)) / 0.020, (t - tip + 0.03) / 0.045)
    canvas.darken(wing, 0.35)


def _mouth(canvas: Canvas, traits: Traits, views: Views) -> None:
    """Lips along a parabola that a smile bends and widens; an open mouth shows teeth and dark."""
    s, t = canvas.s - 0.05 * views["yaw"], canvas.t
    along = s / (traits["mouth_width"] * (1 + 0.25 * views["smile"]))
    taper = np.maximum(1 - along * along, 0)
    line = t - traits["mouth_height"] + 0.16 * views["smile"] * (along * along - 0.4)
    gap = 0.11 * views["mouth_open"]
    bow = 1 - 0.30 * bump(along / 0.16)
    upper = -line - traits["lip_upper"] * taper * bow
    lower = line - (gap + traits["lip_lower"]) * taper
    ends = (np.abs(along) - 1) * 0.1
    skin = _skin_colour(traits)
    lip = canvas.inside(np.maximum(np.maximum(upper, lower), ends), 0.03)
    redness = traits["lip_redness"]
    canvas.cover(0.9 * lip, (skin[0] * 0.88, skin[1] * (0.70 - redness), skin[2] * (0.74 - redness)))
    inner = canvas.inside(np.maximum(np.abs(line - gap * taper / 2) - gap * taper / 2, ends))
    canvas.cover(inner, (0.22, 0.07, 0.07))
    canvas.cover(
        inner * canvas.inside(line - 0.45 * gap * taper) * canvas.inside(np.abs(along) - 0.75), (0.9, 0.88, 0.84)
    )
    canvas.darken(bump(line / (0.012 + 0.2 * canvas.pixel)) * canvas.inside(np.abs(along) - 1.03, 0.08), 0.55)
    canvas.darken(bump(s / 0.16, (line - gap - traits["lip_lower"] - 0.04) / 0.028), 0.20)


def _outer(canvas: Canvas, traits: Traits, views: Views) -> np.ndarray:
    """Signed distance to the outline of the hair on the head."""
    volume = 0.05 + traits["hair_volume"] + views["hair_volume"]
    across, down = canvas.u / (traits["face_width"] + volume), (canvas.v + 0.02) / (traits["forehead"] + volume)
    return (np.sqrt(across * across + down * down) - 1) * traits["face_width"]


def _hair(canvas: Canvas, traits: Traits, views: Views) -> None:
    """Hair on the head: between the outer outline and the hairline."""
    u, v, s = canvas.u, canvas.v, canvas.s
    # A turned head shows hair at the temple behind, not a gap.
    sides = np.maximum(np.abs(s), np.abs(u)) / traits["face_width"]
    middle = traits["hair_part"] + views["hair_part"]
    part = (s - middle) / traits["face_width"]
    line = (
        traits["hair_line"]
        + (traits["hair_curve"] + views["hair_curve"]) * part * part
        - 0.10 * bump(part / 0.12) * traits["hair_fringe"]
    )
    # Beside the eyes the hairline drops to the temples.
    line = line + 2.2 * np.maximum(sides - traits["hair_temple"], 0) - views["hair_lift"]
    hair = np.maximum(_outer(canvas, traits, views), canvas.t - line)
    hair = np.maximum(hair, v - np.minimum(traits["hair_length"] + views["hair_length"], 0.25) - 0.5 * (sides - 1))
    mask = canvas.inside(hair, 0.05)
    strands = 1 + 0.10 * np.cos(34 * np.arctan2(s - middle, 0.9 - v) + 5 * v) + 0.25 * bump((v + 0.62) / 0.10)
    canvas.outline(mask, [part * strands for part in _hair_colour(traits)])


def _light(canvas: Canvas, views: Views) -> None:
    """A lamp of some direction, strength and colour over an ambient light, on the head's ellipsoid."""
    facing = canvas.u / HEAD_WIDTH * views["light_x"] + canvas.v / HEAD_HEIGHT * views["light_y"] + 0.75 * canvas.depth
    shade = views["ambient"] + views["lamp"] * np.clip(facing, -0.6, 1.2)
    for channel, name in zip(canvas.paint, ("red", "green", "blue"), strict=True):
        channel *= shade * views[f"light_{name}"]


def _background(canvas: Canvas, views: Views) -> None:
    slope = canvas.x * views["ground_slope_x"] + canvas.y * views["ground_slope_y"]
    wave = np.sin(canvas.x * views["ground_wave_x"] + canvas.y * views["ground_wave_y"] + views["ground_phase"])
    ground = views["ground"] + slope + 0.07 * wave
    for channel, name in zip(canvas.paint, ("red", "green", "blue"), strict=True):
        channel += (1 - canvas.figure) * ground * (1 + views[f"ground_{name}"])


def _occlusion(canvas: Canvas, traits: Traits, views: Views) -> None:
    """Sunglasses, and a patch such as a hand or a scarf, on some of the images."""
    glass_x = ((canvas.side - traits["eye_spacing"]) / 0.19) ** 2
    glass_y = ((canvas.t - traits["eye_height"]) / 0.135) ** 2
    glass = glass_x * glass_x + glass_y * glass_y - 1
    bridge = np.maximum(np.abs(canvas.t - traits["eye_height"] + 0.05) - 0.02, canvas.side - 0.5)
    mask = np.maximum(canvas.inside(0.1 * glass), canvas.inside(bridge)) * views["sunglasses"]
    canvas.cover(mask, (0.07, 0.07, 0.08))
    patch = np.maximum(
        np.abs(canvas.x - views["patch_x"]) / views["patch_w"], np.abs(canvas.y - views["patch_y"]) / views["patch_h"]
    )
    tone = views["patch_tone"]
    canvas.cover(canvas.inside(0.2 * (patch - 1)) * views["patch"], (tone, tone, tone))
