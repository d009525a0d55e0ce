"""``python -m preview_host``: the module's panel beside Slicer's views, in a window or as a picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .start import start
from .steps import STEPS

ROOT = Path(__file__).resolve().parents[3]
LAYOUT_ROUNDS = 5  # a form in a scroll area comes to rest in several
MODULE = ROOT / "DGSTSegment" / "DGSTSegment.py"


def main(arguments: list[str] | None = None) -> int:
    """Run the preview; returns the exit code."""
    options = _parser().parse_args(arguments)
    host = start()
    offscreen = host.application.platformName == "offscreen"
    if offscreen and options.screenshot is None:
        print("There is no display to show a window on; ask for a picture with --screenshot FILE.png.", file=sys.stderr)
        return 2
    host.window.resize(*options.size)
    host.process_events()
    widget = host.load_module(options.module)
    STEPS[options.step](host, widget)
    for _ in range(LAYOUT_ROUNDS):
        host.process_events()
    if options.screenshot is None:
        return host.application.exec()
    if not host.window.grab().save(str(options.screenshot)):
        print(f"{options.screenshot} could not be written.", file=sys.stderr)
        return 1
    host.leave()
    widget.cleanup()
    return 1 if host.errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="preview_host", description=__doc__)
    parser.add_argument("--screenshot", type=Path, metavar="FILE.png", help="grab the window into a file and end")
    parser.add_argument("--step", choices=tuple(STEPS), default="open", help="drive the panel this far first")
    parser.add_argument("--size", type=_size, default=(1600, 1000), metavar="WIDTHxHEIGHT")
    parser.add_argument("--module", type=Path, default=MODULE, help="scripted module to load")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ImportError as problem:
        print(
            f"The preview needs a library that is not there ({problem}); install it and start again.", file=sys.stderr
        )
        sys.exit(2)
