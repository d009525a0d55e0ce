"""The nine strategies behind one interface: which weights may move at a step, and the step itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .checks import check_gradients, check_max_norm, check_parameters
from .freezing import Frozen
from .lora import attach_lora, detach_lora, merge_lora, merged_state
from .optimizer import DGST
from .partition import listed, members, names_below
from .registry import DEFAULT_RULE, RULES, STRATEGIES, StrategyInfo
from .selectors import FixedEntries, LargestGradients, RandomEntries, Selector
from .silent import SilentBiases
from .stepping import (
    StepReport,
    clip_,
    clip_factor,
    global_norm,
    in_own_order,
    norms_of,
    plain_optimizer,
)
from .strategy import Strategy, copy_of


class SparseStrategy(Strategy):
    """dgst and random: the same always-on set, rule and schedule; only the selection differs."""

    def __init__(self, info: StrategyInfo, network: nn.Module, settings: dict, selector: Selector, **options):
        super().__init__(info, network, settings)
        self.selector = selector
        self._take_optimizer(DGST(network, selector=selector, **options))

    def _unscale(self, scaler: torch.amp.GradScaler | None) -> None:
        if scaler is not None:
            self.optimizer.unscale_(scaler)

    def _advance(self) -> StepReport:
        self.optimizer.step()
        return self.optimizer.report

    @property
    def frozen(self) -> Frozen:
        return self.optimizer.frozen

    def finish(self) -> None:
        self.optimizer.detach()
        super().finish()

    def state(self) -> tuple[dict[str, Tensor], dict]:
        tensors, meta = super().state()
        return tensors, {**meta, "steps": self.optimizer.param_groups[0]["steps"]}

    def load_state(self, tensors: dict[str, Tensor], meta: dict) -> None:
        for member in self.optimizer.rows:
            for key in self.optimizer.state.get(member.parameter, {}):
                if f"{member.name}/{key}" not in tensors:
                    raise ValueError(f"The saved state lacks {member.name}/{key}: it is of another run, or incomplete.")
        super().load_state(tensors, meta)
        self.optimizer.param_groups[0]["steps"] = meta["steps"]


class StaticStrategy(SparseStrategy):
    """static: as dgst, but the entries are chosen once, from batches observed before the first step."""

    def __init__(self, *arguments, in_backward: bool = False, **options):
        if in_backward:
            raise ValueError("static sums whole gradients before it chooses, so it cannot free them during backward.")
        super().__init__(*arguments, **options)

    @property
    def warm_up_batches(self) -> int:
        return self.selector.batches_left

    @torch.no_grad()
    def observe(self, scaler: torch.amp.GradScaler | None = None) -> None:
        self._unscale(scaler)
        check_gradients([*self.optimizer.rows, *self.optimizer.always_on])
        with_gradient = [member for member in self.optimizer.rows if member.parameter.grad is not None]
        counting = [member.parameter for member in (*with_gradient, *self.optimizer.always_on)]
        if math.isfinite(global_norm(norms_of(counting))):
            rows = {m.name: m.layout.to_rows(m.parameter.grad) for m in with_gradient}
            self.selector.observe(rows, self.optimizer.param_groups[0]["gamma"])
        self._end_of_batch(scaler)

    def state(self) -> tuple[dict[str, Tensor], dict]:
        tensors, meta = super().state()
        return {**tensors, **{f"{name}/selected": copy_of(c) for name, c in self.selector.columns.items()}}, meta

    def load_state(self, tensors: dict[str, Tensor], meta: dict) -> None:
        selected = {path: value for path, value in tensors.items() if path.endswith("/selected")}
        columns = self._columns({path.rpartition("/")[0]: value for path, value in selected.items()})
        super().load_state({path: value for path, value in tensors.items() if path not in selected}, meta)
        if columns:
            self.selector.fix(columns)
        else:
            self.selector.begin()

    def _columns(self, selected: dict[str, Tensor]) -> dict[str, Tensor]:
        rows = {member.name: member for member in self.optimizer.rows}
        for name, columns in selected.items():
            if name not in rows or len(columns) != rows[name].layout.rows:
                raise ValueError(
                    f"The saved state has a choice for {name} that does not fit: it is of another network."
                )
        return {name: columns.to(rows[name].parameter.device) for name, columns in selected.items()}


class DenseStrategy(Strategy):
    """Whole parameters, by one of torch's own optimizers; everything else is frozen."""

    def __init__(self, info: StrategyInfo, network: nn.Module, settings: dict, moving, max_norm, **options):
        super().__init__(info, network, settings)
        check_max_norm(max_norm)
        self.max_norm = max_norm
        self._moving = [parameter for parameter in moving if parameter.requires_grad]
        moves = set(self._moving)
        self._members = [member for member in members(network) if member.parameter in moves]
        check_parameters(self._members)
        optimizer = plain_optimizer(parameters=self._moving, **options)
        self.frozen = Frozen()
        self.frozen.add(parameter for parameter in network.parameters() if parameter not in moves)
        self._silent = None if info.name in ("full", "lora") else SilentBiases(network)
        self._take_optimizer(optimizer)

    def _advance(self) -> StepReport:
        if self._silent is not None:
            self._silent.stop()
            self.frozen.add(self._silent.found())
        self.frozen.drop_gradients()
        check_gradients(self._members)
        norm = global_norm(norms_of(self._moving))
        report = StepReport(norm)
        if not report.skipped:
            clip_(self._moving, clip_factor(norm, self.max_norm))
            in_own_order(self._moving)
            self.optimizer.step()
        return report

    def finish(self) -> None:
        if self._silent is not None:
            self._silent.stop()
        super().finish()


