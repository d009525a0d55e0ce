"""Is DGST fast? Steps, memory, fine-tuning and prediction against torch's optimizers, nnU-Net and MONAI, side by side.

``python3 run.py bench speed`` measures everything, ``--quick`` shows in some minutes how it works. Contestants take
turns in one session, so that what slows the machine slows all of them; ratios are taken round by round. Every number is
one line of ``rows.jsonl`` in the output folder as soon as it is known; a part that was measured by the same code with
the same settings is not measured again. ``report.html``, ``speed.csv`` and ``speed.json`` are written from the rows.
"""
