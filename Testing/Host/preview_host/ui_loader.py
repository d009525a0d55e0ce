"""``qt.QUiLoader`` that knows the stand-ins of custom widgets and honours a form's connections."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import qt
from PySide6 import QtCore, QtUiTools

from .gui_util import WIDGET_CLASSES


class HostUiLoader(QtUiTools.QUiLoader):
    """Loads a form; a custom widget that the host has no stand-in for is an error."""

    def createWidget(self, className: str, parent=None, name: str = ""):
        """A stand-in where there is one, else Qt's own widget."""
        if className not in WIDGET_CLASSES:
            return super().createWidget(className, parent, name)
        try:
            widget = WIDGET_CLASSES[className](parent)
        except Exception as error:  # noqa: BLE001  C++ stands between here and load(), which raises it
            self._failures.append(error)
            widget = qt.QWidget(parent)
        widget.setObjectName(name)
        return widget

    def load(self, file, parent=None):
        """The form's top widget.

        Raises:
            RuntimeError: for a form that can not be read or names a class that the host lacks.
        """
        form = ElementTree.fromstring(file.readAll().data())
        connections = form.find("connections")
        if connections is not None:
            form.remove(connections)
        self._refuse_unknown(form)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(form, encoding="utf-8"))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        self._failures = []
        top = super().load(buffer, parent)
        for failure in self._failures:
            raise failure
        if top is None:
            raise RuntimeError(f"the form can not be loaded: {self.errorString()}")
        _set_properties_of_stand_ins(top)
        for connection in connections if connections is not None else ():
            _connect(top, {part.tag: part.text for part in connection})
        return top

    def _refuse_unknown(self, form) -> None:
        known = {*WIDGET_CLASSES, *self.availableWidgets(), "Line"}
        unknown = {widget.get("class") for widget in form.iter("widget")} - known
        if unknown:
            raise RuntimeError(f"the form names widget classes that the preview host has not: {sorted(unknown)}")


def _set_properties_of_stand_ins(top) -> None:
    """Qt keeps properties that it does not know as dynamic ones; those that the stand-in has are set on it."""
    for widget in (top, *top.findChildren(qt.QWidget)):
        if type(widget).__name__ not in WIDGET_CLASSES:
            continue
        for raw_name in widget.dynamicPropertyNames():
            name = raw_name.data().decode()
            if isinstance(getattr(type(widget), name, None), property):
                setattr(widget, name, widget.property(name))
                widget.setProperty(name, None)


def _connect(top, connection: dict[str, str]) -> None:
    sender, receiver = (_named(top, connection[end]) for end in ("sender", "receiver"))
    sender.connect(connection["signal"], receiver, connection["slot"])


def _named(top, name: str):
    found = top if top.objectName == name else top.findChild(qt.QObject, name)
    if found is None:
        raise RuntimeError(f"a connection of the form names {name!r}, which is not in it")
    return found
