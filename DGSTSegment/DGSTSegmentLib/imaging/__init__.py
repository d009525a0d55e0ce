"""Volumes and their geometry, reading and writing, findings and their measurements, phantoms. No torch here."""

from .geometry import Geometry
from .volume import Volume

__all__ = ["Geometry", "Volume"]
