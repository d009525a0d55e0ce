"""What travels between the process that asks for pictures and the one that draws with Slicer: JSON and .npy files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..imaging.arrays import save_array
from ..imaging.geometry import Geometry
from ..imaging.volume import Volume
from .panels import Panel
from .picture import Overlay

ORDERS = "orders.json"


@dataclass(frozen=True, eq=False)
class Order:
    """What the painter needs to know of one picture.

    Args:
        ct: HU.
        overlays: drawn in this order.
        anatomy: ``skin`` and ``bone``, soft masks for the 3D panel.
        panels: what to paint.
        window: width and level, HU.
    """

    ct: Volume
    overlays: tuple[Overlay, ...]
    anatomy: dict[str, Volume]
    panels: tuple[Panel, ...]
    window: tuple[float, float]


def write_orders(folder: Path, orders: Sequence[Order]) -> None:
    """Leave ``orders`` in ``folder``; a volume that several of them share is stored once."""
    store = _Store(folder)
    data = [
        {
            "ct": store.volume(order.ct),
            "overlays": [
                {"volume": store.volume(o.volume), "name": o.name, "color": list(o.rgb), "style": o.style}
                for o in order.overlays
            ],
            "anatomy": {name: store.volume(mask) for name, mask in order.anatomy.items()},
            "panels": [_panel_to_json(panel) for panel in order.panels],
            "window": list(order.window),
        }
        for order in orders
    ]
    (folder / ORDERS).write_text(json.dumps(data), encoding="utf-8")


def read_orders(folder: Path) -> list[Order]:
    data = json.loads((folder / ORDERS).read_text(encoding="utf-8"))
    return [_order_from_json(folder, entry) for entry in data]


def write_painted(folder: Path, number: int, panel: str, pixels: np.ndarray) -> None:
    """Leave a painted panel of order ``number``; it appears whole or not at all."""
    partial = folder / "partial.npy"
    save_array(partial, pixels)
    partial.replace(_painted_path(folder, number, panel))


def read_painted(folder: Path, number: int, order: Order) -> dict[str, np.ndarray] | None:
    """RGB panels by name; None when one of them was not painted."""
    paths = {panel.name: _painted_path(folder, number, panel.name) for panel in order.panels}
    if not all(path.exists() for path in paths.values()):
        return None
    return {name: np.load(path, allow_pickle=False) for name, path in paths.items()}


def _painted_path(folder: Path, number: int, panel: str) -> Path:
    return folder / f"painted-{number}-{panel}.npy"


class _Store:
    def __init__(self, folder: Path):
        self.folder = folder
        self.kept: dict[int, tuple[Volume, dict]] = {}  # holding the volume keeps its id from being used again

    def volume(self, volume: Volume) -> dict:
        if id(volume) not in self.kept:
            name = f"volume-{len(self.kept)}.npy"
            save_array(self.folder / name, volume.array)
            entry = {"file": name, "ijk_to_world": volume.geometry.ijk_to_world.tolist()}
            self.kept[id(volume)] = (volume, entry)
        return self.kept[id(volume)][1]


def _read_volume(folder: Path, entry: dict) -> Volume:
    array = np.load(folder / entry["file"], allow_pickle=False)
    return Volume(array, Geometry(array.shape, np.array(entry["ijk_to_world"])))


def _panel_to_json(panel: Panel) -> dict:
    return {
        "name": panel.name,
        "right": panel.right.tolist(),
        "down": panel.down.tolist(),
        "center": panel.center.tolist(),
        "mm_per_pixel": panel.mm_per_pixel,
        "size": list(panel.size),
    }


def _panel_from_json(entry: dict) -> Panel:
    vectors = {name: np.array(entry[name]) for name in ("right", "down", "center")}
    return Panel(entry["name"], **vectors, mm_per_pixel=entry["mm_per_pixel"], size=tuple(entry["size"]))


def _order_from_json(folder: Path, entry: dict) -> Order:
    overlays = [
        Overlay(_read_volume(folder, o["volume"]), o["name"], tuple(o["color"]), o["style"]) for o in entry["overlays"]
    ]
    return Order(
        ct=_read_volume(folder, entry["ct"]),
        overlays=tuple(overlays),
        anatomy={name: _read_volume(folder, mask) for name, mask in entry["anatomy"].items()},
        panels=tuple(_panel_from_json(panel) for panel in entry["panels"]),
        window=tuple(entry["window"]),
    )
