"""What a file says wrongly, or not at all, about where its voxels lie, which SimpleITK passes over in silence."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..errors import InputError
from .geometry import LPS_TO_RAS, Geometry, shear_of
from .nifti_header import NiftiHeader, read_nifti_header
from .text_header import metaimage_header, nrrd_header

_LIKELY_SPACING_MM = (0.05, 20.0)
_MOST_VOXELS_APART = 0.5
_PERPENDICULAR_WITHIN = 1e-3
_SHEAR_OF_ROUNDING = 1e-5
_LPS, _RAS, _LAS = "left-posterior-superior", "right-anterior-superior", "left-anterior-superior"
_SPACES_OF_THE_PATIENT = (_LPS, _RAS, _LAS, "lps", "ras", "las")
"""Those of NRRD, in small letters, that say where left and right are; a scanner's, and right-handed alone, do not."""

_NO_DIRECTIONS = (
    "The file does not say how its voxels lie in the patient; left and right may be swapped, and slices not be axial."
)


def notes_on_place(path: Path, openable: Path, image_io: str, geometry: Geometry) -> list[str]:
    """Sentences on what the file leaves open about its voxels' place; empty where nothing is.

    Args:
        path: how messages call the file.
        openable: where it can be opened.
        image_io: ITK's name of the format.
        geometry: where ITK says that the voxels lie.

    Raises:
        InputError: the file does not say how large its voxels are, or says two things of where they lie.
    """
    notes = []
    if image_io == "NiftiImageIO":
        notes += _on_nifti(path, read_nifti_header(openable), geometry)
    elif not (_nrrd_says_directions if image_io == "NrrdImageIO" else _metaimage_says_directions)(path, openable):
        notes.append(_NO_DIRECTIONS)
    if not all(_LIKELY_SPACING_MM[0] <= size <= _LIKELY_SPACING_MM[1] for size in geometry.spacing):
        sizes = " x ".join(f"{size:.4g}" for size in geometry.spacing)
        notes.append(f"The voxels are {sizes} mm large, unlike a CT's; check their unit, since sizes will mislead.")
    return notes


def _nrrd_says_directions(path: Path, openable: Path) -> bool:
    with open(openable, "rb") as file:
        fields = nrrd_header(file)
    if not fields.keys() & {"space directions", "spacings"}:
        raise InputError(_no_spacing(path))
    return "space directions" in fields and fields.get("space", "").lower() in _SPACES_OF_THE_PATIENT


def _metaimage_says_directions(path: Path, openable: Path) -> bool:
    with open(openable, "rb") as file:
        fields = metaimage_header(file)
    if not fields.keys() & {"ElementSpacing", "ElementSize"}:
        raise InputError(_no_spacing(path))
    return bool(fields.keys() & {"TransformMatrix", "Rotation", "Orientation"})


def _no_spacing(path: Path) -> str:
    return f"{path} does not say how large its voxels are, so sizes would be made up; export it with its spacing."


def refuse_sheared_nifti(path: Path, openable: Path) -> None:
    """Say why ITK refuses a NIfTI file of which the sform alone says where the voxels lie, if the reason is a shear.

    Args:
        path: how messages call the file.
        openable: where it can be opened.

    Raises:
        InputError: that sform's axes are not perpendicular.
    """
    _refuse_sheared(path, read_nifti_header(openable), _SHEAR_OF_ROUNDING)


def _refuse_sheared(path: Path, header: NiftiHeader, within: float) -> None:
    shear = shear_of(header.sform) if header.qform_code <= 0 < header.sform_code else 0
    if shear > within:
        degrees = math.degrees(math.asin(min(shear, 1)))
        raise InputError(
            f"{path} has an sform whose axes are not perpendicular but {degrees:.2g} degrees off, as from a tilted "
            "gantry, and no qform; resample the scan to a straight grid first."
        )


def _on_nifti(path: Path, header: NiftiHeader, geometry: Geometry) -> list[str]:
    if header.offset < header.lowest_offset:
        raise InputError(
            f"{path} says that its voxels begin at byte {header.offset}, within its header; export it again."
        )
    if header.qform_code <= 0 and header.sform_code <= 0:
        return [_NO_DIRECTIONS]
    if header.qform_code <= 0 or header.sform_code <= 0:
        _refuse_sheared(path, header, _PERPENDICULAR_WITHIN)  # ITK may have been told to straighten such axes
        return []
    taken = LPS_TO_RAS @ geometry.ijk_to_world
    unit = np.diag([geometry.spacing[0] / np.linalg.norm(header.qform[:3, 0])] * 3 + [1.0])
    qform, sform = unit @ header.qform, unit @ header.sform
    apart = _furthest_apart(qform, sform, geometry.shape)
    if apart <= _MOST_VOXELS_APART * min(geometry.spacing):
        return []
    if shear_of(sform) > _PERPENDICULAR_WITHIN:
        raise InputError(
            f"{path} has an sform whose axes are not perpendicular, as from a tilted gantry, and a qform that is "
            f"{apart:.1f} mm off; resample the scan to a straight grid first."
        )
    if header.qform_code == header.sform_code:
        raise InputError(
            f"{path} says two things of where its voxels lie, its qform and sform are {apart:.1f} mm apart; set the "
            "code of the wrong one to 0, or export the file again."
        )
    by_qform = _furthest_apart(taken, qform, geometry.shape) < _furthest_apart(taken, sform, geometry.shape)
    return [
        f"The file's qform and sform lead to different spaces, {apart:.1f} mm apart; its "
        f"{'qform' if by_qform else 'sform'} was taken."
    ]


def _furthest_apart(one: np.ndarray, other: np.ndarray, shape: tuple[int, int, int]) -> float:
    """How far (mm) two 4x4 matrices bring a corner of the grid (k, j, i) away from itself."""
    ends = np.stack(np.meshgrid(*[(0, n - 1) for n in shape[::-1]], indexing="ij"), axis=-1).reshape(8, 3)
    moved = ends @ (one - other)[:3, :3].T + (one - other)[:3, 3]
    return float(np.linalg.norm(moved, axis=1).max())
