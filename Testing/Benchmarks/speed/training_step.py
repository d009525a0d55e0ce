"""One training step, taken apart: forward and backward passes on one side, what is done with gradients on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from DGSTSegmentLib.dgst import DGST
from DGSTSegmentLib.dgst.registry import DEFAULT_RULE, RULES
from DGSTSegmentLib.networks.architectures import head_modules, layer_modules, outputs
from DGSTSegmentLib.training.batches import Batch
from DGSTSegmentLib.training.devices import autocast
from DGSTSegmentLib.training.knowledge import BACKGROUND, NODE
from DGSTSegmentLib.training.loss import FewShotLoss

from .networks import Subject

MAX_NORM = 12.0
_LR = 1e-6
"""Every contestant steps the same weights a hundred times, which must not lead them anywhere."""

DEFAULT_DGST = "DGST as finetune takes it"
"""What tables call the step in the layers and by the rule that are the default."""

TORCH_OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=_LR, momentum=0.99, weight_decay=3e-5, nesterov=True),
    "SGD fused": lambda p: torch.optim.SGD(p, lr=_LR, momentum=0.99, weight_decay=3e-5, nesterov=True, fused=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=_LR, weight_decay=3e-5),
    "AdamW fused": lambda p: torch.optim.AdamW(p, lr=_LR, weight_decay=3e-5, fused=True),
}
"""torch's optimizers by the name that tables give them; SGD with momentum as nnU-Net uses it."""


class Training:
    """A network in training: its batch, its passes and its gradients.

    Args:
        subject: the network, its patch and batch size.
        device: where it trains.
        precision: of the passes: ``fp32``, ``bf16`` or ``fp16``. Gradients are float32 in any of them.
    """

    def __init__(self, subject: Subject, device: torch.device, precision: str):
        self.device, self.precision = device, precision
        self.network = subject.build(device)
        self.batch = made_up_batch(subject.patch, subject.batch_size).to(device)
        self._loss = FewShotLoss(distillation=0.0)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return list(self.network.parameters())

    def forward_backward(self) -> None:
        """Leave the gradients of the loss on the batch in the parameters, added to what is there."""
        with autocast(self.device, self.precision):
            scores = outputs(self.network(self.batch.image))
        self._loss(scores, self.batch.knowledge).total.backward()

    def clear_gradients(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def gradients(self) -> dict[nn.Parameter, Tensor]:
        """Copies of the gradients there are."""
        return {p: p.grad.detach().clone() for p in self.parameters if p.grad is not None}

    @staticmethod
    def put_gradients(parameters: Sequence[nn.Parameter], saved: Mapping[nn.Parameter, Tensor]) -> None:
        """Give the parameters copies of their saved gradients, which a contestant may change."""
        for parameter in parameters:
            if parameter in saved:
                parameter.grad = saved[parameter].clone()


def made_up_batch(patch: int, batch_size: int) -> Batch:
    """Noise with a cube of nodes in the middle, every voxel known."""
    shape = (batch_size, 1, patch, patch, patch)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    knowledge = torch.full(shape, BACKGROUND, dtype=torch.uint8)
    middle = slice(patch // 3, patch // 2)
    knowledge[:, :, middle, middle, middle] = NODE
    image[knowledge == NODE] += 1.0
    return Batch(image, knowledge)


class TorchStep:
    """Clip by the global norm, then one of torch's optimizers, as a training loop has it.

    Args:
        parameters: all of a network.
        name: of ``TORCH_OPTIMIZERS``.
    """

    def __init__(self, parameters: list[nn.Parameter], name: str):
        self.moved = parameters
        self.optimizer = TORCH_OPTIMIZERS[name](parameters)

    def __call__(self) -> None:
        nn.utils.clip_grad_norm_(self.moved, MAX_NORM)
        self.optimizer.step()


class DGSTStep:
    """The DGST step: clip, select, update, by the rule ``rms``, which has no state and selects in every row.

    Args:
        network: in training.
        gamma: weights of a row that may move.
        in_backward: select during the backward pass already.
    """

    def __init__(self, network: nn.Module, gamma: int, in_backward: bool = False):
        self._network = network
        self.optimizer = _dgst(network, gamma=gamma, update="rms", in_backward=in_backward)

    @property
    def moved(self) -> list[nn.Parameter]:
        """The parameters whose gradients it takes; biases that a norm cancels are none of them after one step."""
        return [p for p in self._network.parameters() if p.requires_grad]

    def __call__(self) -> None:
        """
        Raises:
            RuntimeError: the gradients were not finite, so that nothing was done that could be timed.
        """
        self.optimizer.step()
        if self.optimizer.report.skipped:
            raise RuntimeError("The gradients of the made-up batch are not finite; nothing can be timed on them.")


class DefaultDGSTStep(DGSTStep):
    """The DGST step as ``dgst finetune`` takes it unless told otherwise: by the rule and in the layers of the registry.

    Args:
        network: in training, and nobody else's: rows outside those layers are frozen.
    """

    def __init__(self, network: nn.Module):
        self._network = network
        among = layer_modules(network, RULES[DEFAULT_RULE].layers)
        self.optimizer = _dgst(network, update=DEFAULT_RULE, among=among)


def _dgst(network: nn.Module, **options: Any) -> DGST:
    return DGST(network, lr=_LR, head=head_modules(network), always_on_lr=_LR, max_norm=MAX_NORM, **options)
