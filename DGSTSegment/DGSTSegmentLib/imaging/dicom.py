"""Reading a CT series from a folder of DICOM files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from . import dicom_kind, itk, itk_paths
from .geometry import Geometry
from .image_io import is_named_as_volume
from .volume import Volume

_CHARACTER_SET, _MODALITY, _SERIES_DESCRIPTION = "0008|0005", "0008|0060", "0008|103e"
_POSITION, _SPACING_BETWEEN_SLICES = "0020|0032", "0018|0088"
_PHOTOMETRIC, _INVERTED = "0028|0004", "MONOCHROME1"
_STORED_AS = ("0028|1052", "0028|1053", "0028|0100", "0028|0101", "0028|0103")
"""Intercept and slope, from stored values to HU; then how many bits a stored value has, and whether one is its sign."""
_SAME_IN_ALL = {"0020|0037": "orientation", "0028|0030": "pixel spacing"}
_SAID_BY_ALL = {**_SAME_IN_ALL, _POSITION: "position"}
_TOLERATED_SLICE_OFFSET = 0.1


def read_series(folder: Path) -> Volume:
    """The one CT series in ``folder`` (not in folders below), in HU.

    Raises:
        InputError: no CT series or several, unreadable slices, slices that are stored inverted, or slices that do not
            say where they lie or do not make a regular grid: missing, doubled, unevenly spaced or taken with a tilted
            gantry.
        MemoryError: the machine has too little for it.
    """
    with itk.no_warnings(), itk_paths.to_read(folder) as openable:
        files = _files_of_the_ct_series(folder, openable)
        if reason := dicom_kind.why_not_read(Path(files[0])):
            raise InputError(f"The DICOM series in {folder} is {reason}.")
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
        _refuse_inverted_slices(folder, reader, len(files))
        _refuse_unplaced_slices(folder, reader, len(files))
        _refuse_mixed_slices(folder, reader, len(files))
        if any(len(set(_texts(reader, tag, len(files)))) > 1 for tag in _STORED_AS):
            reader.SetOutputPixelType(sitk.sitkFloat32)  # else the first slice's type is taken for all
            image = reader.Execute()
        volume = itk.from_itk(image)
        positions = [_numbers(text) for text in _texts(reader, _POSITION, len(files))]
    except InputError:
        raise
    except (RuntimeError, ValueError) as error:
        itk.raise_if_out_of_memory(error)
        _refuse_slices_that_lie_nowhere_apart(folder, files)
        raise InputError(
            f"The DICOM series in {folder} could not be read ({itk.reason(error)}); export the whole series again."
        ) from error
    return volume, np.array(positions)


def _texts(reader: sitk.ImageSeriesReader, tag: str, count: int) -> list[str]:
    """What each slice says under a tag; an empty text where one says nothing."""
    return [reader.GetMetaData(n, tag).strip() if reader.HasMetaDataKey(n, tag) else "" for n in range(count)]


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split("\\")]


def _refuse_inverted_slices(folder: Path, reader: sitk.ImageSeriesReader, count: int) -> None:
    """GDCM turns the stored values of such a slice over before it makes HU of them, which then are others.

    Raises:
        InputError: a slice says that its lowest value is meant to be shown white.
    """
    inverted = _texts(reader, _PHOTOMETRIC, count).count(_INVERTED)
    if inverted:
        raise InputError(
            f"{inverted} of {count} slices in {folder} are marked {_INVERTED} ({_PHOTOMETRIC}), whose HU would come "
            "inverted; export the series as MONOCHROME2 or as NIfTI."
        )


def _refuse_unplaced_slices(folder: Path, reader: sitk.ImageSeriesReader, count: int) -> None:
    """ITK makes up what slices do not say: pixels of 1 x 1 mm along the patient's axes.

    Raises:
        InputError: a slice leaves something out.
    """
    for tag, what in _SAID_BY_ALL.items():
        silent = _texts(reader, tag, count).count("")
        if silent:
            raise InputError(
                f"{silent} of {count} slices in {folder} do not say their {what} ({tag}); export the series again."
            )


def _refuse_slices_that_lie_nowhere_apart(folder: Path, files: tuple[str, ...]) -> None:
    if any(float(_header(folder, file).get(_SPACING_BETWEEN_SLICES) or 1) == 0 for file in files):
        raise InputError(
            f"The slices in {folder} say that they lie 0 mm apart, which cannot be read; remove their "
            f"SpacingBetweenSlices ({_SPACING_BETWEEN_SLICES}) or export the series again."
        )


def _refuse_mixed_slices(folder: Path, reader: sitk.ImageSeriesReader, count: int) -> None:
    """ITK takes direction and pixel spacing of the first slice for all.

    Raises:
        InputError: the slices differ in one of them.
    """
    for tag, what in _SAME_IN_ALL.items():
        numbers = [_numbers(text) for text in set(_texts(reader, tag, count))]
        if any(len(one) != len(numbers[0]) or not np.allclose(one, numbers[0], atol=1e-3) for one in numbers):
            raise InputError(
                f"The slices in {folder} do not make a regular grid: their {what} differs; export one series alone."
            )


def _refuse_folder_of_volumes(folder: Path) -> None:
    volumes = sorted(file.name for file in folder.iterdir() if is_named_as_volume(file))
    if volumes:
        others = f" and {len(volumes) - 1} more" if len(volumes) > 1 else ""
        raise InputError(
            f"{folder} holds no DICOM images but volumes ({volumes[0]}{others}); give one of these files at a time "
            "(dgst predict, in a terminal, takes several as scans/*.nii.gz with a folder as --out)."
        )


def _files_of_the_ct_series(folder: Path, openable: Path) -> tuple[str, ...]:
    """The slices in ``folder``, which ITK opens as ``openable``."""
    every = {
        uid: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(openable), uid)
        for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(openable))
    }
    headers = {uid: _header(folder, files[0]) for uid, files in every.items()}
    of_ct = [uid for uid, header in headers.items() if header.get(_MODALITY) == "CT"]
    if not every:
        _refuse_folder_of_volumes(folder)
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
        itk.raise_if_out_of_memory(error)
        raise InputError(
            f"{folder} holds a file that is no readable DICOM ({itk.reason(error)}); export the series again."
        ) from error
    texts = {tag: reader.GetMetaData(tag).strip() for tag in reader.GetMetaDataKeys()}
    return {tag: dicom_kind.as_written(text, texts.get(_CHARACTER_SET, "")) for tag, text in texts.items()}


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
