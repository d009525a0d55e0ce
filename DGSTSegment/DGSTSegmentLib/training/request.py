"""What a face asks the engine for: plain data that travels as JSON. No torch here."""

from __future__ import annotations

import os
from dataclasses import MISSING, asdict, dataclass, fields
from math import inf
from typing import Any

from ..dgst.registry import DEFAULT_RULE, LAYERS, RULES, STRATEGIES
from ..errors import InputError
from ..networks.plan import ORIENTATIONS
from .case_files import CaseFiles

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEFAULT_STEPS = 200
MODEL_PLACES = ("model", "base")
"""Fields that say where models are, which are moved."""
MODEL_PARTS = ("base", "fold", "checkpoint", "orientation")
"""Fields that say, beside ``model``, what is opened."""
SELECTION = ("gamma", "layers", "update")
"""Fields that say which weights move and by which rule; only strategies that select heed them."""


@dataclass(frozen=True)
class PredictRequest:
    """Segment one CT.

    Args:
        model: ``starter``, or the path of a model folder or zip.
        image: CT file or DICOM folder.
        out: where the labelmap goes, in the CT's own geometry.
        probability: where the foreground probability goes, if wanted.
        findings: where the labelmap of the findings' numbers goes, if they are wanted; they are measured then.
        device: ``auto`` takes a GPU where there is one.
        base: where the base of a fine-tuned model lies, when it is not where the model recorded it.
        fold: one fold of an ensemble; all of them when None.
        checkpoint: nnU-Net: ``final``, ``best`` or a file name; None for final where there is one.
        precision: ``auto`` takes bf16 or fp16 where the device is faster with it.
        orientation: of ``networks.plan.ORIENTATIONS``, see ``foundation.open_model``; None for the model's own.
    """

    model: str
    image: str
    out: str
    probability: str | None = None
    findings: str | None = None
    device: str = "auto"
    base: str | None = None
    fold: int | str | None = None
    precision: str = "auto"
    orientation: str | None = None
    checkpoint: str | None = None

    def validate(self) -> None:
        """Raises:
        InputError: a field has a value that nothing knows, or two results would go to the same file.
        """
        _one_of("device", self.device, DEVICES)
        _one_of("precision", self.precision, PRECISIONS)
        if self.orientation is not None:
            _one_of("orientation", self.orientation, tuple(ORIENTATIONS))
        outputs = [os.path.abspath(path) for path in (self.out, self.probability, self.findings) if path is not None]
        if len(set(outputs)) < len(outputs):
            raise InputError(f"Two results would be written to one file ({', '.join(outputs)}); give each its own.")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PredictRequest:
        return cls(**_known_fields(cls, data))


