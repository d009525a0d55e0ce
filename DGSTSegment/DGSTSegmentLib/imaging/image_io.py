"""SimpleITK's reading and writing of image files, with every refusal as one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..atomic import atomic_path
from ..errors import InputError
from . import compressed, dicom_kind, itk, itk_paths, nifti
from .geometry import Geometry
from .placement import notes_on_place, refuse_sheared_nifti
from .volume import count_not_finite

_IMAGE_IO = {
    ".nii.gz": "NiftiImageIO",
    ".nii": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}
READABLE = tuple(_IMAGE_IO)
"""Endings of the files that are read."""

_WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha")
_FAST_COMPRESSION = 2
_PERPENDICULAR_FOR_NIFTI = 1e-4
_NOT_PERPENDICULAR = "only supports orthonormal direction cosines"
"""As ITK says it of a NIfTI file."""


def read_image(path: Path) -> tuple[sitk.Image, tuple[str, ...]]:
    """The three-dimensional image in the file, with one or more values a voxel, and sentences on what the file leaves
    open about its place.

    Raises:
        InputError: no such file, not an image file, not three-dimensional, truncated, with voxels that are
            not finite, with axes that span no space, or without the size of its voxels.
        MemoryError: the machine has too little for it.
    """
    image_io = _image_io_of(path)
    try:
        with itk.no_warnings(), itk_paths.to_read(path) as openable:
            return _read_three_dimensional(path, openable, image_io)
    except RuntimeError as error:
        itk.raise_if_out_of_memory(error)
        raise InputError(
            f"{path} could not be read as a volume ({_reason(error, path)}); it is damaged or not what its name says."
        ) from error
    except OSError as error:
        raise InputError(f"{path} could not be read ({error.strerror or error}); check the file.") from error


def write_image(image: sitk.Image, path: Path) -> None:
    """Write ``image`` to ``path``, compressed, in the format of the name's ending; seen whole or not at all.

    Raises:
        InputError: an ending that is not written, a folder that does not exist, axes that the format cannot hold, or
            a disk that refuses.
        MemoryError: the machine has too little to write it, or to see whether all of it was written.
    """
    refuse_unwritable(itk.geometry_of(image), path)
    ending = _ending(path, _WRITABLE)
    is_nifti = _IMAGE_IO[ending] == "NiftiImageIO"
    with atomic_path(path) as partial:
        try:
            with itk_paths.to_write(partial) as openable:
                sitk.WriteImage(image, str(openable), ending != ".nii", _FAST_COMPRESSION)
                complete = _is_complete(openable, image, is_nifti)
        except RuntimeError as error:
            itk.raise_if_out_of_memory(error)
            raise OSError(_reason(error, partial)) from error
        if not complete:
            raise OSError("the disk took only a part of it")


def refuse_unwritable(geometry: Geometry, path: Path) -> None:
    """Raises:
    InputError: an ending that is not written, a folder that does not exist, or axes that the format cannot hold.
    """
    ending = _ending(path, _WRITABLE)
    if ending is None:
        raise InputError(f"{path} has no ending that can be written; name it {_any_of(_WRITABLE)}.")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written, there is no folder {path.parent}; make it or choose another.")
    if _IMAGE_IO[ending] == "NiftiImageIO" and geometry.shear >= _PERPENDICULAR_FOR_NIFTI:
        raise InputError(f"{path} cannot hold this volume's axes, which are not perpendicular; name it .nrrd.")


def _is_complete(path: Path, image: sitk.Image, is_nifti: bool) -> bool:
    """Whether all of ``image`` lies in the file; where the header was cut off, ITK cannot even read it."""
    try:
        return nifti.inspect(path).complete if is_nifti else _holds(path, image)
    except RuntimeError as error:
        itk.raise_if_out_of_memory(error)
        return False


def _holds(path: Path, image: sitk.Image) -> bool:
    """Whether all voxels of ``image`` lie in the file; not every format's writer tells of a full disk."""
    written = sitk.ReadImage(str(path))
    there, here = (sitk.GetArrayViewFromImage(one) for one in (written, image))
    return np.array_equal(there, here, equal_nan=here.dtype.kind == "f")


def _read_three_dimensional(path: Path, openable: Path, image_io: str) -> tuple[sitk.Image, tuple[str, ...]]:
    """The image in ``path``, which ITK opens as ``openable``, and sentences on its place."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(openable))
    _read_header(path, openable, reader)
    _refuse_unless_three_dimensional(path, reader.GetSize())
    if image_io == "NiftiImageIO":
        _refuse_damaged(path, nifti.inspect(openable))
    image = reader.Execute()
    _refuse_incomplete(path, compressed.is_whole(openable, image_io, sitk.GetArrayViewFromImage(image).nbytes))
    notes = notes_on_place(path, openable, image_io, _place(path, image))
    refuse_not_finite(path, count_not_finite(sitk.GetArrayViewFromImage(image)))
    return image, tuple(notes)


def _read_header(path: Path, openable: Path, reader: sitk.ImageFileReader) -> None:
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if _NOT_PERPENDICULAR in str(error):
            refuse_sheared_nifti(path, openable)
        raise


def _reason(error: RuntimeError, path: Path) -> str:
    return itk.reason(error).replace(str(path), "it")


def _image_io_of(path: Path) -> str:
    if not path.exists():
        raise InputError(f"There is no file or folder {path}; check the path.")
    ending = _ending(path, READABLE)
    if ending is not None:
        return _IMAGE_IO[ending]
    if dicom_kind.is_dicom(path):
        if reason := dicom_kind.why_not_read(path):
            raise InputError(f"{path} is {reason}.")
        raise InputError(f"{path} is a single DICOM file; give the folder that holds its whole CT series.")
    raise InputError(
        f"{path} is not a volume that can be read; give a file ending in {_any_of(READABLE)}, "
        "or the folder of a DICOM CT series."
    )


def _refuse_unless_three_dimensional(path: Path, size: tuple[int, ...]) -> None:
    if len(size) != 3:
        voxels = " x ".join(str(n) for n in size)
        raise InputError(f"{path} has {len(size)} dimensions ({voxels}); a volume has three, so export one volume.")


def _place(path: Path, image: sitk.Image) -> Geometry:
    try:
        return itk.geometry_of(image)
    except ValueError as error:
        raise InputError(
            f"{path} does not say where its voxels lie, its axes do not span three dimensions; export it again."
        ) from error


def _refuse_incomplete(path: Path, complete: bool) -> None:
    if not complete:
        raise InputError(f"{path} is truncated or damaged, not all its voxels are there; copy or download it again.")


def _refuse_damaged(path: Path, content: nifti.Content) -> None:
    _refuse_incomplete(path, content.complete)
    refuse_not_finite(path, content.not_finite)


def refuse_not_finite(name: str | os.PathLike, count: int) -> None:
    """Raises:
    InputError: ``count`` voxels of the volume ``name`` are no finite numbers.
    """
    if count:
        raise InputError(
            f"{name} holds {count} voxels that are infinite or no numbers; set them to a value, -1024 HU for air say."
        )


def is_named_as_volume(path: Path) -> bool:
    """Whether a file of that name is one that :func:`read_image` takes."""
    return _ending(path, READABLE) is not None


def _ending(path: Path, endings: tuple[str, ...]) -> str | None:
    return next((ending for ending in endings if path.name.lower().endswith(ending)), None)


def _any_of(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
