"""Scans in folders: nnU-Net's raw data sets, and plain pairs of a CT and a tumour's outline."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging.files import read_segmentation, read_volume
from DGSTSegmentLib.imaging.resample import onto_grid_of
from DGSTSegmentLib.imaging.volume import Volume

LAYOUT = "DatasetNNN_Name/{dataset.json, imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz}"
PAIR_ENDINGS = ("_ct.nii.gz", "_gtv.nii.gz")


@dataclass(frozen=True)
class FileScan:
    """A scan on disk.

    Args:
        name: of the case.
        image: CT file.
        annotation: segmentation of every node in it.
        values: label values that are nodes; None for every value above 0.
    """

    name: str
    image: Path
    annotation: Path
    values: tuple[int, ...] | None = None

    def read(self) -> tuple[Volume, Volume]:
        """CT (HU) and label values on its grid.

        Raises:
            InputError: a file cannot be read, or the two do not lie over each other.
        """
        ct = read_volume(self.image)
        labels, _ = onto_grid_of(read_segmentation(self.annotation), ct, name=str(self.annotation))
        if self.values is not None:
            wanted = np.isin(labels.array, self.values)
            labels = labels.with_array(np.where(wanted, labels.array, 0).astype(labels.array.dtype))
        return ct, labels


def raw_scans(folder: Path, label: str | None = None) -> tuple[FileScan, ...]:
    """The training scans of an nnU-Net raw data set folder.

    Args:
        folder: with ``dataset.json``, ``imagesTr`` and ``labelsTr``.
        label: name of the label that is segmented; needed where there are several.

    Raises:
        InputError: the folder is laid out otherwise, has several channels or labels, or no pair of image and label.
    """
    description = _description(folder)
    ending = description.get("file_ending", ".nii.gz")
    values = _label_values(folder, description.get("labels", {}), label)
    channels = description.get("channel_names", description.get("modality", {"0": "CT"}))
    if len(channels) != 1:
        raise InputError(f"{folder} has {len(channels)} channels ({', '.join(channels.values())}); only CT is read.")
    annotations = sorted((folder / "labelsTr").glob(f"*{ending}"))
    scans = [_raw_scan(folder, path, path.name[: -len(ending)], ending, values) for path in annotations]
    if not scans:
        raise InputError(f"{folder / 'labelsTr'} holds no file *{ending}; expected is {LAYOUT}.")
    return tuple(scans)


def paired_scans(folder: Path) -> tuple[FileScan, ...]:
    """Scans of a folder of ``x_ct.nii.gz`` beside ``x_gtv.nii.gz``.

    Raises:
        InputError: there is no such pair.
    """
    image_end, annotation_end = PAIR_ENDINGS
    scans = []
    for image in sorted(folder.glob(f"*{image_end}")):
        name = image.name[: -len(image_end)]
        if (folder / f"{name}{annotation_end}").is_file():
            scans.append(FileScan(name, image, folder / f"{name}{annotation_end}"))
    if not scans:
        raise InputError(f"{folder} holds no annotated scan; expected is {LAYOUT}, or pairs of {PAIR_ENDINGS}.")
    return tuple(scans)


def _raw_scan(folder: Path, annotation: Path, name: str, ending: str, values: tuple[int, ...]) -> FileScan:
    image = folder / "imagesTr" / f"{name}_0000{ending}"
    if not image.is_file():
        raise InputError(f"{annotation} has no image {image}; expected is {LAYOUT}.")
    return FileScan(name, image, annotation, values)


def _description(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); expected is {LAYOUT}.") from error


def _label_values(folder: Path, labels: dict[str, Any], wanted: str | None) -> tuple[int, ...]:
    if "ignore" in labels:
        raise InputError(f"{folder} leaves voxels open (label ignore); only complete annotation can be measured on.")
    names = [name for name in labels if name != "background"]
    if wanted is None and len(names) != 1:
        raise InputError(f"{folder} has the labels {', '.join(names)}; choose one with --label.")
    chosen = names[0] if wanted is None else wanted
    if chosen not in names:
        raise InputError(f"{folder} has no label {chosen!r}; it has {', '.join(names)}.")
    value = labels[chosen]
    return tuple(value) if isinstance(value, list) else (int(value),)
