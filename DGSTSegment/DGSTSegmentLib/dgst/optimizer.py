"""DGST as a torch optimizer: at each step only the gamma weights of every row with the largest gradients move."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn

from . import moments
from .checks import check_alike, check_fits, check_gradients, check_max_norm, check_moving, check_parameters
from .freezing import Frozen
from .in_backward import InBackward
from .partition import Member, listed, partition
from .registry import DEFAULT_RULE, RULES
from .rules import row_rms, with_defaults
from .selectors import LargestGradients, Selector
from .silent import SilentBiases
from .stepping import (
    StepReport,
    clip_,
    clip_factor,
    global_norm,
    in_own_order,
    norms_of,
    plain_optimizer,
    store_alike,
)

_GROUPS = 2  # what is selected from, and what is always on


@dataclass(frozen=True)
class Selected:
    """What a step needs of one parameter's gradient.

    Args:
        places: [R, n] of the chosen entries in the flattened parameter.
        values: [R, n], the gradient there; for the rule ``adam`` its direction.
        norm: of the whole gradient, of this step alone.
    """

    places: Tensor
    values: Tensor
    norm: Tensor

    def times(self, factor: float) -> Selected:
        return Selected(self.places, self.values * factor, self.norm * factor)


class DGST(torch.optim.Optimizer):
    """Dynamic Gradient Sparsification Training (arXiv 2503.00748) of any module.

    Every parameter with rows (convolutions, linear layers, attention projections, tables) moves in at most ``gamma``
    entries of each row at a step, those with the largest |g|; all its other weights stay bit-identical. Norms,
    biases and the head are always on. The order of a step is the paper's: skip it if a gradient is not finite, clip
    by the global norm over everything that may move, select, update. (Clipping multiplies all gradients by one
    number, so the selection is made before it and only what was selected is multiplied.)

    A row is what makes one output channel, as the module's type tells: along dimension 0 of convolutions and linear
    layers, 1 of transposed convolutions, and of any other module's table along its first dimension of more than one
    entry. A layer of your own that stores inputs first therefore has its rows along its inputs.

    Rules for the selected weights, which have no weight decay:

    - ``sgd``, the paper's: w <- w - lr * g. No state between steps.
    - ``adam``, ours: weights are selected by the running mean m <- 0.9 m + 0.1 g of this and all earlier steps, the
      gamma largest |m| of a row, and move by Adam's direction, w <- w - lr * m / sqrt(v) with v <- 0.99 v + 0.01 g^2,
      both corrected for their start at zero (arXiv 1412.6980). Selecting from a few scans' noisy gradients one batch
      at a time moves weights to and fro; the mean finds those that the batches agree on, and m / sqrt(v) is small
      where they do not. m and v are dense: twice the memory of the gradients of all rows that are selected from.
      Clipping does not touch these weights, since the direction hardly depends on the gradients' size; a skipped step
      leaves out of m and v what was not finite in it.
    - ``rms``, ours: w <- w - lr * sign(g) * RMS of the row's weights in the foundation model, that is, as they were
      when this optimizer was made (or as a loaded state says). The live row's RMS would let weights grow without
      bound. A row of zeros takes the RMS of its whole parameter, and a parameter of zeros 1 / sqrt(row length), the
      usual scale of a fresh layer. lr is then the relative change of a weight: 0.02 suits some hundred steps. No state
      between steps.

    Rules for what is always on: ``sgd`` is the reference's Nesterov momentum 0.99 with weight decay 3e-5; its velocity
    needs some hundred steps to build up and its effective lr is 100 times the nominal one, which suits the paper's
    12,500 steps. ``adamw`` does not depend on the loss's scale and is at full speed from the first step, which suits
    200. So ``update="sgd"`` brings ``sgd`` here too (the paper's recipe whole) and ours bring ``adamw``;
    each can be chosen by ``always_on_rule``.

    Everything that it does not move is frozen, and stays so when the optimizer is gone: unfreeze what is to move before
    making it, and call ``detach()`` before another optimizer takes over.

    Distributed data parallel: make it of the network inside. Gradients are averaged over the ranks during backward,
    hence before the selection, so that all ranks select alike. What is frozen then still gets gradients, which are
    dropped. Mixed precision: ``torch.autocast`` needs nothing; with a ``GradScaler`` call ``scaler.step(optimizer)``
    as usual (``report`` does not hear of a step that it skips), or ``unscale_(scaler)`` and ``step()``, the only way
    ``in_backward``; then ``scaler.update()``. There are two groups of parameters, what is selected from and what is
    always on, each with its learning rate. Schedulers of torch work; ``OneCycleLR`` and ``CyclicLR`` need a rate for
    each group (``max_lr=[0.004, 0.0005]``) and ``cycle_momentum=False``.

    Running statistics of norms are the network's own affair: batch norms in training mode update theirs, as ever. Call
    ``eval()`` on them to keep the foundation model's; the strategies of ``make_strategy`` have them keep it.

    Args:
        network: the module to train, pretrained. Biases that a norm cancels are found in the passes before the first
            step and frozen there, until ``detach`` (see ``SilentBiases``).
        lr: for the selected weights; None takes the registry's for the rule: some hundred steps (the paper's 1e-3 for
            ``sgd`` is meant for 12,500).
        gamma: entries of a row that may move at a step, at least 1; None takes the rule's own. Rows no longer than
            gamma move whole, as those of depthwise convolutions and of small tables of biases do.
        update: ``adam``, ``rms`` or ``sgd``.
        head: names of the modules that make the output.
        always_on: names of the modules and parameters that are always on, in place of norms, biases and head;
            what then has no rows is frozen.
        among: names of the modules whose rows are selected from; all other rows are frozen. None for all.
            (``dgst finetune`` selects by ``adam`` in the encoder's first two stages only, which its lr was chosen for.)
        always_on_rule: ``adamw`` or ``sgd``; None follows ``update``.
        always_on_lr: None takes 5e-4 for ``adamw`` and 1e-3 for ``sgd``.
        momentum: of ``sgd`` for what is always on.
        weight_decay: for what is always on.
        max_norm: gradients are scaled down to this global norm (with ``adam`` those of what is always on); None does
            not clip.
        in_backward: select while the backward pass runs and free each dense gradient at once, for lower peak memory.
            Neither accumulates gradients over several backward passes nor averages them across ranks; with
            ``adam`` not under a GradScaler either, whose changing scale would distort the running means. Clip by
            ``max_norm``: torch's ``clip_grad_norm_`` does not see what was freed.
        selector: how entries are chosen; the largest gradients by default. It has no part in ``state_dict``.

    Raises:
        TypeError: ``network`` is no module.
        ValueError: an argument is out of range, or nothing would move, or what would is of fp16, complex, sharded or
            scripted.
        UnknownModule: a name in ``head``, ``always_on`` or ``among`` is not in the network.
        InBackwardRefused: ``in_backward`` under distributed training, or a second backward pass before a step.

    Example:
        >>> import torch
        >>> from DGSTSegmentLib.dgst import DGST
        >>> _ = torch.manual_seed(0)
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 1))
        >>> before = network[0].weight.clone()
        >>> optimizer = DGST(network, gamma=2, head=["2"])
        >>> network(torch.randn(4, 1, 8, 8)).square().mean().backward()
        >>> optimizer.step()
        >>> (network[0].weight != before).sum(dim=(1, 2, 3)).tolist()
        [2, 2, 2, 2, 2, 2, 2, 2]
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float | None = None,
        *,
        gamma: int | None = None,
        update: str = DEFAULT_RULE,
        head: Sequence[str] = (),
        always_on: Sequence[str] | None = None,
        among: Sequence[str] | None = None,
        always_on_rule: str | None = None,
        always_on_lr: float | None = None,
        momentum: float = 0.99,
        weight_decay: float = 3e-5,
        max_norm: float | None = 12.0,
        in_backward: bool = False,
        selector: Selector | None = None,
    ):
        lr, rule, always_on_lr = with_defaults(update, lr, always_on_rule, always_on_lr)
        gamma = RULES[update].gamma if gamma is None else gamma
        if not isinstance(gamma, Integral) or gamma < 1:
            raise ValueError(f"gamma must be a whole number of at least 1, not {gamma}.")
        check_max_norm(max_norm)
        if not isinstance(network, nn.Module):
            raise TypeError(f"DGST takes the network itself, a torch.nn.Module, not {type(network).__name__}.")
        among = None if among is None else listed(among)
        parts = partition(network, head, always_on, among)
        check_moving(parts, among)
        check_parameters([*parts.rows, *parts.always_on])
        self.rows, self.always_on = parts.rows, parts.always_on
        self.max_norm, self.in_backward = max_norm, in_backward
        self.selector = selector or LargestGradients()
        self.report: StepReport | None = None
        self._plain = plain_optimizer(rule, [m.parameter for m in self.always_on], always_on_lr, momentum, weight_decay)
        moving = {"lr": lr, "gamma": int(gamma), "update": update, "steps": 0}
        moving["params"] = [member.parameter for member in self.rows]
        super().__init__([moving, *self._plain.param_groups], {})
        for group, of_group in zip(self.param_groups, (self.rows, self.always_on), strict=True):
            group["param_names"] = [member.name for member in of_group]  # saved, as torch's own optimizers do
        self._early = InBackward(self, self.rows if in_backward else ())
        self.frozen = Frozen()
        self.frozen.add(member.parameter for member in parts.frozen)
        self._begin_state(update)
        self._silent = SilentBiases(network)
        finalize(self, self._silent.stop)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step from the gradients at hand; what it did is in ``report``.

        Args:
            closure: clears the gradients, runs the network forward and backward and returns the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        early = self._early.take()
        self._silent.stop()
        self.frozen.add(self._silent.found())
        check_gradients([*self.rows, *self.always_on])
        found = {**early, **self.select_from([m for m in self.rows if m.parameter.grad is not None])}
        selected = [(member, found[member.name]) for member in self.rows if member.name in found]
        norm = global_norm([chosen.norm for _, chosen in selected] + norms_of(self._always_on_parameters()))
        self.report = StepReport(norm)
        if not self.report.skipped:
            self._update(selected, clip_factor(norm, self.max_norm))
        self.param_groups[0]["steps"] += 1
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a ``state_dict`` of an optimizer made alike, on a network with the same parameters.

        Raises:
            ValueError: the state is of other rules or of other parameters, or lacks some; the optimizer is as it was.
        """
        check_alike(state_dict["param_groups"], self.param_groups)
        check_fits(state_dict, (self.rows, self.always_on), self.state)
        pairs = zip(state_dict["param_groups"], self.param_groups, strict=True)
        # Whether torch's fused step can be taken depends on where and how the parameters are stored here.
        groups = [{**group, **({"fused": own["fused"]} if "fused" in own else {})} for group, own in pairs]
        super().load_state_dict({**state_dict, "param_groups": groups})
        for parameter in self._always_on_parameters():
            store_alike(self.state.get(parameter, {}), parameter)
        self._plain.__setstate__({"state": self.state, "param_groups": self.param_groups[1:]})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """
        Raises:
            ValueError: always; what moves is fixed when the optimizer is made.
        """
        if len(getattr(self, "param_groups", ())) == _GROUPS:
            raise ValueError("DGST takes no further parameters: make it anew on the network that holds them.")
        super().add_param_group(param_group)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            "DGST cannot be copied or pickled apart from the network that it watches: keep state_dict(), and load it "
            "into a DGST of the other network."
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients, and what was selected from them during backward."""
        super().zero_grad(set_to_none)
        self._early.clear()

    def detach(self) -> None:
        """Leave the network to others: nothing watches its passes, takes its gradients or is frozen any more."""
        self._early.stop()
        self._silent.stop()
        self.frozen.release()

    def unscale_(self, scaler: torch.amp.GradScaler) -> None:
        """Undo the loss scaling of all gradients, those that were freed during backward included."""
        self._early.unscale_(scaler)

    def select_from(self, members: Sequence[Member]) -> dict[str, Selected]:
        """What a step needs, by parameter, of the gradients of ``members``, each of which has one."""
        norms = norms_of(member.parameter for member in members)
        having = zip(members, norms, self._remembered(norms), strict=True)
        return {member.name: self._select(member, norm, remembers) for member, norm, remembers in having}

    def _begin_state(self, update: str) -> None:
        for member in self.rows:
            if update == "rms":
                self.state[member.parameter]["row_rms"] = row_rms(member)
            elif update == "adam":
                moments.begin(self.state[member.parameter], member.layout.to_rows(member.parameter.detach()))

    def _always_on_parameters(self) -> Iterator[nn.Parameter]:
        return (member.parameter for member in self.always_on)

    def _select(self, member: Member, norm: Tensor, remembers: bool) -> Selected:
        """From the gradient of this norm, or from the running means once they have taken it in."""
        moving = self.param_groups[0]
        rows = member.layout.to_rows(member.parameter.grad)
        self._refuse_converted(member)
        if remembers:
            rows = moments.take_in(self.state[member.parameter], rows)
        columns = self.selector.select(member.name, rows, moving["steps"], moving["gamma"])
        values = moments.direction(self.state[member.parameter], columns) if remembers else rows.gather(1, columns)
        return Selected(member.layout.flat_indices(columns), values, norm)

    def _refuse_converted(self, member: Member) -> None:
        now = member.parameter
        for key, value in self.state.get(now, {}).items():
            if key != "step" and (value.device, value.dtype) != (now.device, now.dtype):
                raise RuntimeError(
                    f"{member.name} is {now.dtype} on {now.device}, but was {value.dtype} on {value.device} when the "
                    "optimizer was made: convert and move the network first, then make the optimizer."
                )

    def _remembered(self, norms: list[Tensor]) -> list[bool]:
        """Whether the running means take in the gradients of these norms, as they do where there are any and the norm
        is finite (else the step is skipped). A GPU is waited for once, not once a norm."""
        if self.param_groups[0]["update"] != "adam" or not norms:
            return [False] * len(norms)
        return torch.stack([torch.isfinite(norm).to(norms[0].device) for norm in norms]).tolist()

    def _update(self, selected: list[tuple[Member, Selected]], factor: float) -> None:
        moving = self.param_groups[0]
        for member, chosen in selected:
            if moving["update"] == "sgd":
                change = chosen.values * (factor * moving["lr"])
            elif moving["update"] == "adam":
                change = chosen.values * moving["lr"]
            else:
                rms = self.state[member.parameter]["row_rms"].unsqueeze(1)
                change = chosen.values.sign() * rms * moving["lr"]
            _subtract(member.parameter, chosen.places, change)
        clip_(self._always_on_parameters(), factor)
        in_own_order(self._always_on_parameters())
        self._plain.param_groups, self._plain.state = self.param_groups[1:], self.state
        self._plain.step()

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Read by ``GradScaler.step``: it then tells of itself (sets ``found_inf``) instead of unscaling on its own."""
        return self.in_backward


def _subtract(parameter: nn.Parameter, places: Tensor, change: Tensor) -> None:
    """Subtract ``change`` at ``places`` of the flattened parameter; every other bit stays."""
    flat = parameter.detach().reshape(-1)
    flat[places] = flat[places] - change
    if flat.data_ptr() != parameter.data_ptr():
        parameter.copy_(flat.view_as(parameter))