class LowRankStrategy(DenseStrategy):
    """The factors of low-rank corrections; the corrected weights themselves stay, until the end."""

    def __init__(self, info: StrategyInfo, network: nn.Module, settings: dict, rank: int, seed: int, **options):
        factors = attach_lora(network, rank, seed)
        try:
            super().__init__(info, network, settings, factors, **options)
        except (TypeError, ValueError):
            detach_lora(network)
            raise

    def state(self) -> tuple[dict[str, Tensor], dict]:
        tensors, meta = super().state()
        factors = {f"{name}/factor": copy_of(parameter.detach()) for name, parameter in self._named_parameters()}
        return {**tensors, **factors}, meta

    def load_state(self, tensors: dict[str, Tensor], meta: dict) -> None:
        factors = {path: value for path, value in tensors.items() if path.endswith("/factor")}
        for name, parameter in self._named_parameters():
            if f"{name}/factor" not in factors or factors[f"{name}/factor"].shape != parameter.shape:
                raise ValueError(f"The saved state has no fitting {name}: it is of another run, or incomplete.")
        super().load_state({path: value for path, value in tensors.items() if path not in factors}, meta)
        with torch.no_grad():
            for name, parameter in self._named_parameters():
                parameter.copy_(factors[f"{name}/factor"])

    def plain_state(self) -> dict[str, Tensor]:
        return merged_state(self.network)

    def finish(self) -> None:
        merge_lora(self.network)
        super().finish()


