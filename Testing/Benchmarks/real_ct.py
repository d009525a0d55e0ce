"""Does a few-shot fine-tuning work on real CT? Tumours of the limbs: learn from four scans, measure on three.

``python Testing/Benchmarks/real_ct.py --data FOLDER --out FOLDER`` compares the starter, the fine-tuned model and the
best plain HU threshold (chosen on the very scans it is measured on, so that it is not beaten too easily). The data are
tumours, not lymph nodes: this shows that the way works on real images, nothing about lymph nodes.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np

from DGSTSegmentLib.atomic import write_text
from DGSTSegmentLib.imaging.files import read_segmentation, read_volume
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.training.finetune import finetune
from DGSTSegmentLib.training.overlap import dice
from DGSTSegmentLib.training.predict import Predictor
from DGSTSegmentLib.training.request import CaseFiles, FinetuneRequest

TRAINING, UNSEEN = ("002", "003", "008", "012"), ("019", "024", "025")


def best_threshold(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, tuple[int, int]]:
    """Highest mean Dice that voxels between two HU values reach on these scans, and the two values."""
    best = (0.0, (0, 0))
    for low, high in product(range(-100, 150, 10), [*range(-50, 300, 10), 4000]):
        if low < high:
            mean = float(np.mean([dice(mask, (hu >= low) & (hu <= high)) for hu, mask in pairs]))
            best = max(best, (mean, (low, high)))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with STS_nnn_ct.nii.gz and STS_nnn_gtv.nii.gz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.5)
    parser.add_argument("--strategy", default="dgst")
    parser.add_argument("--gamma", type=int, default=2)
    parser.add_argument("--lr", type=float)
    options = parser.parse_args()
    cases = [CaseFiles(*files_of(options.data, name), "all") for name in TRAINING]
    out = options.out / "model"
    request = FinetuneRequest(
        "starter",
        cases,
        str(out),
        strategy=options.strategy,
        gamma=options.gamma,
        lr=options.lr,
        minutes=options.minutes,
        holdout=0,
    )
    result = finetune(request, resume=out.exists(), on_event=tell)
    pairs, rows = [], []
    for name in UNSEEN:
        image, mask = (
            read(path)
            for read, path in zip((read_volume, read_segmentation), files_of(options.data, name), strict=True)
        )
        row = {"scan": name}
        for title, spec in (("starter", "starter"), ("fine-tuned", out)):
            model = open_model(spec)
            segmentation = Predictor(model.networks(), model.plan).segment(image).segmentation
            row[title] = dice(mask.array > 0, segmentation.array > 0)
            row["same geometry"] = bool(
                segmentation.geometry.shape == image.geometry.shape
                and (segmentation.geometry.ijk_to_world == image.geometry.ijk_to_world).all()
            )
        pairs.append((image.array, mask.array > 0))
        rows.append(row)
    threshold, between = best_threshold(pairs)
    summary = {
        "scans": rows,
        "starter": float(np.mean([row["starter"] for row in rows])),
        "fine-tuned": float(np.mean([row["fine-tuned"] for row in rows])),
        "best threshold": threshold,
        "threshold HU": between,
        "steps": result.steps,
        "seconds": result.seconds,
        "weights changed": result.weights_changed,
    }
    write_text(options.out / "summary.json", json.dumps(summary, indent=2))
    print(json.dumps(summary, indent=2))


def files_of(data: Path, name: str) -> tuple[str, str]:
    return str(data / f"STS_{name}_ct.nii.gz"), str(data / f"STS_{name}_gtv.nii.gz")


def tell(event: dict) -> None:
    if event["event"] == "note" or (event["phase"] == "train" and event["step"] % 50 == 0):
        print(event.get("message") or f"step {event['step']}/{event['steps']}  loss {event['loss']:.3f}", flush=True)


if __name__ == "__main__":
    main()
