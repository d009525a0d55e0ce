"""This project's half of the prediction: its engine's own answer to ``predict``, from file to file.

``python our_prediction.py MODEL DEVICE PRECISION``. The engine keeps the model between requests.
"""

from __future__ import annotations

import sys

from answering import answer_requests

from DGSTSegmentLib.engine.handlers import Context, answer
from DGSTSegmentLib.engine.models import OpenedModel
from DGSTSegmentLib.engine.protocol import Request


def main(model: str, device: str, precision: str) -> None:
    context = Context(on_event=lambda event: None, should_stop=lambda: False, model=OpenedModel())

    def predict(image: str, out: str) -> str:
        fields = {"model": model, "image": image, "out": out, "device": device, "precision": precision}
        return answer(Request("1", "predict", fields), context)["out"]

    answer_requests({"predict": predict})


if __name__ == "__main__":
    main(*sys.argv[1:])