@dataclass(frozen=True)
class FinetuneRequest:
    """Adapt a model to a few annotated scans.

    Args:
        model: ``starter``, or the path of a model folder or zip.
        cases: all annotated scans of the study.
        out: the run's folder; what is written there is itself a model.
        strategy: a name in ``dgst.registry.STRATEGIES``.
        gamma: how many weights of a row a step may move (dgst, random, static); None takes the rule's own.
        layers: of ``dgst.registry.LAYERS``, whose rows those weights are selected from; None takes the rule's own.
        update: rule for those weights, of ``dgst.registry.RULES``: ``sgd`` is the paper's; None takes the usual one.
        lr: learning rate of the strategy's own parameters; None takes the strategy's own for the rule.
        steps: number of steps; exactly one of ``steps`` and ``minutes`` may be given, neither means 200 steps.
        minutes: time to train; turned into a number of steps once, from the first steps' speed.
        holdout: how many cases measure instead of train; None holds out one in five, so none below five cases. They are
            drawn from those with marked nodes, of which one at least is left to learn from.
        holdout_cases: the CTs of the cases that measure, as these name them, where they are chosen and not drawn.
        seed: all random numbers derive from it and the step.
        device: ``auto`` takes a GPU where there is one.
        base: where the base of a fine-tuned model lies, when it is not where the model recorded it.
        fold, checkpoint: which fold of an ensemble of nnU-Net to fine-tune; ``final``, ``best`` or a file name.
        batch_size: patches a step.
        threads: CPU threads; None takes what torch takes. Recorded, since it changes the last bits of gradients.
        precision: ``auto`` takes bf16 or fp16 where the device is faster with it.
        distillation: weight of the divergence from the foundation model where nothing is known.
        name: how the new model is called; the folder's name by default.
        orientation: of ``networks.plan.ORIENTATIONS``, see ``foundation.open_model``; None for the model's own.
    """

    model: str
    cases: list[CaseFiles]
    out: str
    strategy: str = "dgst"
    gamma: int | None = None
    layers: str | None = None
    update: str | None = None
    lr: float | None = None
    steps: int | None = None
    minutes: float | None = None
    holdout: int | None = None
    holdout_cases: list[str] | None = None
    seed: int = 0
    device: str = "auto"
    base: str | None = None
    fold: int | str | None = None
    checkpoint: str | None = None
    batch_size: int = 2
    threads: int | None = None
    precision: str = "auto"
    distillation: float = 1.0
    name: str | None = None
    orientation: str | None = None

    def __post_init__(self) -> None:
        """Spell out what strategy and rule bring along, so that a run goes on by it whatever a later version brings."""
        update = self.update or DEFAULT_RULE
        if self.strategy in STRATEGIES and update in RULES:
            info, rule = STRATEGIES[self.strategy], RULES[update]
            own = {"update": update, "gamma": rule.gamma, "layers": rule.layers} if info.uses_gamma else {}
            for name, value in {**own, "lr": info.lr_by(update)}.items():
                if getattr(self, name) is None:
                    object.__setattr__(self, name, value)

    @property
    def selection(self) -> dict[str, Any]:
        """Which weights a step moves and by which rule; empty for a strategy that does not select."""
        selects = self.strategy in STRATEGIES and STRATEGIES[self.strategy].uses_gamma
        return {name: getattr(self, name) for name in SELECTION} if selects else {}

    @property
    def without_effect(self) -> list[str]:
        """Names of the fields that were given though the strategy does not use them."""
        return [name for name in SELECTION if getattr(self, name) is not None and name not in self.selection]

    def validate(self) -> None:
        """Raises:
        InputError: a field has a value that nothing knows, or two fields contradict each other.
        """
        _one_of("strategy", self.strategy, tuple(STRATEGIES))
        for name, known in (("update", tuple(RULES)), ("layers", LAYERS), ("orientation", tuple(ORIENTATIONS))):
            if getattr(self, name) is not None:
                _one_of(name, getattr(self, name), known)
        _one_of("device", self.device, DEVICES)
        _one_of("precision", self.precision, PRECISIONS)
        if not self.cases:
            raise InputError("There is no case to learn from; give at least one CT with its annotation.")
        idle = next((case for case in self.cases if case.region and case.completeness != "region"), None)
        if idle is not None:
            raise InputError(
                f"{idle.title} has a region, but its completeness {idle.completeness!r} heeds none; leave out one of "
                "the two."
            )
        if self.steps is not None and self.minutes is not None:
            raise InputError("Give either a number of steps or of minutes, not both.")
        for name in ("gamma", "batch_size", "steps", "minutes", "lr", "threads"):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise InputError(f"{name} must be greater than 0, not {value}.")
        for name in ("distillation", "seed"):
            if not 0 <= getattr(self, name) < inf:
                raise InputError(f"{name} must be 0 or greater, not {getattr(self, name)}.")
        if self.holdout is not None and not 0 <= self.holdout < len(self.cases):
            raise InputError(
                f"{self.holdout} of {len(self.cases)} cases cannot be held out; leave at least one to learn from."
            )

        if self.holdout_cases is not None:
            self._refuse_held_out_without_case()

    def _refuse_held_out_without_case(self) -> None:
        images = [case.image for case in self.cases]
        unknown = next((image for image in self.holdout_cases if image not in images), None)
        if unknown is not None:
            raise InputError(f"{unknown} is to be held out, but is the CT of no case; give its case too.")
        if self.holdout is not None:
            raise InputError("Give either how many cases to hold out or which, not both.")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FinetuneRequest:
        known = _known_fields(cls, data)
        return cls(**{**known, "cases": [CaseFiles.from_json(case) for case in known["cases"]]})


def _known_fields(cls: type, data: dict[str, Any]) -> dict[str, Any]:
    unknown = set(data) - {f.name for f in fields(cls)}
    if unknown:
        raise InputError(f"A {cls.__name__} has no field {', '.join(sorted(unknown))}; remove it.")
    missing = [f.name for f in fields(cls) if f.default is MISSING and f.name not in data]
    if missing:
        raise InputError(f"A {cls.__name__} needs {', '.join(missing)}; give it.")
    return data


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}.")
