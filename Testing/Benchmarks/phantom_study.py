"""Does fine-tuning on a few marked nodes help on phantoms? Dice on unseen target scans over several seeds.

``python Testing/Benchmarks/phantom_study.py --out FOLDER`` fine-tunes the starter by each strategy with the same cases
and steps, segments scans that nobody trained on, and prints means and paired 95 % intervals. Finished runs are kept in
the folder, so that a stopped benchmark goes on where it was. The numbers speak of phantoms, not of patients.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import stats

from DGSTSegmentLib.atomic import write_text
from DGSTSegmentLib.cli.demo_review import with_rejected
from DGSTSegmentLib.cli.demo_study import Study, phantom_study
from DGSTSegmentLib.imaging.files import read_segmentation, read_volume, write_volume
from DGSTSegmentLib.imaging.phantoms import make_phantom
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.model import FoundationModel
from DGSTSegmentLib.training.finetune import finetune, resume
from DGSTSegmentLib.training.overlap import dice
from DGSTSegmentLib.training.predict import Predictor
from DGSTSegmentLib.training.request import FinetuneRequest

FIRST_SEEDS = {0: 100, 1: 200, 2: 300, 3: 400, 4: 500}
"""First phantom of each study; far enough apart that no scan is used twice."""

SOURCE_SEEDS = range(900, 906)


def study_of(folder: Path, seed: int, unseen: int) -> Study:
    """The demonstration's study: four training scans with three nodes marked and up to three wrong findings of the
    starter refused in each, and ``unseen`` complete ones."""
    study = phantom_study(folder / f"study-{seed}", "target", FIRST_SEEDS[seed], 4, 3, unseen)
    starter = open_model("starter")
    predictor = Predictor(starter.networks(), starter.plan)
    predictions = [scan.image.replace("-ct.nii.gz", "-starter.nii.gz") for scan in study.training]
    for scan, path in zip(study.training, predictions, strict=True):
        write_volume(predictor.segment(read_volume(scan.image)).segmentation, path)
    return with_rejected(study, predictions, 3)


def dice_of(model: FoundationModel, scans) -> list[float]:
    """Dice of a model on scans of complete annotation."""
    predictor = Predictor(model.networks(), model.plan)
    return [
        dice(
            read_segmentation(scan.annotation).array > 0,
            predictor.segment(read_volume(scan.image)).segmentation.array > 0,
        )
        for scan in scans
    ]


def source_dice(model: FoundationModel) -> list[float]:
    """Dice on phantoms of the domain that the model comes from: what was forgotten shows here."""
    predictor = Predictor(model.networks(), model.plan)
    phantoms = [make_phantom("source", seed) for seed in SOURCE_SEEDS]
    return [
        dice(p.nodes.array > 0, predictor.segment(p.ct).segmentation.array > 0) for p in phantoms if p.nodes.array.any()
    ]


def measured(folder: Path, strategy: str, seed: int, options: argparse.Namespace, study) -> dict:
    """One strategy on one study, measured, or what an earlier call measured."""
    record = folder / f"{strategy}-{seed}.json"
    if record.exists():
        return json.loads(record.read_text(encoding="utf-8"))
    if strategy == "starter":
        model, changed = open_model("starter"), 0.0
    else:
        out = folder / f"{strategy}-{seed}"
        request = FinetuneRequest(
            "starter",
            study.cases,
            str(out),
            strategy=strategy,
            steps=options.steps,
            seed=seed,
            holdout=0,
            lr=options.lr,
        )
        result = resume(out) if out.exists() else finetune(request)
        model, changed = open_model(out), result.weights_changed
    row = {"dice": dice_of(model, study.shown), "source_dice": source_dice(model), "weights_changed": changed}
    write_text(record, json.dumps(row))
    print(
        f"{strategy:8} seed {seed}: target {np.mean(row['dice']):.3f}  source {np.mean(row['source_dice']):.3f}",
        flush=True,
    )
    return row


def interval(differences: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of paired differences (Student's t)."""
    return tuple(
        float(x) for x in stats.t.interval(0.95, len(differences) - 1, np.mean(differences), stats.sem(differences))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], choices=FIRST_SEEDS)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--unseen", type=int, default=8)
    parser.add_argument("--strategies", nargs="+", default=["dgst", "full", "head"])
    parser.add_argument("--lr", type=float)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict]] = {}
    for seed in options.seeds:
        study = study_of(options.out, seed, options.unseen)
        for strategy in ["starter", *options.strategies]:
            rows.setdefault(strategy, []).append(measured(options.out, strategy, seed, options, study))
    summary = {}
    before = np.concatenate([row["dice"] for row in rows["starter"]])
    for strategy, of_seeds in rows.items():
        after = np.concatenate([row["dice"] for row in of_seeds])
        summary[strategy] = {
            "target": float(after.mean()),
            "rise": float((after - before).mean()),
            "interval": interval(after - before) if strategy != "starter" else None,
            "source": float(np.mean([row["source_dice"] for row in of_seeds])),
            "weights_changed": float(np.mean([row["weights_changed"] for row in of_seeds])),
            "scans": len(after),
        }
    write_text(options.out / "summary.json", json.dumps(summary, indent=2))
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
