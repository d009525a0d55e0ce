"""Where the models that come with the project are found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import DGSTSegmentLib

ASK = "from DGSTSegmentLib.networks.catalogue import starter_path; print(starter_path())"


def test_the_starter_is_found_where_pip_puts_it(tmp_path):
    package = Path(DGSTSegmentLib.__file__).parent
    site, starter = tmp_path / "lib" / "site-packages", tmp_path / "share" / "DGSTSegment" / "Models" / "starter"
    shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    starter.mkdir(parents=True)
    (starter / "card.json").write_text("{}")
    record = site / "dgstsegment-0.1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: DGSTSegment\nVersion: 0.1.0\n")
    (record / "RECORD").write_text("../../share/DGSTSegment/Models/starter/card.json,,\n")
    surroundings = {**os.environ, "PYTHONPATH": str(site)}
    answer = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, env=surroundings)
    assert Path(answer.stdout.strip()) == starter.resolve()
