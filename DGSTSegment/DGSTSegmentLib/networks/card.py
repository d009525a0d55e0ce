"""What a model says of itself. No torch here: panel and CLI show it without loading the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import InputError

DEMONSTRATION_NOTE = "demonstration, trained on phantoms"


@dataclass(frozen=True)
class ModelCard:
    """A model's description; plain values only, so that it is written as JSON as it stands.

    Args:
        name: how the model is called.
        description: one or two honest sentences for a clinician.
        labels: segment name -> value in the labelmap; ``background`` is 0.
        trained_on: the data it was trained on, in words.
        demonstration: it was trained on phantoms only and must be shown as a demonstration wherever it is named.
        spacing_kji: voxel spacing it works at, mm, along (k, j, i).
        patch_size_kji: voxels it sees at once, along (k, j, i).
        created: ISO date.
        base: for a fine-tuned model ``name``, ``fingerprint`` and ``location`` of the foundation model; else None.
        fingerprint: names its weights as stored; for a fine-tuned model those of its delta on its base.
        strategy: for a fine-tuned model how it was trained (name, gamma, steps, stopped, ...); else None.
        measured: of a fine-tuned model ``training.holdout.summary``; of a foundation model numbers by what they are;
            None where nothing was measured.
        architecture: class of the network.
        folds: folds of an ensemble; empty for a single network.
    """

    name: str
    description: str = ""
    labels: dict[str, int] | None = None
    trained_on: str = ""
    demonstration: bool = False
    spacing_kji: tuple[float, float, float] | None = None
    patch_size_kji: tuple[int, int, int] | None = None
    created: str = ""
    base: dict[str, Any] | None = None
    fingerprint: str = ""
    strategy: dict[str, Any] | None = None
    measured: dict[str, Any] | None = None
    architecture: str = ""
    folds: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The name as it must be shown: a demonstration always says that it is one."""
        return f"{self.name} ({DEMONSTRATION_NOTE})" if self.demonstration else self.name

    @property
    def left_off(self) -> str | None:
        """A sentence on a training that was stopped before its end; None where it was not."""
        trained = self.strategy or {}
        if not trained.get("stopped"):
            return None
        done = (
            f"{trained.get('steps')} of {trained['planned_steps']}"
            if trained.get("planned_steps")
            else trained["steps"]
        )
        return f"The training was stopped after {done} steps; finetune --resume goes on with it."

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; ``from_json`` reads them back to an equal card."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ModelCard:
        """Read a card; fields that a newer program added are left out.

        Raises:
            InputError: it is not a card, or has no name.
        """
        if not isinstance(data, dict) or not isinstance(data.get("name"), str):
            raise InputError(f"A model card is a JSON object with a name, not {str(data)[:60]!r}; choose another.")
        known = {f.name for f in fields(cls)}
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in data.items()
                if name in known
            }
        )
