"""Does DGST help? Strategies of fine-tuning compared fairly: on the same cases, steps, batches and tuning effort.

``python Testing/Benchmarks/quality --quick`` shows in a quarter of an hour how it works, ``--full`` measures, and
``--ideas`` looks for a better DGST on the validation scans alone, with the test split sealed. Every finished piece of
work is one line of ``rows.jsonl`` in the output folder, so that a stopped benchmark goes on where it stopped;
``report.html``, ``summary.csv`` and ``summary.json`` are written anew from the rows whenever it ends.
"""
