"""Phantoms: CT-like volumes with lymph nodes, made from a seed, so that everything runs with no patient's data.

They imitate what makes lymph nodes hard to find (vessels and muscles of nearly the same density, partial volume,
noise), not anatomy; a result on them says nothing about patients.
"""

from .domains import DOMAINS, Domain
from .phantom import Phantom, make_phantom

__all__ = ["DOMAINS", "Domain", "Phantom", "make_phantom"]
