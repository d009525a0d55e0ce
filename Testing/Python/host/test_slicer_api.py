"""The module uses, and the stand-ins offer, only what a genuine Slicer has: by the names read from a running 5.8.1."""

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "Testing" / "Host"))

from preview_host import api  # noqa: E402  the path must be there first

CLASSES = api.classes()
MODULE = ROOT / "DGSTSegment" / "DGSTSegment.py"
SOURCES = [MODULE, *sorted((MODULE.parent / "DGSTSegmentLib" / "panel").glob("*.py"))]
FORM = MODULE.parent / "Resources" / "UI" / "DGSTSegment.ui"
NEWER = {"slicer.packaging"}
SIGNATURE = re.compile(r"^[A-Za-z_]\w*\(.*\)$")


def dotted(node) -> str:
    """``slicer.util.getNode`` of an attribute expression; empty where it does not begin with a name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    if isinstance(node, ast.Call) and not node.args and dotted(node.func).startswith("slicer.app"):
        return f"{dotted(node.func)}()"
    return ""


@pytest.fixture(scope="module")
def trees():
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def nodes(trees, kind):
    return [(path, node) for path, tree in trees.items() for node in ast.walk(tree) if isinstance(node, kind)]


def at(path, node) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def unknown_attribute(name: str) -> bool:
    """Whether ``name`` reaches into a class of the extract for something that is not there."""
    owner, _dot, attribute = name.rpartition(".")
    return owner in CLASSES and not attribute.startswith("__") and attribute not in CLASSES[owner].attributes


def test_the_extract_holds_the_classes_that_it_should():
    assert set(CLASSES) == set(api.NAMES)


def test_every_qt_class_in_use_is_one_of_slicers(trees):
    used = {(at(p, n), dotted(n).split(".")[1]) for p, n in nodes(trees, ast.Attribute) if dotted(n).startswith("qt.")}
    assert {use for use in used if use[1] not in api.qt_class_names() | {"Qt"}} == set()


def test_every_attribute_of_a_known_class_is_there(trees):
    used = [(at(path, node), dotted(node)) for path, node in nodes(trees, ast.Attribute)]
    used = [(place, name) for place, name in used if not any(name.startswith(newer) for newer in NEWER)]
    assert [use for use in used if unknown_attribute(use[1])] == []


def test_names_imported_from_slicers_modules_are_there(trees):
    wrong = []
    for path, node in nodes(trees, ast.ImportFrom):
        owner = next((name for name in (node.module or "", f"{node.module}.") if name in CLASSES), None)
        if owner:
            wrong += [f"{at(path, node)} {a.name}" for a in node.names if a.name not in CLASSES[owner].attributes]
    assert wrong == []


def test_keywords_of_slicer_util_are_its_parameters(trees):
    wrong = []
    for path, call in nodes(trees, ast.Call):
        owner, _dot, name = dotted(call.func).rpartition(".")
        signature = CLASSES["slicer.util"].attributes.get(name) if owner == "slicer.util" else None
        if signature and "**" not in signature:
            known = set(re.findall(r"(\w+)(?==|,|\)|:)", signature))
            wrong += [f"{at(path, call)} {name}({k.arg}=)" for k in call.keywords if k.arg and k.arg not in known]
    assert wrong == []


def test_every_signal_that_is_connected_exists_somewhere(trees):
    signals = set().union(*(entry.signals for entry in CLASSES.values()))
    signals |= {"activated()", "sectionClicked(int)", "startupCompleted()"}
    wrong = []
    for path, call in nodes(trees, ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("connect", "disconnect") and len(call.args) > 1:
            signature = getattr(call.args[0], "value", None)
            if not isinstance(signature, str) or not SIGNATURE.match(signature) or signature not in signals:
                wrong.append(f"{at(path, call)} {ast.unparse(call.args[0])}")
    assert wrong == []


@pytest.fixture(scope="module")
def form_classes():
    if not FORM.exists():
        pytest.skip("the module has no form yet")
    return {w.get("name"): w.get("class") for w in ElementTree.parse(FORM).iter("widget")}


def class_api(name: str):
    return next((CLASSES[full] for full in (f"qt.{name}", f"ctk.{name}", f"slicer.{name}") if full in CLASSES), None)


def test_every_class_of_the_form_is_known(form_classes):
    assert {name for name in form_classes.values() if class_api(name) is None and name != "Line"} == set()


def test_every_widget_that_the_panel_reaches_for_is_in_the_form(trees, form_classes):
    used = [(at(p, n), dotted(n)) for p, n in nodes(trees, ast.Attribute)]
    names = [(place, m.group(1)) for place, name in used if (m := re.search(r"(?:^|\.)ui\.(\w+)$", name))]
    assert [use for use in names if use[1] not in form_classes] == []


def test_every_attribute_of_a_widget_of_the_form_is_its_classes(trees, form_classes):
    wrong = []
    for path, node in nodes(trees, ast.Attribute):
        match = re.search(r"(?:^|\.)ui\.(\w+)\.(\w+)$", dotted(node))
        entry = class_api(form_classes.get(match.group(1), "")) if match else None
        if entry and match.group(2) not in entry.attributes:
            wrong.append(f"{at(path, node)} {match.group(0)}")
    assert wrong == []


def test_signals_of_widgets_of_the_form_are_their_classes(trees, form_classes):
    wrong = []
    for path, call in nodes(trees, ast.Call):
        match = re.search(r"(?:^|\.)ui\.(\w+)\.connect$", dotted(call.func))
        entry = class_api(form_classes.get(match.group(1), "")) if match else None
        if entry and entry.properties is not None and call.args[0].value not in entry.signals:
            wrong.append(f"{at(path, call)} {call.args[0].value}")
    assert wrong == []


def test_properties_of_the_form_are_the_classes(form_classes):
    wrong = []
    for widget in ElementTree.parse(FORM).iter("widget"):
        entry = class_api(widget.get("class"))
        for child in widget.findall("property"):
            known = entry is None or entry.properties is None or child.get("name") in entry.properties
            if not known and child.get("stdset") != "0":
                wrong.append(f"{widget.get('name')}.{child.get('name')}")
    assert wrong == []


# ------------------------------------------------------------------------------------------------- the host's classes


def stand_ins():
    """Name in the extract -> class of the host."""
    import slicer
    from preview_host import gui_util, scripted

    found = {}
    for name, cls in gui_util.WIDGET_CLASSES.items():
        found[f"ctk.{name}" if name.startswith("ctk") else f"slicer.{name}"] = cls
    for name in ("", "Logic", "Test", "Widget"):
        full = f"ScriptedLoadableModule{name}"
        found[f"slicer.ScriptedLoadableModule.{full}"] = getattr(scripted, full)
    layout_manager = slicer.app.layoutManager()
    found["slicer.app"] = type(slicer.app)
    found["slicer.app.layoutManager()"] = type(layout_manager)
    found["slicer.app.layoutManager().sliceWidget"] = type(layout_manager.sliceWidget("Red"))
    found["slicer.app.layoutManager().sliceView"] = type(layout_manager.sliceWidget("Red").sliceView())
    found["slicer.app.layoutManager().threeDWidget"] = type(layout_manager.threeDWidget(0))
    found["slicer.app.layoutManager().threeDView"] = type(layout_manager.threeDWidget(0).threeDView())
    return found


def own_public(cls: type) -> set[str]:
    """What the class and its bases of the host add to Qt's."""
    bases = [base for base in cls.__mro__ if base.__module__.startswith("preview_host")]
    names = {name for base in bases for name in vars(base) if not name.startswith("_")}
    return names - {"staticMetaObject"}


