"""Pictures of a volume with segmentations; ``pictures`` is the way in. Only the child process loads Slicer and VTK."""
