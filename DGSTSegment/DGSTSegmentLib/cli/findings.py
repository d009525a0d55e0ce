"""``dgst findings``: a segmentation's lymph node candidates, one by one, measured."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .arguments import add_instances, add_json, existing, user_path
from .outputs import print_json, table_path, told

if TYPE_CHECKING:
    from ..imaging.finding import Finding
    from ..imaging.volume import Volume

NAME = "findings"
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
    ct, probability = (_on_grid(volume, segmentation, options, notes) for volume in (ct, probability))
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


def _on_grid(
    volume: Volume | None, segmentation: Volume, options: argparse.Namespace, notes: list[str]
) -> Volume | None:
    """The image on the segmentation's grid, which sizes are measured on; that it had to be brought there goes to
    ``notes``.

    Raises:
        InputError: they do not overlap.
    """
    from ..imaging.resample import onto_grid_of, resample_to

    if volume is None:
        return None
    _, note = onto_grid_of(segmentation, volume, options.segmentation)
    if note is None:
        return volume
    notes.append(f"{options.segmentation} lies on another grid than the image; the image was resampled to it.")
    return resample_to(volume, segmentation.geometry)
