"""Stand-in for CTK's slider with a spin box."""

from __future__ import annotations

import qt

from .pythonqt_signals import HostSignal


class ctkSliderWidget(qt.QWidget):
    """A slider and a spin box that show one number."""

    valueChanged = HostSignal("valueChanged(double)")

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider = qt.QSlider(qt.Qt.Horizontal, self)
        self._box = qt.QDoubleSpinBox(self)
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        row.addWidget(self._box)
        self._box.setMaximum(100.0)
        self._fit_slider()
        self._slider.connect("valueChanged(int)", self._slid)
        self._box.connect("valueChanged(double)", self._typed)

    def _of_box(name: str):
        def write(self, value):
            setattr(self._box, name, value)
            self._fit_slider()

        return property(lambda self: getattr(self._box, name), write)

    minimum, maximum, singleStep = _of_box("minimum"), _of_box("maximum"), _of_box("singleStep")
    decimals, suffix, prefix = _of_box("decimals"), _of_box("suffix"), _of_box("prefix")
    del _of_box

    def setValue(self, value: float) -> None:
        """Set the number, cut to the range."""
        self._box.setValue(float(value))

    value = property(lambda self: self._box.value, setValue)

    def setDecimals(self, decimals: int) -> None:
        """How many digits are shown."""
        self.decimals = decimals

    def setSpinBoxVisible(self, visible: bool) -> None:
        """Show the slider alone."""
        self._box.setVisible(visible)

    spinBoxVisible = property(lambda self: not self._box.isHidden(), setSpinBoxVisible)

    def _fit_slider(self) -> None:
        blocked = self._slider.blockSignals(True)
        self._slider.setRange(0, round((self.maximum - self.minimum) / self.singleStep))
        self._slider.setValue(round((self.value - self.minimum) / self.singleStep))
        self._slider.blockSignals(blocked)

    def _slid(self, position: int) -> None:
        self._box.setValue(self.minimum + position * self.singleStep)

    def _typed(self, value: float) -> None:
        self._fit_slider()
        self.valueChanged.emit(value)
