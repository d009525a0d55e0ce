"""One CT with its annotation and what an unmarked voxel of it means. No torch here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..imaging.files import notes_on_ct, read_segments, read_volume
from ..imaging.findings import note_on_values
from ..imaging.orientation import to_lps_order
from ..imaging.resample import onto_grid_of
from ..imaging.segments import Segmentation, only_values
from ..imaging.volume import Volume
from .case_files import COMPLETENESS, CaseFiles


@dataclass(frozen=True)
class Case:
    """A case in memory; every mask lies on the image's grid.

    Args:
        name: how messages call it.
        image: CT, HU.
        annotation: label values, above 0 where a lymph node is marked; one value a node where the user kept them apart.
        completeness: a name in ``COMPLETENESS``.
        region: bool, where ``region`` says that all is marked; None otherwise.
        rejected: bool, findings known to be background; None where there are none.
        notes: sentences for the user about what was done to fit the parts together.
        unknown: bool, where nobody said what lies there, whatever unmarked means; None where nowhere is.
    """

    name: str
    image: Volume
    annotation: Volume
    completeness: str = "marked"
    region: Volume | None = None
    rejected: Volume | None = None
    notes: tuple[str, ...] = ()
    unknown: Volume | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Tells this image, its masks and what they mean from any others."""
        seen = hashlib.blake2b(self.completeness.encode(), digest_size=16)
        for part in (self.image, self.annotation, self.region, self.rejected):
            seen.update(b"none" if part is None else np.ascontiguousarray(part.array))
        if self.unknown is not None:
            seen.update(np.ascontiguousarray(self.unknown.array))
        seen.update(self.image.geometry.ijk_to_world.tobytes())
        return seen.hexdigest()

    @property
    def image_fingerprints(self) -> frozenset[str]:
        """By these the image's voxels are known again in whatever file format, wherever they lie and in whatever order
        of the axes: images that share one are the same."""
        stored, ordered = self.image, to_lps_order(self.image)
        images = [stored] if ordered.geometry.same_grid(stored.geometry) else [stored, ordered]
        return frozenset(_fingerprint(image.array) for image in images)

    @property
    def nbytes(self) -> int:
        """Of all its voxels."""
        parts = (self.image, self.annotation, self.region, self.rejected, self.unknown)
        return sum(part.array.nbytes for part in parts if part is not None)


def _fingerprint(array: np.ndarray) -> str:
    seen = hashlib.blake2b(repr(array.shape).encode(), digest_size=16)
    for part in array:
        seen.update(np.ascontiguousarray(part, dtype=np.float32))
    return seen.hexdigest()


def read_case(files: CaseFiles, ignore: int | None = None) -> Case:
    """Read a case and bring its masks onto the image's grid.

    Args:
        files: where it lies.
        ignore: the value that the model's data set gives to voxels of which nobody said anything.

    Raises:
        InputError: a file cannot be read or does not lie over the image, nothing is marked or rejected, the
            completeness is unknown, or the region is missing or contains no annotation.
    """
    if files.completeness not in COMPLETENESS:
        raise InputError(
            f"{files.title}: completeness must be one of {', '.join(COMPLETENESS)}, not {files.completeness!r}."
        )
    image = read_volume(files.image)
    notes = [f"{files.title}: {note}" for note in notes_on_ct(image)]
    annotation, unknown = _read_annotation(files, image, notes, ignore)
    rejected = None if files.rejected is None else _read_mask(files.rejected, image, notes)
    if not annotation.array.any() and (rejected is None or not rejected.array.any()):
        if files.completeness == "marked":
            raise InputError(
                f"{files.annotation} marks no voxel{_of_labels(files)}; mark at least one lymph node, or say that all "
                "are marked."
            )
        taken = "a scan" if files.completeness == "all" else "a region"
        notes.append(
            f"{files.annotation} marks no voxel{_of_labels(files)}: {files.title} is taken as {taken} without lymph "
            "nodes."
        )
    region = _read_region(files, image, annotation, notes) if files.completeness == "region" else None
    return Case(
        name=files.title,
        image=image,
        annotation=annotation,
        completeness=files.completeness,
        region=region,
        rejected=rejected,
        notes=tuple(notes),
        unknown=unknown,
    )


def missing_file(files: CaseFiles) -> str | None:
    """The first file of a case that is not there; None where all are."""
    region = files.region if files.completeness == "region" and files.region else None
    if region is not None and parse_boxes(region) is not None:
        region = None
    paths = (files.image, files.annotation, files.rejected, region)
    return next((path for path in paths if path is not None and not Path(path).exists()), None)


