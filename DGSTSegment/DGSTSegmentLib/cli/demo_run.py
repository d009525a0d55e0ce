"""The demonstration, stage by stage."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import write_text
from ..imaging.files import read_ct, read_segmentation, read_volume
from ..imaging.finding import write_csv
from ..imaging.findings import Findings, find
from ..imaging.resample import onto_grid_of
from .demo_measure import ScanScores, score, summary_of
from .demo_review import with_rejected
from .demo_study import Scan, Study, own_study, phantom_study
from .engine import ask_client
from .progress import ProgressView
from .report import Report, write_report
from .versions import versions

if TYPE_CHECKING:
    from ..engine.client import EngineClient
    from ..imaging.phantoms import Domain

STAGES = {
    "study": "preparing scans",
    "predict_before": "segmenting before",
    "review": "refusing wrong findings",
    "finetune": "fine-tuning",
    "predict_after": "segmenting after",
    "measure": "measuring",
    "pictures": "drawing",
}


@dataclass(frozen=True)
class DemoSettings:
    """How large the demonstration is.

    Args:
        model: to begin with.
        steps: of the fine-tuning.
        training_scans: to learn from, with ``marked_nodes`` marked in each and up to ``rejected_findings`` refused.
        unseen_scans: to measure on; the first one is in the pictures.
        domain: of the phantoms.
        seed: number of the first phantom, and of the fine-tuning.
        picture_width: pixels.
    """

    model: str = "starter"
    steps: int = 200
    training_scans: int = 4
    marked_nodes: int = 3
    rejected_findings: int = 3
    unseen_scans: int = 4
    domain: str | Domain = "target"
    seed: int = 0
    picture_width: int = 1600


@dataclass(frozen=True)
class Answers:
    """What the engine answered: a prediction a shown scan, before and after, and the fine-tuning's result."""

    before: list[dict[str, Any]]
    finetuning: dict[str, Any]
    after: list[dict[str, Any]]


