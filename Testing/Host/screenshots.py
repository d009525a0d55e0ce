"""Makes the README's pictures of the panel: ``python3 Testing/Host/screenshots.py``, from the project's folder.

Each picture is made by a preview of its own, which drives the module's own widgets on a made-up scan.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "Resources" / "Screenshots"
STEPS = ("open", "annotate", "finetune", "review")


def main() -> int:
    for step in STEPS:
        path = FOLDER / f"panel-{step}.png"
        command = [sys.executable, str(ROOT / "run.py"), "preview", "--screenshot", str(path), "--step", step]
        if subprocess.call([*command, "--size", "1500x900"]) != 0:
            return 1
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
