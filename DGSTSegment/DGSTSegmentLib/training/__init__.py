"""Cases and what is known of each voxel, patches, loss, fine-tuning, prediction, evaluation.

What panel and CLI speak of (cases, requests, studies, events) needs no torch, as pyproject.toml's contracts say;
``finetune.finetune``, ``predict.predict`` and ``evaluate.evaluate`` are the ways in.
"""
