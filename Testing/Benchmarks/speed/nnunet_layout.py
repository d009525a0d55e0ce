"""A model and scans written down as nnU-Net v2 expects them, so that nnU-Net and this project open the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from DGSTSegmentLib.atomic import write_text
from DGSTSegmentLib.imaging.files import write_volume
from DGSTSegmentLib.imaging.volume import Volume
from DGSTSegmentLib.networks.model import FoundationModel
from DGSTSegmentLib.networks.nnunet_export import export_nnunet
from DGSTSegmentLib.networks.nnunet_own_plans import ENDING, dataset_of


def write_results(folder: Path, model: FoundationModel) -> Path:
    """The model as nnU-Net's predictor opens it, fold 0, in place of what ``folder`` holds; returns the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    return export_nnunet(model, folder).folder


def write_raw(folder: Path, dataset: str, labels: Mapping[str, int], scans: Sequence[tuple[Volume, Volume]]) -> Path:
    """A raw data set of (CT in HU, mask) in nnU-Net's folder of raw data; returns it."""
    raw = folder / dataset
    for name in ("imagesTr", "labelsTr"):
        (raw / name).mkdir(parents=True, exist_ok=True)
    for n, (image, mask) in enumerate(scans):
        write_volume(image, raw / "imagesTr" / f"scan{n}_0000{ENDING}")
        write_volume(mask, raw / "labelsTr" / f"scan{n}{ENDING}")
    write_text(raw / "dataset.json", json.dumps(dataset_of(labels, len(scans)), indent=2))
    return raw
