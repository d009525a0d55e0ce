"""``slicer.parameterNodeWrapper``: a class with typed fields over a scripted module node of the scene."""

from __future__ import annotations

import sys
import types
from itertools import count

from . import parameter_annotations as annotations
from .parameter_annotations import Choice, Declared, Default, Maximum, Minimum, WithinRange
from .parameter_gui import PROPERTY, GuiConnection

EXPORTED = ["Choice", "Decimals", "Default", "Maximum", "Minimum", "SingleStep", "Validator", "WithinRange"]
NODE_METHODS = ["AddObserver", "HasObserver", "Modified", "RemoveObserver"]


def install(slicer) -> None:
    """Put the module into ``slicer`` and ``sys.modules``."""
    module = types.ModuleType("slicer.parameterNodeWrapper", __doc__)
    vars(module).update({name: getattr(annotations, name) for name in EXPORTED})
    module.parameterNodeWrapper = parameterNodeWrapper
    slicer.parameterNodeWrapper = module
    sys.modules[module.__name__] = module


def parameterNodeWrapper(cls: type) -> type:
    """Class decorator: the annotated fields become properties that a parameter node keeps.

    Raises:
        ValueError: for a field of a type that can not be kept, or a default that its own validators refuse.
    """
    from .parameter_storage import storage_for

    declared = annotations.declared_parameters(cls)
    storages = {name: storage_for(each.kind) for name, each in declared.items()}
    defaults = {name: _default(each, storages[name]) for name, each in declared.items()}

    def wrap(self, parameterNode):
        self.parameterNode = parameterNode
        self._connections = {}
        self._tags = count()
        for name, storage in storages.items():
            if not storage.is_in(parameterNode, name):
                storage.write(parameterNode, name, defaults[name])

    cls.__init__ = wrap
    for name, each in declared.items():
        setattr(cls, name, _field(each, storages[name]))
    cls.connectGui = lambda self, gui: _connect_gui(self, declared, gui)
    cls.connectParametersToGui = lambda self, mapping: _connect(self, declared, mapping)
    cls.disconnectGui = lambda self, tag: self._connections.pop(tag).disconnect()
    cls.StartModify = lambda self: self.parameterNode.StartModify()
    cls.EndModify = lambda self, wasModifying: self.parameterNode.EndModify(wasModifying)
    for name in NODE_METHODS:
        setattr(cls, name, _of_node(name))
    return cls


def _field(declared: Declared, storage) -> property:
    def read(self):
        return storage.read(self.parameterNode, declared.name)

    def write(self, value):
        storage.check(declared.name, value)
        declared.validate(value)
        storage.write(self.parameterNode, declared.name, value)

    return property(read, write)


def _of_node(name: str):
    return lambda self, *args: getattr(self.parameterNode, name)(*args)


def _connect_gui(wrapper, declared: dict[str, Declared], gui) -> None:
    """Bind what the form names. As in Slicer 5.8 there is no tag to let go of it by."""
    import qt

    named = [(widget.property(PROPERTY), widget) for widget in (gui, *gui.findChildren(qt.QWidget))]
    _connect(wrapper, declared, {name: widget for name, widget in named if name})


def _connect(wrapper, declared: dict[str, Declared], mapping: dict) -> int:
    tag = next(wrapper._tags)
    wrapper._connections[tag] = GuiConnection(wrapper, declared, mapping)
    return tag


def _default(declared: Declared, storage):
    given = declared.first(Default)
    value = given.value if given is not None else _implied(declared, storage)
    declared.validate(value)
    return value


def _implied(declared: Declared, storage):
    """Without a default: the first choice, or the allowed value that is nearest to nothing."""
    choice = declared.first(Choice)
    value = choice.choices[0] if choice else storage.empty()
    low, high = declared.first(WithinRange, Minimum), declared.first(WithinRange, Maximum)
    value = max(value, type(value)(low.minimum)) if low else value
    return min(value, type(value)(high.maximum)) if high else value