def make_strategy(
    name: str,
    network: nn.Module,
    *,
    head: Sequence[str],
    decoder: Sequence[str] = (),
    always_on: Sequence[str] | None = None,
    among: Sequence[str] | None = None,
    lr: float | None = None,
    gamma: int | None = None,
    update: str = DEFAULT_RULE,
    always_on_rule: str | None = None,
    always_on_lr: float | None = None,
    optimizer: str = "adamw",
    momentum: float = 0.99,
    weight_decay: float = 3e-5,
    max_norm: float | None = 12.0,
    rank: int = 8,
    seed: int = 0,
    in_backward: bool = False,
) -> Strategy:
    """The strategy called ``name``, ready to train ``network`` in place.

    Args:
        name: a key of ``STRATEGIES``.
        network: pretrained, on the device where it will train, and not yet moved: what ``rms`` calls the foundation
            is what it is now, unless a loaded state knows better.
        head: names of the modules that make the output.
        decoder: names of the modules between encoder and output; what the network also holds outside them is left
            out, as nnU-Net's encoder under ``decoder.encoder``.
        always_on: in place of norms, biases and head, for dgst, random and static.
        among: names of the modules whose rows dgst, random and static select from; None for all.
        lr: None takes the registry's.
        gamma: weights of a row that may move at a step (dgst, random, static); None takes the rule's own.
        update: rule for those weights, of ``RULES``; see ``DGST``.
        always_on_rule: rule for what is always on beside them; see ``DGST``.
        always_on_lr: its learning rate; see ``DGST``.
        optimizer: ``adamw`` or ``sgd`` (Nesterov), for all other strategies.
        momentum: of ``sgd``, wherever it is used with momentum.
        weight_decay: never for the selected weights of dgst, random and static.
        max_norm: global norm to clip gradients to; None for no clipping.
        rank: of lora.
        seed: random's draws and lora's start derive from it.
        in_backward: free dense gradients during backward (dgst and random); see ``DGST``.

    Raises:
        ValueError: an argument is out of range, the strategy has nothing to move in this network, or what it would
            move is of fp16, complex, sharded or scripted. The network is left as it was.
        UnknownModule: the network has no such head or decoder.
    """
    if name not in STRATEGIES:
        raise ValueError(f"There is no strategy {name!r}; there are {', '.join(STRATEGIES)}.")
    info = STRATEGIES[name]
    rule = update if info.uses_gamma else optimizer
    lr = info.lrs.get(rule) if lr is None else lr
    if gamma is None and rule in RULES:
        gamma = RULES[rule].gamma
    options = {"rule": rule, "lr": lr, "momentum": momentum, "weight_decay": weight_decay, "max_norm": max_norm}
    head, decoder = listed(head), listed(decoder)
    always_on, among = (None if names is None else listed(names) for names in (always_on, among))
    settings = {**options, "modules": {"head": head, "decoder": decoder, "always_on": always_on}}
    if info.uses_gamma:
        sparse = {"gamma": gamma, "seed": seed, "always_on_rule": always_on_rule, "always_on_lr": always_on_lr}
        if among is not None:
            sparse["among"] = among
        kind, selector = {
            "dgst": (SparseStrategy, LargestGradients()),
            "random": (SparseStrategy, RandomEntries(seed)),
            "static": (StaticStrategy, FixedEntries()),
        }[name]
        return kind(
            info,
            network,
            {**settings, **sparse},
            selector=selector,
            lr=lr,
            gamma=gamma,
            update=update,
            head=head,
            always_on=always_on,
            among=among,
            always_on_rule=always_on_rule,
            always_on_lr=always_on_lr,
            momentum=momentum,
            weight_decay=weight_decay,
            max_norm=max_norm,
            in_backward=in_backward,
        )
    if name == "lora":
        return LowRankStrategy(info, network, {**settings, "rank": rank, "seed": seed}, rank, seed, **options)
    moving = _moving_parameters(name, network, head, decoder)
    return DenseStrategy(info, network, settings, moving, **options)


def _moving_parameters(
    name: str, network: nn.Module, head: Sequence[str], decoder: Sequence[str]
) -> list[nn.Parameter]:
    in_head = names_below(network, head)
    in_decoder = names_below(network, decoder, only_there=True)
    moves = {
        "full": lambda member: True,
        "bias": lambda member: member.is_bias or member.name in in_head,
        "norm": lambda member: member.of_norm or member.name in in_head,
        "head": lambda member: member.name in in_head,
        "decoder": lambda member: member.name in in_decoder or member.name in in_head,
    }[name]
    return [member.parameter for member in members(network) if moves(member)]