class Demo:
    """Makes or takes scans, predicts, fine-tunes, predicts again, measures, draws and reports.

    Args:
        settings: its size.
        folder: for everything it leaves.
        view: shows progress.
        client: of the engine that computes.
    """

    def __init__(self, settings: DemoSettings, folder: Path, view: ProgressView, client: EngineClient):
        self.settings, self.folder, self.client = settings, folder, client
        self.view = StageView(view)
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = []

    def carry_out(self, own: tuple[str, str] | None = None) -> dict[str, Any]:
        """Go through all stages; returns what ``summary.json`` holds.

        Args:
            own: CT and annotation of the user's instead of phantoms.

        Raises:
            InputError, EngineError, cli.engine.Interrupted: as ``cli.engine.ask``.
        """
        began = time.monotonic()
        with self._stage("study"):
            study = own_study(*own) if own is not None else self._phantoms()
        with self._stage("predict_before"):
            before = self._predict(study.shown, self.settings.model, "before")
        with self._stage("review"):
            study = self._review(study)
        with self._stage("finetune"):
            finetuning = self._finetune(study)
        with self._stage("predict_after"):
            after = self._predict(study.shown, finetuning["model"], "after")
        answers = Answers(before, finetuning, after)
        with self._stage("measure"):
            scores = _scores(study, answers)
            found = self._findings(study.shown[0], after[0])
        with self._stage("pictures"):
            self._draw(study, answers)
        self.seconds["total"] = time.monotonic() - began
        return self._tell(study, answers, scores, found)

    def _phantoms(self) -> Study:
        s = self.settings
        return phantom_study(self.folder / "study", s.domain, s.seed, s.training_scans, s.marked_nodes, s.unseen_scans)

    def _review(self, study: Study) -> Study:
        """The study with some of the model's wrong findings in the training scans refused, as a reader would."""
        if not study.training:
            return study
        found = self._predict(study.training, self.settings.model, "training")
        return with_rejected(study, [result["out"] for result in found], self.settings.rejected_findings)

    def _predict(self, scans: Sequence[Scan], model: str, when: str) -> list[dict[str, Any]]:
        """The engine's results, one a scan, their files in the folder ``predictions``."""
        folder = self.folder / "predictions"
        folder.mkdir(exist_ok=True)
        results = []
        for n, scan in enumerate(scans, start=1):
            self.view.part = f" {n} of {len(scans)}" if len(scans) > 1 else ""
            fields = {
                "model": model,
                "image": scan.image,
                "out": str(folder / f"{n}-{when}.nii.gz"),
                "probability": str(folder / f"{n}-{when}-probability.nii.gz"),
            }
            results.append(ask_client(self.client, self.view, "predict", fields))
            self._keep_notes(results[-1])
        return results

    def _finetune(self, study: Study) -> dict[str, Any]:
        fields = {
            "model": self.settings.model,
            "cases": [case.to_json() for case in study.cases],
            "out": str(self.folder / "model"),
            "strategy": "dgst",
            "steps": self.settings.steps,
            "holdout": 0,
            "seed": self.settings.seed,
            "name": "adapted model",
        }
        result = ask_client(self.client, self.view, "finetune", fields)
        if not study.unseen:  # else what it says of measuring is not true of the demonstration
            self._keep_notes(result)
        return result

    def _findings(self, scan: Scan, result: dict[str, Any]) -> Findings:
        """What the adapted model finds in the scan of the pictures; written as ``findings.csv``."""
        ct, probability = read_ct(scan.image), read_volume(result["probability"])
        found = find(read_segmentation(result["out"]), ct, probability)
        write_csv(found.items, self.folder / "findings.csv")
        return found

    def _draw(self, study: Study, answers: Answers) -> None:
        """The first shown scan, before and after, at the same place."""
        from ..views.pictures import Overlay, Picture, draw_cases

        scan = study.shown[0]
        ct = read_ct(scan.image)
        reference, _ = onto_grid_of(read_segmentation(scan.annotation), ct, scan.annotation)
        known = Overlay(reference, "all nodes" if study.unseen else "annotation", "orange")
        pictures = [
            Picture(
                str(self.folder / f"{when}.png"),
                ct,
                (known, Overlay(read_segmentation(result["out"]), "prediction", "blue", "fill")),
                title=f"{scan.name}, {when} fine-tuning: {result['model']}",
                width=self.settings.picture_width,
            )
            for when, result in (("before", answers.before[0]), ("after", answers.after[0]))
        ]
        self.notes += [note for note in {drawn.note for drawn in draw_cases(pictures)} if note]

    def _tell(self, study: Study, answers: Answers, scores: list[ScanScores], found: Findings) -> dict[str, Any]:
        """Write report and summary; returns the summary."""
        before = find(read_segmentation(answers.before[0]["out"]))
        card = self.client.describe(answers.finetuning["model"])["card"]
        summary = {
            **summary_of(scores),
            "findings": len(found.items),
            "findings_before": len(before.items),
            "weights_changed": answers.finetuning["weights_changed"],
            "steps": answers.finetuning["steps"],
            "seconds": {phase: round(seconds, 2) for phase, seconds in self.seconds.items()},
            "device": card["strategy"]["device"],
            "versions": versions(),
            "model": answers.before[0]["model"],
            "made_up": study.made_up,
        }
        pictures = {when: self.folder / f"{when}.png" for when in ("before", "after")}
        report = Report(study, summary, scores, found.items, pictures, self.notes)
        write_report(report, self.folder / "report.html")
        write_text(self.folder / "summary.json", json.dumps(summary, indent=2))
        return summary

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self.view.begin(name)
        yield
        self.seconds[name] = time.monotonic() - began

    def _keep_notes(self, result: dict[str, Any]) -> None:
        self.notes += [note for note in result["notes"] if note not in self.notes]


class StageView:
    """Shows which stage the engine's progress belongs to.

    Args:
        view: shows it.
    """

    def __init__(self, view: ProgressView):
        self._view = view
        self._stage, self.part = "", ""

    def begin(self, name: str) -> None:
        self._stage = f"{list(STAGES).index(name) + 1}/{len(STAGES)} {STAGES[name]}"
        self.part = ""
        self._view.on_event({"event": "progress", "phase": self._stage, "step": 0, "steps": None})

    def on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            event = {**event, "phase": f"{self._stage}{self.part}: {event['phase']}"}
        self._view.on_event(event)

    def say(self, message: str) -> None:
        self._view.say(message)


def _scores(study: Study, answers: Answers) -> list[ScanScores]:
    if not study.unseen:
        return []
    return [
        ScanScores(scan.name, score(scan, old["out"]), score(scan, new["out"]))
        for scan, old, new in zip(study.shown, answers.before, answers.after, strict=True)
    ]
