"""Few-shot fine-tuning of CT lymph-node foundation models by Dynamic Gradient Sparsification Training.

Rooms, ground floor first: ``dgst`` (the method, on torch) and ``imaging`` (volumes and findings), ``networks``
(foundation models), ``training`` (cases, fine-tuning, prediction, evaluation), ``engine`` (the worker process and
its client) and ``views`` (pictures), ``cli`` (the terminal's face) and ``panel`` (Slicer's). A room imports only from
floors below its own.
"""

__version__ = "0.1.0"
