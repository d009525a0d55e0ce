"""Widgets bound to parameters by the dynamic property ``SlicerParameterName``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .parameter_annotations import Choice, Decimals, Declared, Maximum, Minimum, SingleStep, WithinRange

PROPERTY = "SlicerParameterName"


@dataclass(frozen=True)
class Binding:
    """How widgets of a class show a value and tell that the user changed it."""

    signal: str
    read: Callable
    write: Callable


def _bindings() -> dict[str, Binding]:
    """By class name, so that stand-ins need not be loaded first."""
    value = (lambda w: w.value, lambda w, v: w.setValue(v))
    text = (lambda w: w.text, lambda w, v: w.setText(v) if w.text != v else None)
    checked = Binding("toggled(bool)", lambda w: w.checked, lambda w, v: w.setChecked(v))
    return {
        "QSpinBox": Binding("valueChanged(int)", *value),
        "QSlider": Binding("valueChanged(int)", *value),
        "QDoubleSpinBox": Binding("valueChanged(double)", *value),
        "ctkSliderWidget": Binding("valueChanged(double)", *value),
        "QCheckBox": checked,
        "QPushButton": checked,
        "QLineEdit": Binding("textChanged(QString)", *text),
        "QComboBox": Binding("currentTextChanged(QString)", lambda w: w.currentText, _choose),
        "qMRMLNodeComboBox": Binding(
            "currentNodeChanged(vtkMRMLNode*)", lambda w: w.currentNode(), lambda w, v: w.setCurrentNode(v)
        ),
    }


def _choose(combo, text: str) -> None:
    combo.setCurrentIndex(combo.findText(text))


class GuiConnection:
    """All bound widgets of one form; lives until ``disconnect``.

    Args:
        wrapper: the parameters.
        declared: what they are, by name.
        mapping: the widget of each bound parameter.

    Raises:
        ValueError: when a widget names no parameter, or is of a class that can not be bound.
    """

    def __init__(self, wrapper, declared: dict[str, Declared], mapping: dict):
        self._wrapper = wrapper
        self._bound = []
        for name, widget in mapping.items():
            self._bound.append((name, widget, self._binding(widget, name, declared), self._sender(name, widget)))
        for name, widget, binding, send in self._bound:
            _fit(widget, declared[name])
            binding.write(widget, getattr(wrapper, name))
            widget.connect(binding.signal, send)
        self._node = wrapper.parameterNode
        self._tag = self._node.AddObserver("ModifiedEvent", lambda *_: self._show())

    def disconnect(self) -> None:
        """Let the widgets go."""
        self._node.RemoveObserver(self._tag)
        for _name, widget, binding, send in self._bound:
            widget.disconnect(binding.signal, send)
        self._bound = []

    def _binding(self, widget, name: str, declared: dict[str, Declared]) -> Binding:
        if name not in declared:
            raise ValueError(f"{widget.objectName} is bound to {name!r}, but the parameters are {list(declared)}")
        classes = {cls.__name__ for cls in type(widget).__mro__}
        found = next((binding for cls, binding in _bindings().items() if cls in classes), None)
        if found is None:
            raise ValueError(f"{widget.objectName}: no parameter can be bound to a {widget.className()}")
        return found

    def _sender(self, name: str, widget) -> Callable:
        def send():
            binding = next(b for _n, w, b, _s in self._bound if w is widget)
            value = binding.read(widget)
            if getattr(self._wrapper, name) != value:
                setattr(self._wrapper, name, value)

        return send

    def _show(self) -> None:
        for name, widget, binding, _send in tuple(self._bound):
            value = getattr(self._wrapper, name)
            if binding.read(widget) != value:
                binding.write(widget, value)


def _fit(widget, declared: Declared) -> None:
    """A bound widget takes range, digits, step and choices from the parameter."""
    low, high = declared.first(WithinRange, Minimum), declared.first(WithinRange, Maximum)
    settings = {"decimals": declared.first(Decimals), "singleStep": declared.first(SingleStep)}
    for name, annotation in settings.items():
        if annotation is not None:
            setattr(widget, name, annotation.value)
    if low is not None:
        widget.minimum = low.minimum
    if high is not None:
        widget.maximum = high.maximum
    choice = declared.first(Choice)
    if choice is not None and hasattr(widget, "addItems"):
        widget.clear()
        widget.addItems([str(each) for each in choice.choices])
