"""Scans in folders: nnU-Net's raw data sets, and plain pairs of a CT and a tumour's outline."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging.files import read_segmentation, read_volume
from DGSTSegmentLib.imaging.resample import onto_grid_of
from DGSTSegmentLib.imaging.volume import Volume

from .nnunet_json import DESCRIPTION_FILE, LAYOUT, UNDECIDED, Description, Wanted, read_description

PAIR_ENDINGS = ("_ct.nii.gz", "_gtv.nii.gz")


@dataclass(frozen=True)
class FileScan:
    """A scan on disk.

    Args:
        name: of the case, with that of its data set.
        image: CT file.
        annotation: segmentation of the nodes in it.
        values: label values that are nodes; None for every value above 0.
    """

    name: str
    image: Path
    annotation: Path
    values: tuple[int, ...] | None = None

    @property
    def fingerprint(self) -> str:
        """Of the annotation's content and of which values of it, of which image file, are meant.

        Raises:
            InputError: a file cannot be read.
        """
        try:
            size, content = self.image.stat().st_size, self.annotation.read_bytes()
        except OSError as error:
            raise InputError(f"{error.filename} cannot be read ({error.strerror}); {self.name} needs it.") from error
        told = f"{self.name}/{self.values}/{self.image.name}/{size}/".encode()
        return hashlib.sha256(told + content).hexdigest()

    def read(self) -> tuple[Volume, Volume]:
        """CT (HU) and label values on its grid.

        Raises:
            InputError: a file cannot be read, or the two do not lie over each other.
        """
        ct = read_volume(self.image)
        labels, _ = onto_grid_of(self._nodes(), ct, name=str(self.annotation))
        return ct, labels

    def has_nodes(self) -> bool:
        """Whether any node is annotated; the CT is not read for it.

        Raises:
            InputError: the annotation cannot be read.
        """
        return bool(self._nodes().array.any())

    def _nodes(self) -> Volume:
        labels = read_segmentation(self.annotation)
        if self.values is None:
            return labels
        wanted = np.isin(labels.array, self.values)
        return labels.with_array(np.where(wanted, labels.array, 0).astype(labels.array.dtype))


@dataclass(frozen=True)
class Scans:
    """The annotated scans of a folder.

    Args:
        training: ``imagesTr`` with ``labelsTr``, or all there are.
        test: ``imagesTs`` with ``labelsTs``, where they lie there.
        label, channel: names of what is read; None where there is no choice.
    """

    training: tuple[FileScan, ...]
    test: tuple[FileScan, ...] = ()
    label: str | None = None
    channel: str | None = None


def scans_in(folder: Path, wanted: Wanted = UNDECIDED, qualified: bool = True) -> Scans:
    """The annotated scans of a folder, in the order of their names.

    Args:
        folder: nnU-Net's raw data set, or pairs of ``x_ct.nii.gz`` and ``x_gtv.nii.gz``.
        wanted: of a raw data set.
        qualified: whether cases' names begin with the folder's.

    Raises:
        InputError: the folder has none of the layouts known, or has not what is wanted.
    """
    if (folder / DESCRIPTION_FILE).is_file():
        return raw_scans(folder, wanted)
    pairs = paired_scans(folder, qualified)
    refuse_choice(wanted, f"the pairs of CT and tumour in {folder}")
    return Scans(pairs)


def refuse_choice(wanted: Wanted, data: str) -> None:
    """
    Raises:
        InputError: a label or channel is wanted of ``data``, where there is nothing to choose.
    """
    for name, value in (("label", wanted.label), ("channel", wanted.channel)):
        if value is not None:
            raise InputError(f"{wanted.options}{name} {value} has no effect on {data}; leave it out.")


def raw_scans(folder: Path, wanted: Wanted = UNDECIDED) -> Scans:
    """The scans of an nnU-Net raw data set folder.

    Args:
        folder: with ``dataset.json``, ``imagesTr`` and ``labelsTr``, and with ``imagesTs`` and ``labelsTs`` at will.
        wanted: of it.

    Raises:
        InputError: the folder is laid out otherwise, has not what is wanted, or no pair of image and label.
    """
    told = read_description(folder, wanted)
    training = _in_part(folder, "Tr", told) if told.listed is None else _listed(folder, told)
    if not training:
        raise InputError(f"{folder / 'labelsTr'} holds no file *{told.ending}; expected is {LAYOUT}.")
    return Scans(training, _in_part(folder, "Ts", told), told.label, told.channel)


def paired_scans(folder: Path, qualified: bool = True) -> tuple[FileScan, ...]:
    """Scans of a folder of ``x_ct.nii.gz`` beside ``x_gtv.nii.gz``.

    Raises:
        InputError: there is no such pair.
    """
    image_end, annotation_end = PAIR_ENDINGS
    scans = []
    for image in sorted(folder.glob(f"*{image_end}")):
        name = image.name[: -len(image_end)]
        annotation = folder / f"{name}{annotation_end}"
        if annotation.is_file():
            scans.append(FileScan(f"{folder.name}/{name}" if qualified else name, image, annotation))
    if not scans:
        raise InputError(f"{folder} holds no annotated scan; expected is {LAYOUT}, or pairs of {PAIR_ENDINGS}.")
    return tuple(scans)


def _in_part(folder: Path, part: str, told: Description) -> tuple[FileScan, ...]:
    """Of ``imagesTr`` or ``imagesTs``; what is not annotated is left out, hidden files of other systems as well."""
    scans = []
    for annotation in sorted((folder / f"labels{part}").glob(f"*{told.ending}")):
        case = annotation.name[: -len(told.ending)]
        if not case.startswith("."):
            image = folder / f"images{part}" / f"{case}_{told.number:04d}{told.ending}"
            scans.append(_scan(f"{folder.name}/{part}/{case}", image, annotation, told))
    return tuple(scans)


def _listed(folder: Path, told: Description) -> tuple[FileScan, ...]:
    """Of the paths that ``dataset.json`` lists, relative to the folder."""
    scans = []
    for case, files in sorted(told.listed.items()):
        images, label = _paths(folder, case, files)
        if len(images) <= told.place:
            raise InputError(
                f"{folder / DESCRIPTION_FILE} lists no image of {case} for channel {told.channel}; add it."
            )
        name = f"{folder.name}/Tr/{case}"
        scans.append(_scan(name, folder / images[told.place], folder / label, told))
    return tuple(scans)


def _paths(folder: Path, case: str, files: Any) -> tuple[list[str], str]:
    images, label = (files.get("images"), files.get("label")) if isinstance(files, Mapping) else (None, None)
    paths = [*images, label] if isinstance(images, list) else [None]
    if not all(isinstance(path, str) for path in paths):
        raise InputError(
            f"{folder / DESCRIPTION_FILE} lists {case} under dataset without its images and label; expected is "
            '{"images": ["path"], "label": "path"}.'
        )
    return images, label


def _scan(name: str, image: Path, annotation: Path, told: Description) -> FileScan:
    if not annotation.is_file():
        raise InputError(f"{name} has no annotation {annotation}; expected is {LAYOUT}.")
    if not image.is_file():
        raise InputError(f"{annotation} has no image {image}; expected is {LAYOUT}.")
    return FileScan(name, image, annotation, told.values)