def overloads(cls: type) -> set[str]:
    from preview_host.pythonqt_signals import HostSignal

    values = [value for base in cls.__mro__ for value in vars(base).values()]
    return {signature for value in values if isinstance(value, HostSignal) for signature in value.signatures}


def test_a_stand_in_offers_nothing_that_the_real_class_has_not(host):
    wrong = {}
    for name, cls in stand_ins().items():
        entry = CLASSES[name]
        extra = {each for each in own_public(cls) if each not in entry.attributes}
        extra |= {each for each in overloads(cls) if each not in entry.signals}
        if extra:
            wrong[name] = sorted(extra)
    assert wrong == {}


def test_what_is_a_property_of_a_stand_in_is_one_in_slicer(host):
    wrong = {}
    for name, cls in stand_ins().items():
        known = CLASSES[name].properties
        declared = {each for each in own_public(cls) if isinstance(getattr(cls, each, None), property)}
        if known is not None and declared - set(known):
            wrong[name] = sorted(declared - set(known))
    assert wrong == {}


def test_parameter_node_wrapper_offers_nothing_else(host):
    import slicer

    offered = {name for name in vars(slicer.parameterNodeWrapper) if not name.startswith("_")}
    assert offered - set(CLASSES["slicer.parameterNodeWrapper"].attributes) == set()
