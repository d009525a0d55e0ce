"""Which entries of every row are chosen: the largest, exactly, or any at random."""

from __future__ import annotations

import torch
from torch import Tensor

_CHUNK = 64


def top_entries(rows: Tensor, gamma: int) -> Tensor:
    """The ``gamma`` entries of largest absolute value in every row.

    Equal values are common (gradients computed in bf16 have 8 significant bits), so the order is total: of equal
    values the one with the lower index comes first. The answer is therefore the same on every device and by either
    path. The fast path looks first for the chunks of neighbouring entries with the largest maxima, then only into
    the best ``gamma`` of them; no entry outside can be among the largest, because each of those chunks holds one
    that precedes it.

    Args:
        rows: [R, K], finite.
        gamma: how many, at least 1.

    Returns:
        Column indices [R, min(gamma, K)], int64, largest first.

    Raises:
        ValueError: ``gamma`` is less than 1 or ``rows`` is not a matrix.
    """
    if gamma < 1:
        raise ValueError(f"gamma must be at least 1, not {gamma}.")
    if rows.dim() != 2:
        raise ValueError(f"Rows must be a matrix [R, K], not of shape {tuple(rows.shape)}.")
    count, length = rows.shape
    if gamma >= length:
        gamma = length
    if length < 2 * gamma * _CHUNK:
        return _first_largest(rows.abs(), gamma)
    whole = length // _CHUNK * _CHUNK
    maxima = _chunk_maxima(rows, whole)
    chunks = _first_largest(maxima, gamma).sort(dim=1).values
    columns = chunks.unsqueeze(2) * _CHUNK + torch.arange(_CHUNK, device=rows.device)
    columns = columns.reshape(count, gamma * _CHUNK)
    inside = columns < length
    values = rows.gather(1, columns.clamp(max=length - 1)).abs().masked_fill_(~inside, -1)
    return columns.gather(1, _first_largest(values, gamma))


def _chunk_maxima(rows: Tensor, whole: int) -> Tensor:
    count, length = rows.shape
    maxima = rows[:, :whole].reshape(count, -1, _CHUNK).abs().amax(2)
    if whole == length:
        return maxima
    return torch.cat([maxima, rows[:, whole:].abs().amax(1, keepdim=True)], dim=1)


def _first_largest(values: Tensor, gamma: int) -> Tensor:
    """Indices of the ``gamma`` largest of each row (non-negative, or -1 for none), the lower index first among equals.

    ``topk`` leaves the order of equals open. So it gets keys that differ: the bits of a non-negative float, which
    order as its values do, followed by the column counted from the end.
    """
    if values.dtype == torch.float64:
        return values.sort(dim=1, descending=True, stable=True).indices[:, :gamma]
    keys = values.float().view(torch.int32).to(torch.int64) << 32
    keys += torch.arange(values.shape[1] - 1, -1, -1, device=values.device)
    return keys.topk(gamma, dim=1).indices


def random_entries(count: int, length: int, gamma: int, generator: torch.Generator) -> Tensor:
    """``gamma`` different entries of each of ``count`` rows of ``length``, every subset equally likely.

    Floyd's sampling for all rows at once: memory and time do not depend on ``length``.

    Returns:
        Column indices [count, min(gamma, length)], int64, on the generator's device.
    """
    gamma = min(gamma, length)
    chosen = torch.empty(count, gamma, dtype=torch.int64, device=generator.device)
    for n, last in enumerate(range(length - gamma, length)):
        drawn = torch.randint(last + 1, (count, 1), generator=generator, device=generator.device)
        taken = (chosen[:, :n] == drawn).any(dim=1, keepdim=True)
        chosen[:, n : n + 1] = torch.where(taken, last, drawn)
    return chosen
