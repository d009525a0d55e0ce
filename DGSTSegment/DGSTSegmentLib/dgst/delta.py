"""What fine-tuning changed: new values at their places, on a named base."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .identity import bits, check_values, fingerprint, storage_key

FORMAT = "dgst-delta-1"


class BaseMismatch(ValueError):
    """A delta was brought together with weights it was not made on."""


class NotADelta(ValueError):
    """A file is no delta, or a damaged one."""


@dataclass(frozen=True)
class Change:
    """New values of one tensor.

    Args:
        indices: places in the flattened tensor, ascending, int32 or int64; None when ``values`` is the whole tensor.
        values: [n] at those places, or the whole tensor in its shape; exact, in the tensor's dtype.
        count: how many elements differ from the base.
        names: all names of the tensor in the state dict; more than one where the network holds it several times.
    """

    indices: Tensor | None
    values: Tensor
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Delta:
    """The difference of a fine-tuned network from its base; made by ``compute_delta``.

    Args:
        base: fingerprint by which the base is known: of its stored bytes.
        opened: fingerprint of the base's state as it was when training began (fp32, once opened).
        changes: by the tensor's first name.
        total: elements of the base's state, each tensor counted once.
        metadata: what the file says beside, plain JSON data.
    """

    base: str
    opened: str
    changes: dict[str, Change]
    total: int
    metadata: dict = field(default_factory=dict)

    @property
    def fraction_changed(self) -> float:
        """Changed elements by all elements."""
        return sum(change.count for change in self.changes.values()) / max(self.total, 1)

    def save(self, path: str | os.PathLike, metadata: dict | None = None) -> None:
        """Write a safetensors file; it takes the place of ``path`` only once it is whole.

        Args:
            metadata: plain JSON data to keep with it, in place of what the delta carries.

        Raises:
            OSError: the system refused the write; ``path`` is as it was.
        """
        tensors = {f"values/{name}": change.values.contiguous() for name, change in self.changes.items()}
        places = {f"indices/{n}": change.indices for n, change in self.changes.items() if change.indices is not None}
        header = {
            "base": self.base,
            "opened": self.opened,
            "total": self.total,
            "changes": {name: [change.count, change.names] for name, change in self.changes.items()},
            "metadata": self.metadata if metadata is None else metadata,
        }
        content = save({**tensors, **places}, {"format": FORMAT, "header": json.dumps(header)})
        partial = Path(path).with_name(f".partial-{Path(path).name}")
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Delta:
        """Read what ``save`` wrote; what becomes of the file afterwards does not matter.

        Raises:
            NotADelta: the file is missing, of another kind, or damaged.
        """
        if Path(path).is_dir():
            raise NotADelta(f"{path} is a folder; choose the delta.safetensors in it.")
        try:
            with safe_open(Path(path), framework="pt") as file:
                described = file.metadata() or {}
                # The tensors that it gives are the file itself, mapped: they would change and end with it.
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            if described.get("format") == FORMAT:
                return cls._read(json.loads(described["header"]), tensors)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotADelta(f"{path} cannot be read as a delta ({error}); take an intact copy of it.") from error
        raise NotADelta(f"{path} holds tensors but no delta of format {FORMAT}; choose a delta.safetensors.")

    @classmethod
    def _read(cls, header: dict, tensors: Mapping[str, Tensor]) -> Delta:
        changes = {
            name: Change(tensors.get(f"indices/{name}"), tensors[f"values/{name}"], count, tuple(names))
            for name, (count, names) in header["changes"].items()
        }
        return cls(header["base"], header["opened"], changes, header["total"], header["metadata"])

    def apply_(self, network: nn.Module) -> None:
        """Bring ``network``, which has the base's weights, to the fine-tuned ones, in place and exactly.

        Raises:
            BaseMismatch: the network has other weights than the base; it is left as it is.
            NotADelta: a change does not fit its tensor; the network is left as it is.
        """
        state = network.state_dict()
        self._check_base(state, "The network")
        self._check_fits(state)
        for change, tensor in self._targets(state):
            _write(tensor, change, change.values)

    def remove_(self, network: nn.Module, base_state: Mapping[str, Tensor]) -> None:
        """Take the delta out of ``network`` again, in place: it then has exactly the base's weights.

        Raises:
            BaseMismatch: ``base_state`` is another base, or the network does not carry this delta.
        """
        state = network.state_dict()
        self._check_base(base_state, "The state given")
        if state.keys() != base_state.keys() or not all(_carries(t, change) for change, t in self._targets(state)):
            raise BaseMismatch("The network does not carry this delta; apply it to its base first.")
        for change, tensor in self._targets(state):
            original = base_state[change.names[0]].to(tensor.device)
            _write(tensor, change, original if change.indices is None else original.reshape(-1)[change.indices.long()])

    def _check_base(self, state: Mapping[str, Tensor], whose: str) -> None:
        found = fingerprint(state)
        if found != self.opened:
            names = (name for change in self.changes.values() for name in change.names)
            lacking = next((name for name in names if name not in state), None)
            raise BaseMismatch(
                f"{whose} is not the base of this delta: its fingerprint is {found[:12]}, the base's is "
                f"{self.opened[:12]} (stored as {self.base[:12]}); open the base it names."
                + f" (It has no {lacking}: were the delta's states and this one taken of the unwrapped network?)"
                * (lacking is not None)
            )

    def _check_fits(self, state: Mapping[str, Tensor]) -> None:
        for change, tensor in self._targets(state):
            if not _fits(change, tensor):
                raise NotADelta(f"The delta's change of {change.names[0]} does not fit it; take an intact copy.")

    def _targets(self, state: Mapping[str, Tensor]) -> Iterator[tuple[Change, Tensor]]:
        for change in self.changes.values():
            for name in change.names:
                if name not in state:
                    raise NotADelta(f"The delta changes {name}, which its base does not have; take an intact copy.")
                yield change, state[name]


def compute_delta(base_state: Mapping[str, Tensor], new_state: Mapping[str, Tensor], base: str | None = None) -> Delta:
    """Every element of ``new_state`` that differs in any bit from ``base_state``.

    Args:
        base_state: a copy of the base's state dict as training began with it; ``state_dict()`` itself changes along.
        new_state: the state dict with the same names, shapes and dtypes; adapters merged. Names that share memory in
            it (nnU-Net's doubled modules, tied weights) are kept once.
        base: fingerprint of the base as stored, when it was converted on opening; that of ``base_state`` when None.

    Raises:
        ValueError: the states differ in names, shapes or dtypes, are the very same memory, or hold what is no tensor
            or has no values.
    """
    base_state, new_state = dict(base_state), dict(new_state)  # holds tensors that are made when asked for
    _check_alike(base_state, new_state)
    opened = fingerprint(base_state)
    changes, total = {}, 0
    for names in _groups(base_state, new_state):
        total += new_state[names[0]].numel()
        change = _change(base_state[names[0]], new_state[names[0]], names)
        if change is not None:
            changes[names[0]] = change
    return Delta(base or opened, opened, changes, total)


def _check_alike(base_state: Mapping[str, Tensor], new_state: Mapping[str, Tensor]) -> None:
    odd = sorted(base_state.keys() ^ new_state.keys())
    if odd:
        raise ValueError(
            f"Base and new state differ in names, first in {odd[0]!r}: merge adapters, and take the states of the "
            "unwrapped network."
        )
    for name, old in base_state.items():
        new = new_state[name]
        check_values(name, old)
        check_values(name, new)
        if old.shape != new.shape or old.dtype != new.dtype:
            raise ValueError(f"{name} is {new.dtype}{list(new.shape)}, in the base {old.dtype}{list(old.shape)}.")
    weights = [name for name, new in new_state.items() if new.is_floating_point() and new.numel()]
    if weights and all(storage_key(base_state[name]) == storage_key(new_state[name]) for name in weights):
        raise ValueError(
            "Base and new state are the same memory, since a state dict changes along with its network: keep a copy of "
            "the base before training, {name: value.clone() for name, value in network.state_dict().items()}."
        )


def _groups(base_state: Mapping[str, Tensor], new_state: Mapping[str, Tensor]) -> list[tuple[str, ...]]:
    """Names by tensor: those that share memory in the new state and started from the same values."""
    groups: dict[tuple, list[list[str]]] = {}
    for name, tensor in new_state.items():
        alike = groups.setdefault(storage_key(tensor) if tensor.numel() else (name,), [])
        for group in alike:
            if torch.equal(bits(base_state[group[0]]), bits(base_state[name])):
                group.append(name)
                break
        else:
            alike.append([name])
    return [tuple(group) for alike in groups.values() for group in alike]


def _change(old: Tensor, new: Tensor, names: tuple[str, ...]) -> Change | None:
    old, new = old.detach().cpu(), new.detach().cpu()
    differs = bits(old) != bits(new)
    count = int(differs.count_nonzero())
    if count == 0:
        return None
    index_dtype = torch.int32 if new.numel() < 2**31 else torch.int64
    sparse_bytes = count * (index_dtype.itemsize + new.element_size())
    if sparse_bytes >= new.numel() * new.element_size():
        return Change(None, new.clone(memory_format=torch.contiguous_format), count, names)
    places = differs.nonzero().reshape(-1)
    return Change(places.to(index_dtype), new.reshape(-1)[places], count, names)


def _fits(change: Change, tensor: Tensor) -> bool:
    if change.values.dtype != tensor.dtype:
        return False
    if change.indices is None:
        return change.values.shape == tensor.shape
    if change.indices.dim() != 1 or change.indices.shape != change.values.shape or not change.indices.numel():
        return False
    first, last = change.indices.aminmax()
    return int(first) >= 0 and int(last) < tensor.numel()


@torch.no_grad()
def _write(tensor: Tensor, change: Change, values: Tensor) -> None:
    values = values.to(tensor.device)
    if change.indices is None:
        tensor.copy_(values)
        return
    flat = tensor.reshape(-1)
    flat[change.indices.long().to(tensor.device)] = values
    if flat.data_ptr() != tensor.data_ptr():
        tensor.copy_(flat.view_as(tensor))


def _carries(tensor: Tensor, change: Change) -> bool:
    if not _fits(change, tensor):
        return False
    now = tensor.detach().cpu()
    if change.indices is not None:
        now = now.reshape(-1)[change.indices.long()]
    return torch.equal(bits(now), bits(change.values))