def _of_labels(files: CaseFiles) -> str:
    return f" of the labels {' '.join(map(str, files.labels))}" if files.labels else ""


def _read_annotation(
    files: CaseFiles, image: Volume, notes: list[str], ignore: int | None
) -> tuple[Volume, Volume | None]:
    """What is marked as lymph node, and where the annotation itself says that nothing is known (bool), if anywhere."""
    read = read_segments(files.annotation)
    marks, unknown = _on_grid(read, files.annotation, image, notes), None
    if ignore is not None and _means_ignore(ignore, read, files):
        unknown = marks.with_array(marks.array == ignore)
        marks = marks.with_array(np.where(unknown.array, 0, marks.array))
        notes.append(
            f"{files.annotation}: value {ignore} is left unknown, as the model's dataset.json calls it ignore; where "
            "it is lymph node too, name all values that are (--labels at a terminal)."
        )
    if files.labels:
        marks = only_values(marks, files.labels)
    elif note := note_on_values(marks, read.names):
        notes.append(f"{files.annotation}: {note}; name those that are (--labels at a terminal), where some are not.")
    return marks, unknown


def _means_ignore(value: int, read: Segmentation, files: CaseFiles) -> bool:
    """Not where the user or the file says what it is; nor where higher ones follow, which that data set does not have:
    there nodes are numbered one by one."""
    is_chosen, name = value in (files.labels or ()), read.names.get(value, "ignore")
    return not is_chosen and name.lower() == "ignore" and int(read.volume.array.max()) == value


def _on_grid(read: Segmentation, path: str, image: Volume, notes: list[str]) -> Volume:
    notes.extend(f"{path}: {note}" for note in read.notes)
    segmentation, note = onto_grid_of(read.volume, image, name=str(path))
    if note:
        notes.append(note)
    return segmentation


def _read_mask(path: str, image: Volume, notes: list[str]) -> Volume:
    segmentation = _on_grid(read_segments(path), path, image, notes)
    return segmentation.with_array(segmentation.array > 0)


def _read_region(files: CaseFiles, image: Volume, annotation: Volume, notes: list[str]) -> Volume:
    if not files.region:
        raise InputError(
            f"{files.title} is marked within a region, but none is given; give boxes 'x0 y0 z0 x1 y1 z1' in mm (LPS), "
            "or a mask file."
        )
    boxes = parse_boxes(files.region)
    region = _read_mask(files.region, image, notes) if boxes is None else boxes_mask(boxes, image)
    if not region.array.any():
        raise InputError(
            f"{files.title}: the region {files.region} contains no voxel of the scan; move it over the scan."
        )
    if annotation.array.any() and not (region.array & (annotation.array > 0)).any():
        raise InputError(
            f"{files.title}: the region {files.region} contains no annotation; move it over the marked nodes."
        )
    return region


def parse_boxes(text: str) -> np.ndarray | None:
    """Boxes (n, 2, 3) of opposite corners (LPS mm) from ``x0 y0 z0 x1 y1 z1``, several separated by ``;``.

    None when the text is not made of numbers, and so names a file.

    Raises:
        InputError: numbers, but not six of them a box.
    """
    boxes = []
    for part in text.rstrip("; ").split(";"):
        try:
            numbers = [float(word) for word in part.replace(",", " ").split()]
        except ValueError:
            return None
        if len(numbers) != 6 or not np.isfinite(numbers).all():
            raise InputError(f"A region is six numbers x0 y0 z0 x1 y1 z1 in mm (LPS), not {part.strip()!r}.")
        boxes.append(np.sort(np.reshape(numbers, (2, 3)), axis=0))
    return np.stack(boxes)


def boxes_mask(boxes: np.ndarray, image: Volume) -> Volume:
    """Bool volume on the image's grid: voxels whose centre lies in one of ``boxes`` (n, 2, 3; LPS mm)."""
    mask = np.zeros(image.array.shape, dtype=bool)
    for low, high in boxes:
        corners = np.array(list(product(*zip(low, high, strict=True))))
        reach = image.geometry.to_index(corners)
        first = np.clip(np.floor(reach.min(axis=0)), 0, mask.shape).astype(int)
        end = np.clip(np.ceil(reach.max(axis=0)) + 1, 0, mask.shape).astype(int)
        for k in range(first[0], end[0]):
            indices = np.stack(np.mgrid[k : k + 1, first[1] : end[1], first[2] : end[2]], axis=-1)
            world = image.geometry.to_world(indices)[0]
            mask[k, first[1] : end[1], first[2] : end[2]] |= ((world >= low) & (world <= high)).all(axis=-1)
    return image.with_array(mask)
