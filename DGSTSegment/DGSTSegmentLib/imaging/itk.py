"""Between our volumes and SimpleITK's images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import SimpleITK as sitk

from .geometry import Geometry
from .volume import Volume

_NO_MEMORY = (
    "failed to allocate",
    "bad_alloc",
    "nifti_image_load failed",  # ITK's NIfTI reader says no more where its second copy of the voxels finds no room
)
_STORABLE_AS = {np.dtype(bool): np.uint8, np.dtype(np.float16): np.float32}


def from_itk(image: sitk.Image) -> Volume:
    """The three-dimensional image as a volume; ITK's world is LPS mm, as ours."""
    geometry = geometry_of(image)
    return Volume(sitk.GetArrayFromImage(image), geometry)


def geometry_of(image: sitk.Image | sitk.ImageFileReader) -> Geometry:
    """Where the image lies. Raises ValueError where its axes do not span three dimensions."""
    return Geometry.from_parts(image.GetSize()[::-1], image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def to_itk(volume: Volume) -> sitk.Image:
    """The volume as an image of the same kind of number (booleans as 8-bit, halves as single precision)."""
    dtype = _STORABLE_AS.get(volume.array.dtype, volume.array.dtype)
    image = sitk.GetImageFromArray(np.asarray(volume.array, dtype=dtype))
    place(image, volume.geometry)
    return image


def place(image: sitk.Image, geometry: Geometry) -> None:
    """Give ``image`` the place of ``geometry``."""
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction.ravel().tolist())


@contextmanager
def no_warnings() -> Iterator[None]:
    """Keep ITK from writing warnings to stderr, where what it warns of is checked and said in our own words."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def reason(error: Exception) -> str:
    """What ITK complains of, in one line without its file names and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines[-1].startswith("Reason:") and len(lines) > 1:
        lines.pop()
    return lines[-1].split("ERROR:")[-1].split("): ")[-1].strip().rstrip(".!")


def raise_if_out_of_memory(error: RuntimeError | ValueError) -> None:
    """To be called before a failure of ITK is put down to a file; a NIfTI file is taken to be whole.

    Raises:
        MemoryError: ITK complains of memory that it could not have.
    """
    if any(words in str(error).lower() for words in _NO_MEMORY):
        raise MemoryError(reason(error)) from error
