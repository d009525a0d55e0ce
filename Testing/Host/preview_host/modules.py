"""Stand-ins for ``slicer.modules`` and its entries."""

from __future__ import annotations

from types import SimpleNamespace


class Modules(SimpleNamespace):
    """Modules by name in lower case, as attributes."""


class CoreModule:
    """One of Slicer's own modules: its logic only.

    Args:
        name: as the module selector would write it.
    """

    def __init__(self, name: str, logic):
        self.name, self.title = name, name
        self._logic = logic

    def logic(self):
        """The module's real logic."""
        return self._logic


class ScriptedModule:
    """The entry of a scripted module: what ``parent`` is to its class, and what ``slicer.modules.<name>`` is."""

    def __init__(self, name: str, path: str):
        self.name, self.path, self.title = name, path, name
        self.categories: list[str] = []
        self.dependencies: list[str] = []
        self.contributors: list[str] = []
        self.helpText = self.acknowledgementText = ""
        self.hidden = False
        self.icon = None
        self._representation = None

    def represent(self, panel) -> None:
        """Say which panel shows the module."""
        self._representation = panel

    def widgetRepresentation(self):
        """The panel that shows the module; its ``self()`` is the Python widget."""
        return self._representation

    def logic(self):
        """The C++ logic of a scripted module, which is none of Python's."""
        return None
