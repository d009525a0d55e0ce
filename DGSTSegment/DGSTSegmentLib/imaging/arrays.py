"""Arrays in ``.npy`` files. Standard library and numpy only."""

from __future__ import annotations

import os

import numpy as np


def save_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write ``array`` to a file as ``.npy``.

    ``numpy.save`` hands the values to the C library, which keeps to itself that the disk took only a part of them.

    Raises:
        OSError: the disk is full.
    """
    array = np.ascontiguousarray(array)
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.reshape(-1).view(np.uint8))
