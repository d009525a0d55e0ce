"""The strategies and DGST's rules by name, for every face that lists them. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LAYERS = ("all", "encoder", "early")
"""Where dgst, random and static select: in the whole network, its encoder, or the encoder's first two stages."""


@dataclass(frozen=True)
class RuleInfo:
    """How far the weights that a step of dgst, random or static selects move; the exact rules are ``DGST``'s.

    Args:
        name: the word of the command line and of saved requests.
        gamma: how many weights of a row a step may move, unless told otherwise.
        layers: of ``LAYERS``, whose rows those weights are selected from, unless told otherwise.
    """

    name: str
    gamma: int
    layers: str = "all"


RULES: dict[str, RuleInfo] = {
    rule.name: rule
    for rule in (
        RuleInfo("adam", gamma=16, layers="early"),
        RuleInfo("rms", gamma=2),
        RuleInfo("sgd", gamma=2),
    )
}
DEFAULT_RULE = "adam"


@dataclass(frozen=True)
class StrategyInfo:
    """What a strategy is called, what it trains and where its learning rate starts.

    Args:
        name: the word of the command line and of saved requests.
        title: the words of a list.
        description: one line that says what may move, and nothing that was not measured.
        lrs: learning rate by rule, for runs of some hundred steps: of ``RULES`` where gamma is used, else of
            ``adamw`` and ``sgd``.
        uses_gamma: it moves at most gamma weights of a row at a step, by one of ``RULES``.
    """

    name: str
    title: str
    description: str
    lrs: Mapping[str, float]
    uses_gamma: bool = False

    @property
    def default_lr(self) -> float:
        """Learning rate with the default rule."""
        return self.lr_by(DEFAULT_RULE)

    def lr_by(self, update: str) -> float:
        """Learning rate with the rule ``update`` of ``RULES``, which only strategies with gamma heed."""
        return self.lrs[update if self.uses_gamma else "adamw"]


_ALL = (
    StrategyInfo(
        "dgst",
        "Dynamic gradient sparsification (DGST)",
        "At each step only the gamma weights of every row with the largest gradients (with the rule adam: the largest "
        "mean gradients) move, beside norms, biases and head.",
        {"rms": 0.02, "adam": 4e-3, "sgd": 0.1},
        uses_gamma=True,
    ),
    StrategyInfo(
        "random",
        "Random weights",
        "As DGST, but the gamma weights of every row are drawn at random at each step; a control for comparisons.",
        {"rms": 0.02, "adam": 4e-3, "sgd": 0.1},
        uses_gamma=True,
    ),
    StrategyInfo(
        "static",
        "Fixed weights",
        "As DGST, but the gamma weights of every row are chosen once, from the first five batches, and kept.",
        {"rms": 0.06, "adam": 4e-3, "sgd": 0.1},
        uses_gamma=True,
    ),
    StrategyInfo("full", "Full fine-tuning", "Every weight moves at every step.", {"adamw": 5e-4, "sgd": 1e-2}),
    StrategyInfo("bias", "Biases", "Only biases and the head move.", {"adamw": 1e-3, "sgd": 1e-2}),
    StrategyInfo(
        "norm", "Normalisation", "Only the norms' scale and shift and the head move.", {"adamw": 1e-3, "sgd": 1e-3}
    ),
    StrategyInfo("head", "Head", "Only the last layer, which names the classes, moves.", {"adamw": 1e-3, "sgd": 1e-2}),
    StrategyInfo(
        "decoder", "Decoder", "The decoder and the head move, the encoder stays.", {"adamw": 5e-4, "sgd": 1e-2}
    ),
    StrategyInfo(
        "lora",
        "Low-rank adaptation (LoRA)",
        "A correction of rank 8 is learned for every convolution and linear layer and merged into it at the end.",
        {"adamw": 1e-3, "sgd": 1e-3},
    ),
)

STRATEGIES: dict[str, StrategyInfo] = {info.name: info for info in _ALL}
