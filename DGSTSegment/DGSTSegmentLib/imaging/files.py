"""Reading and writing volumes: NIfTI, NRRD, MetaImage, and folders of a DICOM CT series."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from . import dicom, itk, segments
from .geometry import Geometry
from .image_io import read_image, refuse_not_finite, refuse_unwritable, write_image
from .segments import Segmentation
from .volume import Volume, count_not_finite

_NOTED_SHEAR = 0.01
_log = logging.getLogger(__name__)


def read_volume(path: str | os.PathLike) -> Volume:
    """The volume in ``path``: ``.nii``, ``.nii.gz``, ``.nrrd``, ``.nhdr``, ``.mha``, ``.mhd``, or a folder with the
    slices of one DICOM CT series (which comes in HU).

    Raises:
        InputError: the path names no volume that can be read whole, with finite values and the size of its voxels; the
            message says why. What the file leaves open of their place is said in the volume's notes.
    """
    path = Path(path)
    if path.is_dir():
        return dicom.read_series(path)
    image, notes = read_image(path)
    components = image.GetNumberOfComponentsPerPixel()
    if components > 1:
        raise InputError(f"{path} holds {components} values a voxel; a volume has one, so export one channel of it.")
    return replace(itk.from_itk(image), notes=notes)


def read_ct(path: str | os.PathLike) -> Volume:
    """The CT (HU) in ``path``; what :func:`notes_on_ct` finds remarkable is logged as a warning.

    Raises:
        InputError: as :func:`read_volume`.
    """
    volume = read_volume(path)
    for note in notes_on_ct(volume):
        _log.warning("%s: %s", path, note)
    return volume


def checked_ct(volume: Volume, name: str) -> Volume:
    """``volume`` as it is: a CT (HU) that came from memory, with what :func:`read_volume` makes sure of.

    Raises:
        InputError: voxels are infinite or no numbers, which would spread over the whole answer.
    """
    refuse_not_finite(name, count_not_finite(volume.array))
    return volume


def notes_on_ct(volume: Volume) -> list[str]:
    """Sentences on what makes ``volume`` unlike a CT in HU; empty where nothing does. None is a reason to refuse."""
    return [*volume.notes, *_notes_on_axes(volume.geometry), *_notes_on_values(volume)]


def _notes_on_axes(geometry: Geometry) -> list[str]:
    if geometry.shear < _NOTED_SHEAR:
        return []
    return [
        f"The axes are {math.degrees(math.asin(geometry.shear)):.1f} degrees off being perpendicular, as from a tilted "
        "gantry, but the model takes them as perpendicular; resample the scan to a straight grid first."
    ]


def _notes_on_values(volume: Volume) -> list[str]:
    low, high = float(volume.array.min()), float(volume.array.max())
    if low == high:
        return [f"All voxels have the same value ({low:g}); this does not look like a CT."]
    if low >= 0 and high <= 255:
        return [
            f"All values lie between {low:g} and {high:g}, as in a picture and not as HU in a CT; results will mislead."
        ]
    if low >= 0:
        return [f"No value is below 0 (lowest {low:g}), though air is -1000 HU; the values may not be HU."]
    return []


def read_segmentation(path: str | os.PathLike) -> Volume:
    """The label values (unsigned integers, 0 for background) in ``path``; notes are logged as warnings.

    Raises:
        InputError: as :func:`read_segments`.
    """
    segmentation = read_segments(path)
    for note in segmentation.notes:
        _log.warning("%s: %s", path, note)
    return segmentation.volume


def read_segments(path: str | os.PathLike) -> Segmentation:
    """The segmentation in ``path`` with its segments' names, from any file :func:`read_volume` reads, or from Slicer's
    ``.seg.nrrd`` with several layers.

    Raises:
        InputError: no such file, not a volume, or its values are no labels.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(
            f"{path} is a folder; a segmentation is a file, .nii.gz or .seg.nrrd say (DICOM SEG and RTSTRUCT are not "
            "read; export them so from Slicer)."
        )
    image, notes = read_image(path)
    segmentation = segments.from_image(image, path)
    return replace(segmentation, notes=(*notes, *segmentation.notes))


def check_writable(geometry: Geometry, path: str | os.PathLike) -> None:
    """Make sure, before minutes of work, that :func:`write_volume` can write a volume on this grid to ``path``.

    Raises:
        InputError: the ending is none that is written or cannot hold the grid's axes, or there is no such folder.
    """
    refuse_unwritable(geometry, Path(path))


def write_volume(volume: Volume, path: str | os.PathLike, names: Mapping[int, str] | None = None) -> None:
    """Write ``volume`` compressed to ``path`` (``.nii.gz``, ``.nii``, ``.nrrd``, ``.seg.nrrd`` or ``.mha``).

    Args:
        names: of the label values of a segmentation; kept by ``.nrrd``, where Slicer reads them.

    Raises:
        InputError: the ending is another one, or the file could not be written; ``path`` is then as it was.
    """
    image = itk.to_itk(volume)
    segments.describe_segments(image, names or {})
    write_image(image, Path(path))
