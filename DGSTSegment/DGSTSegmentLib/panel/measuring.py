"""Measuring what is marked in a scan, where it lies now."""

from __future__ import annotations

from dataclasses import replace

from ..imaging.finding import Finding
from ..imaging.volume import Volume
from . import bridge
from .placed import PlacedMask


def measure(scan, placed: PlacedMask) -> Finding:
    """The measurements of a mask on the scan's grid, which holds a voxel; its box lies in the scan.

    Raises:
        InputError: the scan holds no voxels, or a transform moves it.
    """
    from ..imaging.findings import find  # needs scipy, which starting the module does not wait for

    volume = bridge.volumeOf(scan)
    geometry = volume.geometry.cropped(placed.slices)
    voxels = Volume(volume.array[placed.slices], geometry)
    (finding,) = find(Volume(placed.mask, geometry), voxels, instances="values").items
    return replace(finding, box=placed.box)
