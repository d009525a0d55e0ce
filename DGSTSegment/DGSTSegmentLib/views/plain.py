"""Drawing without OpenGL: slices by resampling, the 3D panel by marching parallel rays to the first surface."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..imaging.resample import resample_to
from ..imaging.volume import Volume
from .anatomy import softened
from .panels import Panel
from .picture import Overlay
from .style import BACKGROUND, BONE, FILL_OPACITY, OPACITY_3D, OUTLINE_PIXELS, SKIN

FINER = 2
STEP_MM = 1.5
TO_LIGHT = np.array([-0.35, -0.55, -0.75])


def paint_slice(panel: Panel, ct: Volume, overlays: tuple[Overlay, ...], window: tuple[float, float]) -> np.ndarray:
    """RGB uint8 (height, width, 3) of one slice panel."""
    hu = resample_to(ct.with_array(ct.array.astype(np.float32)), panel.slab()).array[0]
    width, level = window
    grey = np.clip((hu - level) / width + 0.5, 0, 1) * 255
    picture = np.repeat(grey[..., None], 3, axis=2)
    for overlay in overlays:
        tint(picture, *overlay_opacity(panel, overlay), overlay.rgb)
    return np.rint(picture).astype(np.uint8)


def overlay_opacity(panel: Panel, overlay: Overlay) -> tuple[np.ndarray, np.ndarray]:
    """How much (0 to 1) of each pixel the fill and the outline cover."""
    labels = resample_to(overlay.volume, panel.slab(finer=FINER), "nearest").array[0]
    reach = 2 * OUTLINE_PIXELS * FINER + 1
    edge = (labels > 0) & (ndimage.minimum_filter(labels, reach) != ndimage.maximum_filter(labels, reach))
    fill = FILL_OPACITY * (labels > 0) if overlay.style == "fill" else np.zeros(labels.shape)
    return averaged(fill), averaged(edge)


def averaged(fine: np.ndarray) -> np.ndarray:
    height, width = fine.shape
    return fine.reshape(height // FINER, FINER, width // FINER, FINER).mean(axis=(1, 3))


def tint(picture: np.ndarray, fill: np.ndarray, outline: np.ndarray, rgb: tuple[int, int, int]) -> None:
    """Mix ``rgb`` into ``picture`` (changed in place) where the fill, then the outline, lies."""
    for opacity in (fill, outline):
        picture += opacity[..., None] * (np.asarray(rgb, dtype=np.float64) - picture)


def paint_3d(panel: Panel, anatomy: dict[str, Volume], overlays: tuple[Overlay, ...], depth_mm: float) -> np.ndarray:
    """RGB uint8 (height, width, 3): shaded marked objects, behind translucent bone, in a faint skin."""
    half = panel.coarser(2)
    picture = np.broadcast_to(np.asarray(BACKGROUND, dtype=np.float64), (half.size[1], half.size[0], 3)).copy()
    skin = first_hit(half, anatomy["skin"], depth_mm)
    lay(picture, shaded(skin, half, SKIN.rgb), 0.34 * rim(skin, half))
    bone = first_hit(half, anatomy["bone"], depth_mm)
    lay(picture, shaded(bone, half, BONE.rgb), np.where(np.isfinite(bone), 0.85, 0))
    for overlay in overlays:
        depth = first_hit(half, softened(overlay.volume.array > 0, overlay.volume, 0.7), depth_mm)
        seen_through_bone = np.where(depth < bone, 1.0, 0.6)
        opacity = OPACITY_3D[overlay.style] * seen_through_bone
        lay(picture, shaded(depth, half, overlay.rgb), np.where(np.isfinite(depth), opacity, 0))
    whole = ndimage.uniform_filter(picture.repeat(2, axis=0).repeat(2, axis=1), (2, 2, 0))
    whole = np.pad(whole, [(0, n - m) for n, m in zip(panel.size[::-1], whole.shape, strict=False)] + [(0, 0)], "edge")
    return np.rint(whole[: panel.size[1], : panel.size[0]]).astype(np.uint8)


def first_hit(panel: Panel, field: Volume, depth_mm: float) -> np.ndarray:
    """Depth (mm, before the center negative) at which each pixel's ray first enters ``field`` >= 0.5; inf if never."""
    samples = resample_to(field, panel.slab(depth_mm, STEP_MM), outside=0.0).array
    inside = samples >= 0.5
    layer = inside.argmax(axis=0)
    before = np.maximum(layer - 1, 0)
    there, ahead = (np.take_along_axis(samples, at[None], axis=0)[0] for at in (layer, before))
    fraction = np.where(layer > 0, np.clip((0.5 - ahead) / np.maximum(there - ahead, 1e-6), 0, 1), 1)
    depth = (before + np.where(layer > 0, fraction, 0)) * STEP_MM - (len(samples) - 1) / 2 * STEP_MM
    return np.where(inside.any(axis=0), depth, np.inf)


def shaded(depth: np.ndarray, panel: Panel, rgb: tuple[int, int, int]) -> np.ndarray:
    """Colors of a surface at ``depth`` lit from the viewer's upper left."""
    toward_light = TO_LIGHT / np.linalg.norm(TO_LIGHT)
    brightness = 0.28 + 0.72 * np.clip(normals(depth, panel) @ toward_light, 0, 1)
    return brightness[..., None] * np.asarray(rgb, dtype=np.float64)


def rim(depth: np.ndarray, panel: Panel) -> np.ndarray:
    """0 to 1: how much a surface turns away from the viewer, so that a hull shows by its edge."""
    facing = np.abs(normals(depth, panel)[..., 2])
    return np.where(np.isfinite(depth), 0.18 + (1 - facing) ** 2, 0)


def normals(depth: np.ndarray, panel: Panel) -> np.ndarray:
    """Unit normals (right, down, away) of a depth map, towards the viewer."""
    finite = np.isfinite(depth)
    filled = np.where(finite, depth, depth[finite].max() if finite.any() else 0.0)
    down, right = np.gradient(ndimage.gaussian_filter(filled, 1.0), panel.mm_per_pixel)
    normal = np.stack([right, down, -np.ones(depth.shape)], axis=-1)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def lay(picture: np.ndarray, colors: np.ndarray, opacity: np.ndarray) -> None:
    picture += np.clip(opacity, 0, 1)[..., None] * (colors - picture)
