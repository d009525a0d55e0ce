"""The strategies by name, for every face that lists them. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StrategyInfo:
    """What a strategy is called, what it trains and where its learning rate starts.

    Args:
        name: the word of the command line and of saved requests.
        title: the words of a list.
        description: one line that says what may move, and nothing that was not measured.
        default_lr: learning rate with the default rule (``rms`` where gamma is used, else AdamW), for runs of some
            hundred steps.
        sgd_lr: learning rate with the rule ``sgd``, likewise.
        uses_gamma: it moves at most gamma weights of a row at a step, by the rule named ``update``.
    """

    name: str
    title: str
    description: str
    default_lr: float
    sgd_lr: float
    uses_gamma: bool = False


_ALL = (
    StrategyInfo(
        "dgst",
        "Dynamic gradient sparsification (DGST)",
        "At each step only the gamma weights of every row with the largest gradients, norms, biases and head move.",
        default_lr=0.02,
        sgd_lr=0.1,
        uses_gamma=True,
    ),
    StrategyInfo(
        "random",
        "Random weights",
        "As DGST, but the gamma weights of every row are drawn at random at each step; a control for comparisons.",
        default_lr=0.02,
        sgd_lr=0.1,
        uses_gamma=True,
    ),
    StrategyInfo(
        "static",
        "Fixed weights",
        "As DGST, but the gamma weights of every row are chosen once, from the first five batches, and kept.",
        default_lr=0.06,
        sgd_lr=0.1,
        uses_gamma=True,
    ),
    StrategyInfo("full", "Full fine-tuning", "Every weight moves at every step.", default_lr=5e-4, sgd_lr=1e-2),
    StrategyInfo("bias", "Biases", "Only biases and the head move.", default_lr=1e-3, sgd_lr=1e-2),
    StrategyInfo("norm", "Normalisation", "Only the norms' scale and shift and the head move.", 1e-3, sgd_lr=1e-3),
    StrategyInfo("head", "Head", "Only the last layer, which names the classes, moves.", default_lr=1e-3, sgd_lr=1e-2),
    StrategyInfo("decoder", "Decoder", "The decoder and the head move, the encoder stays.", 5e-4, sgd_lr=1e-2),
    StrategyInfo(
        "lora",
        "Low-rank adaptation (LoRA)",
        "A correction of rank 8 is learned for every convolution and linear layer and merged into it at the end.",
        default_lr=1e-3,
        sgd_lr=1e-3,
    ),
)

STRATEGIES: dict[str, StrategyInfo] = {info.name: info for info in _ALL}
