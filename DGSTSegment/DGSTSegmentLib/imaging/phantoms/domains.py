"""The two kinds of scan that phantoms imitate: where a model comes from, and where it must learn to go."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Domain:
    """What a scanner, a contrast phase and a body region do to a scan.

    Args:
        name: ``source`` or ``target``.
        description: one line for people.
        field_of_view_mm: extent along (k, j, i).
        slice_mm, pixel_mm: ranges of the distance of slices and of pixels.
        node_hu, node_texture_hu: mean of a node, and the spread of the texture within it.
        node_count: least and most nodes in a scan that has any.
        empty_scans: fraction of scans without nodes.
        small_nodes: fraction of nodes with a long axis of 4 to 9 mm.
        long_axis_mm: median long axis of the others, which span 9 to 34 mm.
        necrotic_nodes: fraction of nodes with a darker core.
        vessel_hu: enhanced vessels.
        plain_vessels, plain_vessel_hu: fraction of vessels that carry no contrast, and their density.
        muscle_hu, gland_hu, fat_hu: soft tissues around the nodes.
        lookalike_count, lookalike_hu: round structures along the vessels that are no nodes (loops of vessels, varices,
            ectopic gland), and their density.
        lungs: whether lungs fill both sides of the body.
        noise_hu: standard deviation of the noise.
        kernel_mm: blur of the reconstruction (larger is softer), also the noise's grain.
    """

    name: str
    description: str
    field_of_view_mm: tuple[float, float, float]
    slice_mm: Range
    pixel_mm: Range
    node_hu: Range
    node_texture_hu: float
    node_count: tuple[int, int]
    empty_scans: float
    small_nodes: float
    long_axis_mm: float
    necrotic_nodes: float
    vessel_hu: Range
    plain_vessels: float
    plain_vessel_hu: Range
    muscle_hu: Range
    gland_hu: Range
    fat_hu: Range
    lookalike_count: tuple[int, int]
    lookalike_hu: Range
    lungs: bool
    noise_hu: Range
    kernel_mm: Range


SOURCE = Domain(
    name="source",
    description="head-neck-like, venous phase, thin slices, soft kernel",
    field_of_view_mm=(112.0, 160.0, 160.0),
    slice_mm=(1.8, 2.2),
    pixel_mm=(1.35, 1.65),
    node_hu=(75.0, 105.0),
    node_texture_hu=6.0,
    node_count=(3, 8),
    empty_scans=0.1,
    small_nodes=0.25,
    long_axis_mm=20.0,
    necrotic_nodes=0.1,
    vessel_hu=(150.0, 210.0),
    plain_vessels=0.25,
    plain_vessel_hu=(80.0, 105.0),
    muscle_hu=(50.0, 62.0),
    gland_hu=(95.0, 120.0),
    fat_hu=(-110.0, -90.0),
    lookalike_count=(0, 0),
    lookalike_hu=(0.0, 0.0),
    lungs=False,
    noise_hu=(8.0, 14.0),
    kernel_mm=(0.8, 1.2),
)

TARGET = Domain(
    name="target",
    description="mediastinum-like, early or no contrast, thick slices, sharp kernel, more noise",
    field_of_view_mm=(120.0, 168.0, 184.0),
    slice_mm=(2.6, 3.4),
    pixel_mm=(1.2, 1.5),
    node_hu=(10.0, 32.0),
    node_texture_hu=9.0,
    node_count=(3, 9),
    empty_scans=0.1,
    small_nodes=0.3,
    long_axis_mm=20.0,
    necrotic_nodes=0.25,
    vessel_hu=(230.0, 330.0),
    plain_vessels=0.5,
    plain_vessel_hu=(38.0, 58.0),
    muscle_hu=(45.0, 60.0),
    gland_hu=(20.0, 45.0),
    fat_hu=(-105.0, -80.0),
    lookalike_count=(4, 9),
    lookalike_hu=(85.0, 115.0),
    lungs=True,
    noise_hu=(16.0, 24.0),
    kernel_mm=(0.4, 0.7),
)

DOMAINS = {domain.name: domain for domain in (SOURCE, TARGET)}
