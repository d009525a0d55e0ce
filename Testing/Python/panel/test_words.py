"""What the panel says in words that a clinician reads as they are meant."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from .conftest import start, until

LIBRARY = Path(__file__).resolve().parents[3] / "DGSTSegment" / "DGSTSegmentLib"
FORM = LIBRARY.parent / "Resources" / "UI" / "DGSTSegment.ui"
SPEAKING = [*(LIBRARY / "panel").glob("*.py"), *(LIBRARY / "training").glob("study*.py")]
DEFAULT_FOLDER = "/DGSTSegment study"
"""A path, and so no word of the panel's."""
NOT_SAID = re.compile(r"\bstudy\b|\bengine is at work\b|\bto the case\b|\bknown background\b", re.IGNORECASE)


def sentences(path):
    """Texts of a file that hold a space, without what documents the code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [node.value for node in texts if node not in documented and " " in node.value]


def test_the_folder_is_called_training_folder_and_decisions_go_to_the_annotation_everywhere():
    said = {text for path in SPEAKING for text in sentences(path) if text != DEFAULT_FOLDER}
    said |= set(re.findall(r"<string>([^<]*)</string>", FORM.read_text(encoding="utf-8")))
    assert len(said) > 200
    assert {text for text in said if NOT_SAID.search(text)} == set()


def test_what_goes_on_in_a_fine_tuning_is_said_in_whole_words(host, panel, ui, cases, tiny_base):
    """The names of the engine's phases are none: each one has its words."""
    from DGSTSegmentLib.panel.task import doing

    files = [*(LIBRARY / "engine").glob("*.py"), *(LIBRARY / "training").glob("*.py")]
    named = {name for path in files for name in re.findall(r"\.phase\(\"([^\"]+)\"", path.read_text(encoding="utf-8"))}
    assert {"prepare", "predict", "opening the model"} <= named
    assert doing({}) not in {doing({"phase": name}) for name in named | {"train"}}
    ui.heldOutSpinBox.value = 1
    start(ui, 2)
    said = []
    panel.finetune.task.progressed.connect(lambda _event: said.append(ui.trainingLabel.text))
    until(host, lambda: panel.finetune.task is None)
    assert {"Opening the model ...", "Preparing the scans ...", "Measuring on the scans held out ..."} <= set(said)
