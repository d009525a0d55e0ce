"""Cases and what is known of each voxel, patches, loss, fine-tuning, prediction, evaluation.

``case``, ``request``, ``events`` and ``memory`` need no torch, so that panel and CLI can speak of them without it;
``finetune.finetune``, ``predict.predict`` and ``evaluate.evaluate`` are the ways in.
"""
