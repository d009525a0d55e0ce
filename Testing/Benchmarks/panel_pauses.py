"""How fast does the panel start, and how long does it ever keep Slicer waiting? Measured in the preview host.

``python Testing/Benchmarks/panel_pauses.py [--runs 5] [--seconds 60]`` starts host and module in fresh processes, then
fine-tunes the starter on a made-up scan and measures every turn of the event loop meanwhile: the longest is the longest
pause that a user would feel. The views' own drawing is counted too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "DGSTSegment" / "DGSTSegment.py"
ONE_START = """
import sys, time
sys.path.insert(0, sys.argv[1])
from preview_host.start import start
host = start()
began = time.perf_counter()
host.load_module(sys.argv[2])
print(time.perf_counter() - began)
host.leave()
host.widget.cleanup()
"""


def starts(runs: int) -> list[float]:
    """Seconds from importing the module to its panel being entered, each in a fresh process."""
    command = [sys.executable, "-c", ONE_START, str(ROOT / "Testing" / "Host"), str(MODULE)]
    return [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(runs)]


def pauses(seconds: float) -> dict:
    """Turns of the event loop while the starter is fine-tuned."""
    sys.path.insert(0, str(ROOT / "Testing" / "Host"))
    from preview_host.start import start

    host = start()
    widget = host.load_module(MODULE)
    widget.logic.setStudyFolder(tempfile.mkdtemp(prefix="dgst-pauses-"))
    from preview_host.steps import annotate

    annotate(host, widget)
    panel, ui = widget.panel, widget.panel.ui
    ui.addCaseButton.click()
    ui.stepsSpinBox.value = 100000
    ui.startButton.click()
    while panel.finetune.plot is None or not panel.finetune.plot.points("loss"):
        host.process_events()
    turns, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        host.process_events()
        turns.append(time.perf_counter() - began)
        time.sleep(0.002)
    steps = len(panel.finetune.plot.points("loss"))
    widget.logic.engine.kill()
    host.leave()
    widget.cleanup()
    longest = np.sort(turns)[::-1]
    return {"longest_ms": 1000 * longest[0], "tenth_longest_ms": 1000 * longest[9], "steps": steps, "turns": len(turns)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    measured = starts(options.runs)
    summary = {
        "start_ms": {
            "min": 1000 * min(measured),
            "median": 1000 * float(np.median(measured)),
            "max": 1000 * max(measured),
        },
        "during_a_run": pauses(options.seconds),
    }
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
