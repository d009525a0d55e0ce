"""``python Testing/Benchmarks/quality --quick``: see the package."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    if not __package__:
        # Started as a folder: its files would hide modules of the standard library (statistics) from everybody else.
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    from quality.command import main

    sys.exit(main())
