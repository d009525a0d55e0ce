"""Reading a CT series from a folder of DICOM files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from . import itk, itk_paths
from .geometry import Geometry
from .volume import Volume

_MODALITY, _SERIES_DESCRIPTION, _POSITION = "0008|0060", "0008|103e", "0020|0032"
_RESCALE = ("0028|1052", "0028|1053")
"""Intercept and slope, from stored values to HU."""
_SAME_IN_ALL = {"0020|0037": "orientation", "0028|0030": "pixel spacing"}
_TOLERATED_SLICE_OFFSET = 0.1


def read_series(folder: Path) -> Volume:
    """The one CT series in ``folder`` (not in folders below), in HU.

    Raises:
        InputError: no CT series or several, unreadable slices, or slices that do not make a regular grid: missing,
            doubled, unevenly spaced or taken with a tilted gantry.
    """
    with itk.no_warnings(), itk_paths.to_read(folder) as openable:
        files = _files_of_the_ct_series(folder, openable)
        if len(files) < 2:
            raise InputError(f"The DICOM series in {folder} is a single file; give the folder of a whole CT series.")
        volume, positions = _read_slices(folder, files)
    _refuse_irregular_slices(folder, volume.geometry, positions)
    return volume


def _read_slices(folder: Path, files: tuple[str, ...]) -> tuple[Volume, np.ndarray]:
    """The volume that ITK makes of the slices, and where each of them says that it lies: (n, 3) LPS mm."""
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames(files)
    reader.MetaDataDictionaryArrayUpdateOn()
    try:
        image = reader.Execute()
        _refuse_mixed_slices(folder, reader, len(files))
        if any(len(_values(reader, tag, len(files))) > 1 for tag in _RESCALE):
            reader.SetOutputPixelType(sitk.sitkFloat32)  # else the first slice's type is taken for all
            image = reader.Execute()
        volume = itk.from_itk(image)
        positions = [_position(reader.GetMetaData(n, _POSITION)) for n in range(len(files))]
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"The DICOM series in {folder} could not be read ({itk.reason(error)}); export the whole series again."
        ) from error
    return volume, np.array(positions)


def _values(reader: sitk.ImageSeriesReader, tag: str, count: int) -> set[str]:
    """What the slices say under a tag; an empty text where one says nothing."""
    return {reader.GetMetaData(n, tag).strip() if reader.HasMetaDataKey(n, tag) else "" for n in range(count)}


def _refuse_mixed_slices(folder: Path, reader: sitk.ImageSeriesReader, count: int) -> None:
    """ITK takes direction and pixel spacing of the first slice for all.

    Raises:
        InputError: the slices differ in one of them.
    """
    for tag, what in _SAME_IN_ALL.items():
        numbers = [[float(part) for part in text.split("\\") if part] for text in _values(reader, tag, count)]
        if any(len(one) != len(numbers[0]) or not np.allclose(one, numbers[0], atol=1e-3) for one in numbers):
            raise InputError(
                f"The slices in {folder} do not make a regular grid: their {what} differs; export one series alone."
            )


def _files_of_the_ct_series(folder: Path, openable: Path) -> tuple[str, ...]:
    """The slices in ``folder``, which ITK opens as ``openable``."""
    every = {
        uid: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(openable), uid)
        for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(openable))
    }
    headers = {uid: _header(folder, files[0]) for uid, files in every.items()}
    of_ct = [uid for uid, header in headers.items() if header.get(_MODALITY) == "CT"]
    if not of_ct:
        others = sorted({header.get(_MODALITY, "unknown") for header in headers.values()})
        found = f"only DICOM of the kind {', '.join(others)}" if others else "no DICOM images"
        raise InputError(f"{folder} holds {found}; give the folder that holds the slices of a CT series themselves.")
    if len(of_ct) > 1:
        names = "; ".join(f"{headers[uid].get(_SERIES_DESCRIPTION) or uid}, {len(every[uid])} slices" for uid in of_ct)
        raise InputError(f"{folder} holds {len(of_ct)} CT series ({names}); put one of them in a folder of its own.")
    return every[of_ct[0]]


def _header(folder: Path, file: str) -> dict[str, str]:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(file)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(
            f"{folder} holds a file that is no readable DICOM ({itk.reason(error)}); export the series again."
        ) from error
    return {tag: reader.GetMetaData(tag).strip() for tag in reader.GetMetaDataKeys()}


def _position(text: str) -> list[float]:
    return [float(part) for part in text.split("\\")]


def _refuse_irregular_slices(folder: Path, geometry: Geometry, positions: np.ndarray) -> None:
    """``positions``: (n, 3) LPS mm of each slice's first voxel, in the order of the volume's slices."""
    slices = np.arange(len(positions))
    expected = geometry.to_world(np.stack([slices, 0 * slices, 0 * slices], axis=1))
    spacing = geometry.spacing[2]
    if np.abs(positions - expected).max() <= _TOLERATED_SLICE_OFFSET * spacing:
        return
    raise InputError(f"The slices in {folder} do not make a regular grid: {_irregularity(geometry, positions)}.")


def _irregularity(geometry: Geometry, positions: np.ndarray) -> str:
    steps = np.diff(positions, axis=0)
    along = steps @ geometry.direction[:, 2]
    usual = float(np.median(along))
    aside = np.linalg.norm(steps - along[:, None] * geometry.direction[:, 2], axis=1)
    if along.min() < 0.01 * max(usual, 0.01):
        return "several lie at the same place; export one series, one phase, alone"
    if aside.max() > 0.01 * usual:
        return "they are shifted against each other as by a tilted gantry; resample the series to a straight grid first"
    if along.max() > 1.5 * usual:
        first_gap = positions[int(along.argmax())]
        missing = round(float(along.max()) / usual) - 1
        return (
            f"{missing} seem to be missing after the one at {first_gap[2]:.1f} mm (spacing {usual:.2f} mm, "
            f"there {along.max():.2f}); export the whole series again"
        )
    return f"their spacing varies from {along.min():.2f} to {along.max():.2f} mm; resample them to even spacing first"
