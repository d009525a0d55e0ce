"""``dgst findings``: a segmentation's lymph node candidates, one by one, measured."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import add_instances, add_json, existing, user_path
from .outputs import print_json, table_path, told

if TYPE_CHECKING:
    from ..imaging.finding import Finding
    from ..imaging.volume import Volume

NAME = "findings"
_AS_LIKELY_AS_NOT = 0.499
"""Half, less what rounding takes."""
HELP = "List the lymph node candidates of a segmentation with their measurements."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--segmentation", type=user_path, metavar="SEG", required=True, help="segmentation to measure")
    parser.add_argument("--image", type=user_path, metavar="CT", help="its CT, for the mean HU")
    parser.add_argument(
        "--probability", type=user_path, metavar="P", help="probability from dgst predict, for the confidence"
    )
    parser.add_argument(
        "--out", type=user_path, metavar="CSV", required=True, help="table to write (.csv, .tsv or .txt)"
    )
    add_instances(parser, "segmentation")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    from ..imaging.files import notes_on_ct, read_segments, read_volume
    from ..imaging.finding import write_csv
    from ..imaging.findings import find, note_on_scattered_values

    inputs = [options.segmentation, options.image, options.probability]
    out = table_path(options.out, *inputs)
    read = read_segments(existing(options.segmentation))
    segmentation, notes = read.volume, [f"{options.segmentation}: {note}" for note in read.notes]
    ct = read_volume(existing(options.image)) if options.image else None
    notes += [f"{options.image}: {note}" for note in (notes_on_ct(ct) if ct else ())]
    probability = read_volume(existing(options.probability)) if options.probability else None
    if probability is not None:
        _refuse_no_probability(probability, options.probability)
        notes += _notes_on_another_prediction(segmentation, probability, options)
    given = ((ct, options.image), (probability, options.probability))
    ct, probability = (_on_grid(volume, path, segmentation, options.segmentation, notes) for volume, path in given)
    found = find(segmentation, ct, probability, options.instances)
    write_csv(found.items, out)
    if options.instances == "auto" and (note := note_on_scattered_values(segmentation)):
        notes.append(f"{options.segmentation} {note}, add --instances components.")
    notes = told(notes)
    if options.json:
        print_json({"out": out, "findings": [item.to_json() for item in found.items], "notes": notes})
    else:
        print("\n".join([*map(line_of, found.items), f"{len(found.items)} findings in {out}"]))


def line_of(item: Finding) -> str:
    x, y, z = item.centroid
    words = [
        f"{item.number:4}  {item.volume_ml:8.2f} mL  {item.short_axis_mm:5.1f} x {item.long_axis_mm:5.1f} mm",
        f"at ({x:.0f}, {y:.0f}, {z:.0f}) LPS",
        "" if item.mean_hu is None else f"{item.mean_hu:.0f} HU",
        "" if item.confidence is None else f"confidence {item.confidence:.2f}",
    ]
    return "  ".join(filter(None, words))


def _refuse_no_probability(volume: Volume, path: str) -> None:
    """
    Raises:
        InputError: its values are no probabilities.
    """
    low, high = float(volume.array.min()), float(volume.array.max())
    if low < 0 or high > 1:
        raise InputError(
            f"{path} holds values from {low:g} to {high:g}, a probability lies between 0 and 1; give what dgst predict "
            "wrote as --probability."
        )


def _notes_on_another_prediction(segmentation: Volume, probability: Volume, options: argparse.Namespace) -> list[str]:
    """What to say where no model can have given both, since it marks nothing that it finds less likely than not."""
    if not probability.geometry.same_grid(segmentation.geometry):
        return []
    marked = probability.array[segmentation.array > 0]
    unlikely = int((marked < _AS_LIKELY_AS_NOT).sum())
    if not unlikely:
        return []
    return [
        f"{options.segmentation} marks {marked.size} voxels, of which {options.probability} calls {unlikely} unlikely: "
        "that is of another prediction, or the segmentation was changed since, so do not trust the confidence."
    ]


def _on_grid(
    volume: Volume | None, path: str, segmentation: Volume, path_of_segmentation: str, notes: list[str]
) -> Volume | None:
    """The volume on the segmentation's grid, which sizes are measured on; that it had to be brought there goes to
    ``notes``.

    Raises:
        InputError: they do not overlap.
    """
    from ..imaging.resample import onto_grid_of, resample_to

    if volume is None:
        return None
    _, note = onto_grid_of(segmentation, volume, path_of_segmentation, path)
    if note is None:
        return volume
    notes.append(f"{path_of_segmentation} lies on another grid than {path}, which was resampled to it.")
    return resample_to(volume, segmentation.geometry)
