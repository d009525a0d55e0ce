"""The models to choose from: the starter, what the user added, and every version that the study made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from ..errors import InputError
from ..networks.card import ModelCard
from ..networks.catalogue import base_among, installed_models
from ..networks.description import CARD_FILE, read_description
from ..training.run_files import read_record, read_result
from ..training.study import Study, StudyRun
from . import roles
from .settings import Settings
from .signal import Signal


@dataclass(frozen=True)
class ModelEntry:
    """One line of the model list.

    Args:
        spec: MODEL as the engine takes it.
        card: what the model says of itself.
        origin: ``installed``, ``added`` or ``study``.
    """

    spec: str
    card: ModelCard
    origin: str

    @property
    def title(self) -> str:
        return self.card.title

    @property
    def role(self) -> str:
        """Of what it finds in a scan: ``before`` or ``after`` fine-tuning."""
        return roles.AFTER if self.card.base else roles.BEFORE

    @property
    def removable(self) -> bool:
        return self.origin != "installed"

    def line(self) -> str:
        """Trained on, labels, spacing, date and base, in one line."""
        card = self.card
        spacing = " × ".join(f"{mm:g}" for mm in reversed(card.spacing_kji)) if card.spacing_kji else ""
        base = (card.base or {}).get("name")
        parts = [
            _("fine-tuned from {base}").format(base=base) if base else "",
            card.trained_on,
            ", ".join(name for name, value in (card.labels or {}).items() if value),
            _("{spacing} mm").format(spacing=spacing) if spacing else "",
            card.created,
        ]
        return " · ".join(part.rstrip(".") for part in parts if part)


class Models:
    """The list of models and which one is current.

    Args:
        study: keeps the current one and the versions that were made in it.
        settings: keeps what the user added.

    Attributes:
        changed: signal after the list or the current model changed.
    """

    def __init__(self, study: Study, settings: Settings):
        self.study, self._settings = study, settings
        self.changed = Signal()

    def entries(self) -> list[ModelEntry]:
        """Starter first, then what was added, then the study's versions from the first to the last.

        Raises:
            InputError: the study folder cannot be read.
        """
        installed = [ModelEntry(model.name, model.card, "installed") for model in installed_models()]
        added = [ModelEntry(m["spec"], ModelCard.from_json(m["card"]), "added") for m in self._settings.addedModels]
        versions = [ModelEntry(str(run.folder), run.card, "study") for run in self.study.runs() if run.card]
        return installed + added + versions

    @property
    def current(self) -> ModelEntry:
        """The model that finds lymph nodes; the first of the list where the chosen one is gone.

        Raises:
            InputError: the study folder cannot be read.
        """
        entries, chosen = self.entries(), self.study.model
        return next((entry for entry in entries if entry.spec == chosen), entries[0])

    @property
    def chosen(self) -> ModelEntry:
        """The current model, of which it is sure that it is the one that was chosen.

        Raises:
            InputError: that one is gone, or the study folder cannot be read.
        """
        if self.missing:
            raise InputError(_("The model {name} is gone; choose a model of the list.").format(name=self.missing))
        return self.current

    def partsOf(self, entry: ModelEntry) -> dict[str, Any]:
        """Fields of a request beside ``model``: where the base of a fine-tuned model is, if it is on the list."""
        return self._baseFor(entry.card)

    def baseOf(self, spec: str) -> dict[str, Any]:
        """The same for a model folder that is not on the list yet.

        Raises:
            InputError: its description or the study folder cannot be read.
        """
        folder = Path(spec)
        return self._baseFor(read_description(folder).card) if (folder / CARD_FILE).is_file() else {}

    def _baseFor(self, card: ModelCard) -> dict[str, Any]:
        base = base_among(self.entries(), card)
        return {} if base is None else {"base": base.spec}

    @property
    def missing(self) -> str:
        """The chosen model where it is not on the list any more; else empty.

        Raises:
            InputError: the study folder cannot be read.
        """
        chosen = self.study.model
        return "" if any(entry.spec == chosen for entry in self.entries()) else chosen

    @property
    def damaged(self) -> list[str]:
        """A sentence on each of the study's fine-tunings of which a file cannot be read, so that its model is not on
        the list, or it cannot go on.

        Raises:
            InputError: the study folder cannot be read.
        """
        return [sentence for run in self.study.runs() if (sentence := _damageOf(run))]

    def use(self, spec: str) -> None:
        """Make a model the current one; only the user's word does this.

        Raises:
            InputError: it is not on the list, or the study folder cannot be written to.
        """
        if not any(entry.spec == spec for entry in self.entries()):
            raise InputError(_("The model {name} is not on the list any more; choose another.").format(name=spec))
        self.study.model = spec
        self.changed()

    def add(self, spec: str, described: dict[str, Any]) -> ModelEntry:
        """Keep a model that the engine described, and return its line."""
        others = [m for m in self._settings.addedModels if m["spec"] != spec]
        self._settings.addedModels = [*others, {"spec": spec, "card": described["card"]}]
        self.changed()
        return next(entry for entry in self.entries() if entry.spec == spec)

    def remove(self, spec: str) -> None:
        """Take a model off the list. An added one stays where it is; a study's version goes to ``removed``.

        Raises:
            InputError: it comes with the program, or the study folder cannot be written to.
        """
        entry = next((entry for entry in self.entries() if entry.spec == spec), None)
        if entry is None or not entry.removable:
            raise InputError(_("The model {name} comes with the program and stays.").format(name=spec))
        wasCurrent = self.current.spec == spec
        if entry.origin == "added":
            self._settings.addedModels = [m for m in self._settings.addedModels if m["spec"] != spec]
        else:
            self.study.remove_run(Path(spec).name)
        if wasCurrent:
            self.study.model = self.entries()[0].spec
        self.changed()


def _damageOf(run: StudyRun) -> str:
    """What of a fine-tuning cannot be read; empty where all can."""
    try:
        if (run.folder / CARD_FILE).is_file():
            read_description(run.folder)
        read_record(run.folder)
        read_result(run.folder)
    except InputError as error:
        return str(error)
    return ""
