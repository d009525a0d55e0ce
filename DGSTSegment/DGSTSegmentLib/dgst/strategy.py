"""What the nine strategies have in common: the step around an optimizer, its state, and how they leave a network."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .freezing import Frozen
from .partition import members
from .registry import StrategyInfo
from .statistics import HeldStatistics
from .stepping import StepReport


class Strategy(ABC):
    """One way of fine-tuning a network in place; made by ``make_strategy``.

    A training step is: forward through ``network``, backward (more than once to accumulate), ``step``. Parameters
    that the strategy never moves require no gradient until ``finish`` (where processes train together, theirs are
    dropped). Running statistics of norms do not change: norms that keep some use them, in training too.

    Attributes:
        info: the registry's entry.
        network: what to call forward.
        optimizer: holds the groups whose learning rates ``step`` scales.
        lr: of the strategy's own weights, before the schedule.
    """

    def __init__(self, info: StrategyInfo, network: nn.Module, settings: dict):
        self.info, self.network, self.settings = info, network, settings
        self.optimizer: torch.optim.Optimizer
        self.frozen: Frozen

    def _take_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self._base_lrs = [group["lr"] for group in optimizer.param_groups]
        self._held = HeldStatistics(self.network)
        if not any(parameter.requires_grad for group in optimizer.param_groups for parameter in group["params"]):
            self.finish()
            raise ValueError(f"Strategy {self.info.name} moves nothing in this network; name its head, or its decoder.")

    @property
    def lr(self) -> float:
        return self._base_lrs[0]

    @property
    def warm_up_batches(self) -> int:
        """How many batches are still to be observed before the first step."""
        return 0

    def observe(self, scaler: torch.amp.GradScaler | None = None) -> None:
        """Take note of a warm-up batch after its backward pass, and clear its gradients; nothing moves.

        A batch whose gradients are not finite does not count: as many as before are then still to be observed.
        """
        self._unscale(scaler)
        self._end_of_batch(scaler)

    def step(self, lr_factor: float = 1.0, scaler: torch.amp.GradScaler | None = None) -> StepReport:
        """Move what may move by the gradients at hand, then clear them.

        Args:
            lr_factor: of every learning rate at this step; the schedule.
            scaler: with which the loss was scaled, if it was; it is updated here.

        Raises:
            RuntimeError: a scheduler of torch was made for the optimizer; it would have no effect.
        """
        if any("initial_lr" in group for group in self.optimizer.param_groups):
            raise RuntimeError("A strategy heeds no scheduler of torch: give step the schedule's lr_factor instead.")
        for group, lr in zip(self.optimizer.param_groups, self._base_lrs, strict=True):
            group["lr"] = lr * lr_factor
        self._unscale(scaler)
        report = self._advance()
        self._end_of_batch(scaler)
        return report

    def state(self) -> tuple[dict[str, Tensor], dict]:
        """All that an exact resume needs besides the network's own weights (``plain_state``, or its state dict).

        Returns:
            Tensors that share no memory with the run, and plain JSON data.
        """
        tensors = {
            f"{name}/{key}": copy_of(value)
            for name, parameter in self._named_parameters()
            for key, value in self.optimizer.state.get(parameter, {}).items()
            if isinstance(value, Tensor)
        }
        silent = [name for name, parameter in self._named_parameters() if parameter in self.frozen]
        return tensors, {"strategy": self.info.name, "settings": self.settings, "silent": silent}

    def load_state(self, tensors: dict[str, Tensor], meta: dict) -> None:
        """Go on from a ``state``, on a network that has the weights it had then; what came after it is forgotten.

        Raises:
            ValueError: the state is of another strategy, other settings or another network.
        """
        expected = {"strategy": self.info.name, "settings": self.settings}
        for key, value in expected.items():
            if meta.get(key) != value:
                raise ValueError(f"The saved state has {key} {meta.get(key)!r}, not {value!r}: it is of another run.")
        parameters = dict(self._named_parameters())
        loaded = [self._fitted(path, value, parameters) for path, value in tensors.items()]
        silent = self._to_freeze(meta["silent"], parameters)
        for parameter in parameters.values():
            self.optimizer.state.pop(parameter, None)
        for parameter, key, value in loaded:
            self.optimizer.state[parameter][key] = value
        # Known already, so that the first backward pass runs the very kernels that it would have run. Those that this
        # run has found itself stay frozen: they are watched no more.
        self.frozen.add(silent)

    def plain_state(self) -> dict[str, Tensor]:
        """The network's state dict with its plain keys, as if finished now; training can go on."""
        return self.network.state_dict()

    def finish(self) -> None:
        """Leave the network with its plain structure and keys, the flags and statistics as they were found."""
        self._held.release()
        self.frozen.release()

    def _fitted(
        self, path: str, value: Tensor, parameters: dict[str, nn.Parameter]
    ) -> tuple[nn.Parameter, str, Tensor]:
        """A tensor of a saved state as the optimizer needs it: on its parameter's device and stored in its order."""
        name, _, key = path.rpartition("/")
        if name not in parameters:
            raise ValueError(f"The saved state knows a parameter {name!r} that this strategy does not train.")
        parameter = parameters[name]
        if key == "step":  # AdamW counts steps on the CPU wherever the parameter is.
            return parameter, key, copy_of(value).cpu()
        like = self.optimizer.state.get(parameter, {}).get(key, parameter)
        if value.shape != like.shape:
            raise ValueError(
                f"The saved state has {path} of shape {tuple(value.shape)}, this network {tuple(like.shape)}: it is of "
                "another network."
            )
        return parameter, key, torch.empty_like(like, dtype=value.dtype, requires_grad=False).copy_(value)

    def _to_freeze(self, names: list[str], parameters: dict[str, nn.Parameter]) -> list[nn.Parameter]:
        """The silent biases of a saved state, but for those that are frozen in this network anyway."""
        frozen = {member.name for member in members(self.network) if not member.parameter.requires_grad}
        odd = [name for name in names if name not in parameters and name not in frozen]
        if odd:
            raise ValueError(f"The saved state has a silent bias {odd[0]!r} that this strategy does not train.")
        return [parameters[name] for name in names if name in parameters]

    def _named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        moving = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        return [(m.name, m.parameter) for m in members(self.network) if id(m.parameter) in moving]

    def _unscale(self, scaler: torch.amp.GradScaler | None) -> None:
        if scaler is not None:
            scaler.unscale_(self.optimizer)

    def _end_of_batch(self, scaler: torch.amp.GradScaler | None) -> None:
        if scaler is not None:
            scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    @abstractmethod
    def _advance(self) -> StepReport: ...


def copy_of(tensor: Tensor) -> Tensor:
    return tensor.detach().clone(memory_format=torch.contiguous_format)
