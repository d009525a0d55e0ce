"""The process that draws with Slicer: ``python -m DGSTSegmentLib.views.child FOLDER``.

It ends with a message on stderr, or dies, where OpenGL is not to be had; what it painted before that stays in FOLDER.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

OFFSCREEN = {"VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"}


def main(folder: Path) -> None:
    if sys.platform.startswith("linux"):
        os.environ.update(OFFSCREEN)
    from vtkmodules import vtkRenderingOpenGL2  # noqa: F401, registers the windows that the next line chooses from
    from vtkmodules.vtkRenderingCore import vtkRenderWindow

    if sys.platform.startswith("linux") and not vtkRenderWindow().IsA("vtkEGLRenderWindow"):
        sys.exit("OpenGL through EGL is not to be had on this machine")
    from .exchange import read_orders, write_painted
    from .slicer_stage import Stage

    stage = Stage(folder)
    for number, order in enumerate(read_orders(folder)):
        stage.show(order.ct, order.overlays, order.anatomy, order.window)
        for panel in order.panels:
            write_painted(folder, number, panel.name, stage.paint(panel))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
