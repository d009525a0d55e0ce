"""The Slicer face: the MRML bridge, and one section each to choose, annotate, fine-tune and review.

Runs inside Slicer's process: it needs slicer, qt, vtk, numpy and the torch-free rooms. ``logic`` serves Slicer's Python
console without any widget; the modules whose names end in ``section`` hold what is on the screen.
"""
