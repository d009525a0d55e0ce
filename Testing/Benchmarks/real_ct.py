"""Does a few-shot fine-tuning work on real CT? Tumours of the limbs: learn from four scans, measure on three.

``python Testing/Benchmarks/real_ct.py --data FOLDER --out FOLDER`` first chooses gamma and learning rate on the four
training scans alone, by leaving each of them out once and measuring on it. Then it fine-tunes on all four with what it
chose and compares the starter, the fine-tuned model and the best plain HU threshold (chosen on the very scans it is
measured on, so that it is not beaten too easily). Finished parts are kept in the folder, so that a stopped benchmark
goes on where it was. The data are tumours, not lymph nodes: this shows that the way works on real images, nothing about
lymph nodes.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np

from DGSTSegmentLib.atomic import write_text
from DGSTSegmentLib.imaging.files import read_segmentation, read_volume
from DGSTSegmentLib.imaging.volume import Volume
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.training.case_files import CaseFiles
from DGSTSegmentLib.training.finetune import finetune, resume
from DGSTSegmentLib.training.overlap import dice
from DGSTSegmentLib.training.predict import Predictor
from DGSTSegmentLib.training.request import FinetuneRequest

TRAINING, UNSEEN = ("002", "003", "008", "012"), ("019", "024", "025")
UPDATE = "rms"
"""The rule of the step, for which the candidates are meant."""
CANDIDATES = ((2, 0.02), (8, 0.03), (16, 0.03))
"""Pairs of gamma and learning rate to choose from."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with STS_nnn_ct.nii.gz and STS_nnn_gtv.nii.gz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0, help="of the fine-tuning on all four scans")
    parser.add_argument("--choosing-minutes", type=float, default=2.5, help="of each one that chooses")
    parser.add_argument("--strategy", default="dgst")
    parser.add_argument("--gamma", type=int, help="leave the choice out")
    parser.add_argument("--lr", type=float, help="leave the choice out")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    choice = None if options.gamma or options.lr or options.strategy != "dgst" else choose(options)
    gamma, lr = choice["chosen"] if choice else (options.gamma or 2, options.lr)
    summary = {**compared(options, gamma, lr), "gamma": gamma, "lr": lr, "choice": choice}
    write_text(options.out / "summary.json", json.dumps(summary, indent=2))
    print(json.dumps(summary, indent=2))


def choose(options: argparse.Namespace) -> dict:
    """Mean Dice of each candidate on the training scans, each left out once, and the best candidate."""
    record = options.out / "choice.json"
    tried = json.loads(record.read_text(encoding="utf-8"))["tried"] if record.exists() else []
    for gamma, lr in CANDIDATES[len(tried) :]:
        scores = []
        for left_out in TRAINING:
            learnt = tuple(name for name in TRAINING if name != left_out)
            out = options.out / f"choosing-{gamma}-{lr}-without-{left_out}"
            fine_tune(options, learnt, out, options.choosing_minutes, gamma, lr)
            scores += [row["dice"] for row in segmented(out, options.data, (left_out,))]
        tried.append({"gamma": gamma, "lr": lr, "dice": float(np.mean(scores)), "scans": scores})
        print(f"gamma {gamma}, lr {lr}: {tried[-1]['dice']:.3f} on the training scans left out", flush=True)
        write_text(record, json.dumps({"tried": tried}, indent=2))
    best = max(tried, key=lambda row: row["dice"])
    return {"tried": tried, "chosen": (best["gamma"], best["lr"])}


def compared(options: argparse.Namespace, gamma: int, lr: float | None) -> dict:
    """The starter, the model fine-tuned on all four scans and the best threshold, on the unseen scans."""
    out = options.out / "model"
    result = fine_tune(options, TRAINING, out, options.minutes, gamma, lr)
    before, after = (segmented(spec, options.data, UNSEEN) for spec in ("starter", out))
    threshold, between = best_threshold([scan(options.data, name) for name in UNSEEN])
    return {
        "starter": float(np.mean([row["dice"] for row in before])),
        "fine-tuned": float(np.mean([row["dice"] for row in after])),
        "best threshold": threshold,
        "threshold HU": between,
        "scans": [{**row, "starter": old["dice"]} for old, row in zip(before, after, strict=True)],
        "steps": result.steps,
        "seconds": result.seconds,
        "weights changed": result.weights_changed,
    }


def fine_tune(
    options: argparse.Namespace, names: tuple[str, ...], out: Path, minutes: float, gamma: int, lr: float | None
):
    """The run in ``out``, begun or gone on with."""
    cases = [CaseFiles(*files_of(options.data, name), "all") for name in names]
    request = FinetuneRequest(
        "starter",
        cases,
        str(out),
        strategy=options.strategy,
        update=UPDATE,
        gamma=gamma,
        lr=lr,
        minutes=minutes,
        holdout=0,
    )
    begun = (out / "request.json").exists()
    return resume(out, on_event=tell) if begun else finetune(request, on_event=tell)


def segmented(spec: str | Path, data: Path, names: tuple[str, ...]) -> list[dict]:
    """Dice of a model on scans, and whether its answer lies exactly where the CT does."""
    model = open_model(spec)
    predictor = Predictor(model.networks(), model.plan)
    rows = []
    for name in names:
        image, mask = scan(data, name)
        segmentation = predictor.segment(image).segmentation
        same_matrix = bool((segmentation.geometry.ijk_to_world == image.geometry.ijk_to_world).all())
        rows.append(
            {
                "scan": name,
                "dice": dice(mask.array > 0, segmentation.array > 0),
                "same geometry": same_matrix and segmentation.geometry.shape == image.geometry.shape,
            }
        )
    return rows


def best_threshold(scans: list[tuple[Volume, Volume]]) -> tuple[float, tuple[int, int]]:
    """Highest mean Dice that voxels between two HU values reach on these scans, and the two values."""
    best = (0.0, (0, 0))
    for low, high in product(range(-100, 150, 10), [*range(-50, 300, 10), 4000]):
        if low < high:
            scores = [dice(mask.array > 0, (ct.array >= low) & (ct.array <= high)) for ct, mask in scans]
            best = max(best, (float(np.mean(scores)), (low, high)))
    return best


def scan(data: Path, name: str) -> tuple[Volume, Volume]:
    ct, mask = files_of(data, name)
    return read_volume(ct), read_segmentation(mask)


def files_of(data: Path, name: str) -> tuple[str, str]:
    return str(data / f"STS_{name}_ct.nii.gz"), str(data / f"STS_{name}_gtv.nii.gz")


def tell(event: dict) -> None:
    if event["event"] == "note" or (event["phase"] == "train" and event["step"] % 50 == 0):
        print(event.get("message") or f"step {event['step']}/{event['steps']}  loss {event['loss']:.3f}", flush=True)


if __name__ == "__main__":
    main()
