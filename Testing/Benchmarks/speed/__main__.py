"""``python Testing/Benchmarks/speed --quick``: see the package."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    if not __package__:
        # Started as a folder: its files must not stand before the libraries that everybody else imports.
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    from speed.command import main

    sys.exit(main())
