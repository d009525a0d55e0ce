"""A foundation model in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from ..dgst.delta import Delta, compute_delta
from ..errors import InputError
from .architectures import (
    build_blank,
    decoder_modules,
    head_modules,
    layer_modules,
    set_deep_supervision,
)
from .card import ModelCard
from .plan import Plan
from .state import State, load_state_


@dataclass(frozen=True, eq=False)
class FoundationModel:
    """Pretrained network, preprocessing plan, label names and card; nothing here changes what lies on disk.

    Args:
        card: for people.
        plan: its whole preprocessing.
        architecture: its network, as ``architectures.build`` takes it.
        states: weights as stored, each under one name; one state a fold.
        deep_supervision: whether its lower score maps were trained.
        location: the folder or zip it was opened from.
        delta: for a fine-tuned model what changed on its base; ``states`` are the base's.
        base: for a fine-tuned model the foundation model it stands on.
        fold, checkpoint: which part of an nnU-Net results folder it is, to find it again.
        remarks: sentences on what of that folder was taken and what was not, where that is not as usual.
        mirrored_axes: axes (k, j, i) of the prepared array along which it has learned to see mirrored scans.
        ignored_value: of the masks that it was trained on, where nothing was known; None where they had no such value.
    """

    card: ModelCard
    plan: Plan
    architecture: dict[str, Any]
    states: tuple[State, ...]
    deep_supervision: bool
    location: Path
    delta: Delta | None = None
    base: FoundationModel | None = None
    fold: str | None = None
    checkpoint: str | None = None
    remarks: tuple[str, ...] = ()
    mirrored_axes: tuple[int, ...] = (0, 1, 2)
    ignored_value: int | None = None

    @property
    def labels(self) -> dict[str, int]:
        """Segment name -> value; background is 0."""
        return dict(self.card.labels or {})

    @property
    def fingerprint(self) -> str:
        """Names the weights as stored."""
        return self.card.fingerprint

    @property
    def origin(self) -> dict[str, Any]:
        """Which weights these are, as plain values: fingerprint, folds and checkpoint of nnU-Net's, and those of the
        base of a fine-tuned model."""
        return {
            "fingerprint": self.fingerprint,
            "folds": list(self.card.folds) or ([] if self.fold is None else [self.fold]),
            "checkpoint": self.checkpoint,
            "base": None if self.base is None else self.base.origin,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for whoever reads its answers, on what is not as usual with it."""
        structures = [name for name, value in self.labels.items() if value]
        notes = list(self.remarks)
        if len(structures) > 1:
            notes.append(
                f"The model tells {len(structures)} structures apart ({', '.join(structures)}): findings, their "
                "measurements and the probability are of all of them together."
            )
        if self.card.left_off:
            notes.append(self.card.left_off)
        return tuple(notes)

    @property
    def foundation(self) -> FoundationModel:
        """Where fine-tuning starts from: the base of a fine-tuned model, else the model itself."""
        return self.base or self

    def oriented(self, orientation: str) -> FoundationModel:
        """The same model, and its base, for scans in an orientation of ``networks.plan.ORIENTATIONS``."""
        base = None if self.base is None else self.base.oriented(orientation)
        return replace(self, plan=replace(self.plan, orientation=orientation), base=base)

    def in_memory(self) -> FoundationModel:
        """The same model, and its base, with weights of its own: opened ones may be mapped from their file, and change
        when another program writes to it."""
        states = tuple({name: tensor.clone() for name, tensor in state.items()} for state in self.states)
        base = None if self.base is None else replace(self.base, states=states)
        return replace(self, states=states, base=base)

    @cached_property
    def head(self) -> tuple[str, ...]:
        """Names of the modules that turn features into class scores."""
        return tuple(head_modules(self._blank()))

    @cached_property
    def decoder(self) -> tuple[str, ...]:
        """Names of the modules after the bottleneck, head included."""
        return tuple(decoder_modules(self._blank()))

    def modules_of(self, layers: str) -> tuple[str, ...] | None:
        """Names of the modules that ``dgst.registry.LAYERS`` calls so; None for all."""
        found = layer_modules(self._blank(), layers)
        return None if found is None else tuple(found)

    def networks(self) -> list[nn.Module]:
        """Fresh copies, one a fold, in float32 on the CPU, in evaluation mode, pretrained head included.

        Weights stored in half precision are converted here, once, and never rounded again.
        """
        return [self._filled(state) for state in self.states]

    def network(self) -> nn.Module:
        """The single network.

        Raises:
            InputError: the model is an ensemble of folds, of which one must be named.
        """
        if len(self.states) != 1:
            raise InputError(
                f"{self.card.name} is an ensemble of the folds {', '.join(self.card.folds)}; name one of them (--fold)."
            )
        return self._filled(self.states[0])

    def delta_to(self, network: nn.Module) -> Delta:
        """What changed from this foundation model to ``network``, which has its structure, on the CPU.

        Raises:
            InputError: the model is an ensemble of folds.
            ValueError: the network has another structure.
        """
        return compute_delta(self.network().state_dict(), network.state_dict(), base=self.fingerprint)

    def _blank(self) -> nn.Module:
        network = build_blank(self.architecture)
        set_deep_supervision(network, self.deep_supervision)
        return network

    def _filled(self, state: State) -> nn.Module:
        network = self._blank()
        load_state_(network, state)
        if self.delta is not None:
            self.delta.apply_(network)
        return network.eval()


def completed_card(card: ModelCard, plan: Plan, architecture: dict[str, Any], folds: Sequence[str] = ()) -> ModelCard:
    """The card with what plan and network say filled in."""
    return replace(
        card,
        spacing_kji=plan.spacing_kji,
        patch_size_kji=plan.patch_size_kji,
        architecture=str(architecture.get("class", "")).rsplit(".", 1)[-1],
        folds=tuple(folds),
    )
