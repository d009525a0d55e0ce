"""The children of the segment editor's widget, laid out as in Slicer."""

from __future__ import annotations

import qt

from .effects import EFFECTS
from .node_combo_box import qMRMLNodeComboBox
from .segment_table import SegmentTable

MILLIMETERS = (0.5, 200.0)
HOUNSFIELD = (-4096.0, 32767.0)
TABLE_PIXELS = 130
OVERWRITE = ("Overwrite all segments", "Overwrite visible segments", "Allow overlap")


class SegmentEditorForm:
    """Builds and holds the child widgets of ``owner``.

    Args:
        owner: has the slots that the children call: ``_choose_segment`` and the like.
    """

    def __init__(self, owner):
        self.owner = owner
        self.segmentation = _selector(["vtkMRMLSegmentationNode"])
        self.source = _selector(["vtkMRMLScalarVolumeNode"])
        self.table = SegmentTable(owner._choose_segment)
        self.table.setMinimumHeight(TABLE_PIXELS)
        self.add, self.remove = qt.QPushButton("Add"), qt.QPushButton("Remove")
        self.switch = qt.QToolButton()
        self.switch.setText("Segmentations...")
        self.show_3d = qt.QPushButton("Show 3D")
        self.show_3d.setCheckable(True)
        self.undo, self.redo = qt.QToolButton(), qt.QToolButton()
        self.undo.setText("Undo")
        self.redo.setText("Redo")
        self.effects: dict[str, qt.QToolButton] = {}
        self.segmentation_row = _labelled("Segmentation:", self.segmentation)
        self.source_row = _labelled("Source volume:", self.source)
        self.options, self.masking = self._brush_options(), self._masking()
        column = qt.QVBoxLayout(owner)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.segmentation_row, self.source_row, self._buttons(), self._middle()):
            column.addWidget(widget)
        column.addWidget(self.options)
        column.addWidget(self.masking)

    def _buttons(self):
        return _row(self.add, self.remove, self.show_3d, self.switch)

    def _middle(self):
        left, effects = qt.QWidget(), qt.QWidget()
        self.effect_grid = qt.QGridLayout(effects)
        self.effect_grid.setContentsMargins(0, 0, 0, 0)
        column = qt.QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(effects)
        column.addWidget(_row(self.undo, self.redo))
        column.addStretch(1)
        middle = qt.QWidget()
        row = qt.QHBoxLayout(middle)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(left, 0)
        row.addWidget(self.table, 1)
        return middle

    def arrange_effects(self, order, columns: int) -> None:
        """Buttons for no effect and for the named ones, then undo and redo below."""
        while self.effect_grid.count():
            self.effect_grid.takeAt(0).widget().setParent(None)
        self.effects = {name: self._effect_button(name) for name in ("", *(n for n in order if n in EFFECTS))}
        for place, button in enumerate(self.effects.values()):
            self.effect_grid.addWidget(button, place // columns, place % columns)

    def _effect_button(self, name: str):
        button = qt.QToolButton()
        button.setText(name or "None")
        button.setCheckable(True)
        button.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        button.connect("clicked()", lambda: self.owner.setActiveEffectByName(name))
        return button

    def _brush_options(self):
        self.diameter = _number(MILLIMETERS, " mm", 1)
        self.sphere = qt.QCheckBox("Sphere brush")
        return _row(qt.QLabel("Diameter:"), self.diameter, self.sphere)

    def _masking(self):
        box = qt.QGroupBox("Masking")
        form = qt.QFormLayout(box)
        self.mask_on = qt.QCheckBox("Editable intensity range:")
        self.mask_low, self.mask_high = _number(HOUNSFIELD, "", 0), _number(HOUNSFIELD, "", 0)
        self.overwrite = qt.QComboBox()
        for text in OVERWRITE:
            self.overwrite.addItem(text)
        form.addRow(self.mask_on, _row(self.mask_low, self.mask_high))
        form.addRow("Modify other segments:", self.overwrite)
        return box


def _selector(node_types: list[str]) -> qMRMLNodeComboBox:
    selector = qMRMLNodeComboBox()
    selector.nodeTypes = node_types
    selector.noneEnabled = True
    selector.addEnabled = False
    return selector


def _number(limits: tuple[float, float], suffix: str, decimals: int):
    box = qt.QDoubleSpinBox()
    box.setDecimals(decimals)
    box.setRange(*limits)
    box.setSuffix(suffix)
    box.setKeyboardTracking(False)
    return box


def _labelled(text: str, widget):
    return _row(qt.QLabel(text), widget)


def _row(*widgets):
    holder = qt.QWidget()
    row = qt.QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget, 0 if isinstance(widget, qt.QLabel) else 1)
    return holder
