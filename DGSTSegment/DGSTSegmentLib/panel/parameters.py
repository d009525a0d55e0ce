"""What the panel is set to; saved with the scene."""

from __future__ import annotations

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper

from ..dgst.registry import DEFAULT_RULE, LAYERS, RULES
from . import roles


@parameterNodeWrapper
class DGSTSegmentParameters:
    """Settings of the panel.

    inputVolume: the CT at work on.
    strategy, gamma (0: the rule's own), layers (empty: the rule's own), update, learningRate (0: the strategy's own),
    minutes, steps (0: from the minutes), heldOut (-1: one case in five), seed: of the next fine-tuning.
    shown: ``after``, ``before`` or ``both`` predictions.
    leastShortAxis: findings below this short axis (mm) are hidden.
    outlineOnly, opacity: how predictions and annotation are drawn in slice views.
    selectedFinding: number of the finding in the middle of the views; 0 for none.
    selectedPrediction: which prediction that number belongs to.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    strategy: Annotated[str, Default("dgst")]
    gamma: Annotated[int, WithinRange(0, 64), Default(0)]
    layers: Annotated[str, Choice(["", *LAYERS]), Default("")]
    update: Annotated[str, Choice(list(RULES)), Default(DEFAULT_RULE)]
    learningRate: Annotated[float, WithinRange(0, 1), Default(0.0)]
    minutes: Annotated[int, WithinRange(1, 600), Default(5)]
    steps: Annotated[int, WithinRange(0, 100000), Default(0)]
    heldOut: Annotated[int, WithinRange(-1, 100), Default(-1)]
    seed: Annotated[int, WithinRange(0, 1000000), Default(0)]
    shown: Annotated[str, Choice([roles.AFTER, roles.BEFORE, roles.BOTH]), Default(roles.AFTER)]
    leastShortAxis: Annotated[float, WithinRange(0, 50), Default(5.0)]
    outlineOnly: Annotated[bool, Default(False)]
    opacity: Annotated[float, WithinRange(0, 1), Default(0.4)]
    selectedFinding: Annotated[int, WithinRange(0, 100000), Default(0)]
    selectedPrediction: Annotated[str, Default("")]
