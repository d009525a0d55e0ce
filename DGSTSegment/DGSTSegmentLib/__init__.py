"""Few-shot fine-tuning of CT lymph-node foundation models by Dynamic Gradient Sparsification Training.

Rooms, ground floor first: ``dgst`` (the method, torch only) and ``imaging`` (volumes and findings), ``networks``
(foundation models), ``training`` (cases, fine-tuning, prediction, evaluation), ``engine`` (the worker process and
its client) and ``views`` (pictures), ``cli`` (the terminal's face). A room imports only from floors below its own.
"""

__version__ = "0.1.0"
