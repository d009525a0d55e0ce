"""The scans that peers and this project work on: phantoms, written once, and a real CT where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from quality.circumstances import shared_data

from DGSTSegmentLib.imaging.files import write_volume
from DGSTSegmentLib.imaging.geometry import Geometry
from DGSTSegmentLib.imaging.phantoms import Phantom, make_phantom
from DGSTSegmentLib.imaging.phantoms.domains import SOURCE
from DGSTSegmentLib.imaging.phantoms.phantom import AIR_HU
from DGSTSegmentLib.imaging.volume import Volume

_REAL_CT = Path("crlm-1004_ct_CCBY4") / "ct.nii.gz"
_BODY_MM, _SPACING_MM = (100.0, 250.0, 380.0), (2.5, 0.8, 0.8)
_TABLE_SHAPE = (40, 512, 512)
_AIR_NOISE_HU = 10.0


def phantoms(count: int, first_seed: int = 0) -> list[Phantom]:
    """The first phantoms of the source domain that have nodes."""
    found, seed = [], first_seed
    while len(found) < count:
        phantom = make_phantom("source", seed)
        if phantom.nodes.array.any():
            found.append(phantom)
        seed += 1
    return found


def written(scans: Sequence[Phantom], folder: Path) -> list[tuple[Path, Path]]:
    """Paths (CT, mask of all nodes) of the scans, written to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for n, scan in enumerate(scans):
        pair = (folder / f"scan{n}-ct.nii.gz", folder / f"scan{n}-nodes.nii.gz")
        write_volume(scan.ct, pair[0])
        write_volume(mask_of(scan), pair[1])
        paths.append(pair)
    return paths


def mask_of(scan: Phantom) -> Volume:
    """uint8, 1 in every node."""
    return scan.nodes.with_array((scan.nodes.array > 0).astype(np.uint8))


def body_scan(folder: Path) -> Path:
    """A phantom CT as wide as a patient: 512 x 512 x 40 voxels of 0.8 x 0.8 x 2.5 mm, air around the body."""
    path = folder / "chest-ct.nii.gz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        millimetres = {"slice_mm": (_SPACING_MM[0],) * 2, "pixel_mm": (_SPACING_MM[1],) * 2}
        domain = replace(SOURCE, field_of_view_mm=_BODY_MM, node_count=(5, 8), empty_scans=0.0, **millimetres)
        write_volume(in_air(make_phantom(domain, 0).ct, _TABLE_SHAPE), path)
    return path


def in_air(scan: Volume, shape: tuple[int, int, int]) -> Volume:
    """The scan (HU) in the middle of a larger grid of noisy air, int16.

    Args:
        shape: voxels (k, j, i), at least the scan's.
    """
    rng = np.random.default_rng(0)
    air = np.rint(AIR_HU + _AIR_NOISE_HU * rng.standard_normal(shape, dtype=np.float32))
    first = (np.array(shape) - scan.array.shape) // 2
    box = tuple(slice(a, a + n) for a, n in zip(first, scan.array.shape, strict=True))
    air[box] = scan.array
    origin = scan.geometry.to_world(-first.astype(float))
    geometry = Geometry.from_parts(shape, scan.geometry.spacing, origin, scan.geometry.direction)
    return Volume(np.clip(air, -1024, 3071).astype(np.int16), geometry)


def real_scan() -> Path | None:
    """A patient's CT beside the repository, or where ``DGST_DATA`` says; None where there is none."""
    path = shared_data() / _REAL_CT
    return path if path.is_file() else None
