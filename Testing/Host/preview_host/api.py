"""What a genuine 3D Slicer offers, by name and signature: the measure that the stand-ins are held to.

``slicer-api-extract.json`` holds the classes in use, cut from a file that was read from a running Slicer 5.8.1;
``python -m preview_host.api FULL.json`` rewrites it.
"""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

EXTRACT = Path(__file__).resolve().parent.parent / "slicer-api-extract.json"
BASES = ("qt.QWidget", "qt.QObject")
QT_CLASSES = """
QAbstractItemModel QAbstractItemView QAction QApplication QBrush QButtonGroup QByteArray QCheckBox QColor QComboBox
QCursor QDateTime QDesktopServices QDialog QDir QDoubleSpinBox QElapsedTimer QEvent QFileDialog QFileInfo QFont
QFontMetrics QFormLayout QFrame QGridLayout QGroupBox QHBoxLayout QHeaderView QIODevice QIcon QImage QInputDialog
QKeySequence QLabel QLineEdit QListWidget QListWidgetItem QMenu QMessageBox QObject QPainter QPalette QPen QPixmap
QPlainTextEdit QPoint QPointF QProcess QProcessEnvironment QProgressBar QProgressDialog QPushButton QRadioButton QRect
QRectF QScrollArea QSettings QShortcut QSize QSizePolicy QSlider QSpinBox QSplitter QStackedWidget QStandardItemModel
QStandardPaths QTabWidget QTableWidget QTableWidgetItem QTextBrowser QTextEdit QTimer QToolButton QUiLoader QUrl
QVBoxLayout QWidget Qt
"""
OTHER_CLASSES = """ctk.ctkCollapsibleButton ctk.ctkCollapsibleGroupBox ctk.ctkMessageBox ctk.ctkPathLineEdit
ctk.ctkSliderWidget ctk.ctkDirectoryButton slicer.ScriptedLoadableModule.ScriptedLoadableModule
slicer.ScriptedLoadableModule.ScriptedLoadableModuleLogic slicer.ScriptedLoadableModule.ScriptedLoadableModuleTest
slicer.ScriptedLoadableModule.ScriptedLoadableModuleWidget slicer.app slicer.app.layoutManager()
slicer.app.layoutManager().plotView slicer.app.layoutManager().plotWidget slicer.app.layoutManager().sliceController
slicer.app.layoutManager().sliceView slicer.app.layoutManager().sliceWidget slicer.app.layoutManager().threeDView
slicer.app.layoutManager().threeDWidget slicer.modules slicer.parameterNodeWrapper slicer.qMRMLNodeComboBox
slicer.qMRMLPlotView slicer.qMRMLPlotWidget slicer.qMRMLSegmentEditorWidget slicer.qMRMLSegmentSelectorWidget
slicer.qMRMLSegmentsTableView slicer.qMRMLWidget slicer.util slicer.util.mainWindow()"""
NAMES = tuple(f"qt.{name}" for name in QT_CLASSES.split()) + tuple(OTHER_CLASSES.split())


@dataclass(frozen=True)
class ClassApi:
    """Names of one class of the genuine Slicer.

    Attributes:
        attributes: names, with the parameters of a Python function where they are known, else None.
        properties: of Qt, name -> whether it can be written; None where the class's were not read.
        signals, slots: normalized signatures.
    """

    attributes: dict[str, str | None]
    properties: dict[str, bool] | None = None
    signals: frozenset[str] = field(default_factory=frozenset)
    slots: frozenset[str] = field(default_factory=frozenset)


@functools.cache
def classes() -> dict[str, ClassApi]:
    """Every class of the extract, by its name as a module would write it (``qt.QLabel``, ``slicer.util``)."""
    return {name: _whole(name, _stored()["classes"]) for name in _stored()["classes"]}


@functools.cache
def qt_class_names() -> frozenset[str]:
    """Names of all classes that Slicer's module ``qt`` holds."""
    return frozenset(_stored()["qt_classes"])


@functools.cache
def _stored() -> dict:
    return json.loads(EXTRACT.read_text(encoding="utf-8"))


def _whole(name: str, stored: dict) -> ClassApi:
    entry = stored[name]
    own = entry["attributes"]
    attributes = dict(own) if isinstance(own, dict) else dict.fromkeys(own)
    properties, signals, slots = entry.get("properties"), entry.get("signals", ()), entry.get("slots", ())
    if "like" not in entry:
        return ClassApi(attributes, properties, frozenset(signals), frozenset(slots))
    base = _whole(entry["like"], stored)
    merged = None if properties is None else (base.properties or {}) | properties
    return ClassApi(base.attributes | attributes, merged, base.signals.union(signals), base.slots.union(slots))


def extract(full: dict) -> dict:
    """The part of ``full`` that the extract keeps; a widget's entry leaves out what QWidget's says already."""
    known = [name for name in NAMES if name in full]
    return {
        "about": full["_about"],
        "qt_classes": full["_qt_classes_present"],
        "classes": {name: _shortened(name, full) for name in known},
    }


def _shortened(name: str, full: dict) -> dict:
    entry = full[name]
    if isinstance(entry["attributes"], dict):
        return {"attributes": entry["attributes"]}
    like = next((b for b in BASES if b != name and set(full[b]["attributes"]) <= set(entry["attributes"])), None)
    base = full[like] if like else {}
    shortened = {"like": like} if like else {}
    shortened["attributes"] = _without(entry["attributes"], base.get("attributes", ()))
    if "properties" in entry:
        writable = {key: value["writable"] for key, value in entry["properties"].items()}
        shortened["properties"] = {k: w for k, w in writable.items() if k not in base.get("properties", {})}
        shortened["signals"] = _without(entry["signals"], base.get("signals", ()))
        shortened["slots"] = _without(entry["slots"], base.get("slots", ()))
    return shortened


def _without(names: list[str], known: list[str]) -> list[str]:
    return [name for name in names if name not in set(known)]


def write(full_path: Path) -> None:
    """Rewrite the extract from the whole file, one class a line."""
    kept = extract(json.loads(full_path.read_text(encoding="utf-8")))
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(entry)}" for name, entry in kept["classes"].items())
    head = f'{{"about": {json.dumps(kept["about"])},\n"qt_classes": {json.dumps(kept["qt_classes"])},\n"classes": {{\n'
    EXTRACT.write_text(f"{head}{lines}\n}}}}\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
