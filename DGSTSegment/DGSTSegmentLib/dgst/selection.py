"""Which entries of every row are chosen: the largest, exactly, or any at random."""

from __future__ import annotations

import torch
from torch import Tensor

_CHUNK = 64
_MOST_BY_MAXIMA = 8
"""Up to so many, one maximum after the other is faster than ``topk``."""


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
    chunks = _first_largest(_chunk_maxima(rows), gamma).sort(dim=1).values
    starts = (chunks * _CHUNK).clamp_(max=length - _CHUNK)
    places = _first_largest(_inside(rows, chunks, starts), gamma)
    return starts.gather(1, places // _CHUNK) + places % _CHUNK


def _chunk_maxima(rows: Tensor) -> Tensor:
    """The largest |entry| of each chunk, the last and shorter one included.

    By the largest and the least entry: writing |rows| down first would take several times as long as reading twice.
    """
    whole = rows.shape[1] // _CHUNK * _CHUNK
    maxima = _largest_absolute(rows[:, :whole].unflatten(1, (-1, _CHUNK)))
    if whole == rows.shape[1]:
        return maxima
    return torch.cat([maxima, _largest_absolute(rows[:, whole:].unsqueeze(1))], dim=1)


def _largest_absolute(chunks: Tensor) -> Tensor:
    """Over the last dimension; never a negative zero, whose bits would order it last."""
    return torch.maximum(chunks.amax(2), chunks.amin(2).neg_()).abs_()


def _inside(rows: Tensor, chunks: Tensor, starts: Tensor) -> Tensor:
    """|entries| of ``chunks`` [R, n], ascending, of each row, side by side: [R, n * _CHUNK].

    Every chunk is read whole. The last and shorter one begins before its first entry for that, at ``starts`` [R, n];
    what it so takes from the chunk before counts as -1.
    """
    count, length = rows.shape
    first = torch.arange(0, count * length, length, device=rows.device).unsqueeze(1)
    windows = rows.reshape(-1).unfold(0, _CHUNK, 1)
    entries = windows.index_select(0, (first + starts).flatten()).abs_().view(count, -1)
    if length % _CHUNK == 0:
        return entries
    too_early = torch.arange(_CHUNK, device=rows.device) < (chunks * _CHUNK - starts).unsqueeze(2)
    return entries.masked_fill_(too_early.flatten(1), -1)


def _first_largest(values: Tensor, gamma: int) -> Tensor:
    """Indices of the ``gamma`` largest of each row (non-negative, or -1 for none), the lower index first among equals.

    Neither ``topk`` nor a maximum says which of equals it takes. So they get keys that differ and name their column:
    the bits of a non-negative float, which order as its values do, followed by the column counted downwards.
    """
    if values.dtype == torch.float64:
        return values.sort(dim=1, descending=True, stable=True).indices[:, :gamma]
    keys = values.float().view(torch.int32).to(torch.int64).bitwise_left_shift_(32)
    keys -= torch.arange(values.shape[1], device=values.device)
    if gamma > _MOST_BY_MAXIMA:
        return keys.topk(gamma, dim=1).indices
    found = [_column_of(keys.amax(1, keepdim=True))]
    while len(found) < gamma:
        keys.scatter_(1, found[-1], torch.iinfo(torch.int64).min)
        found.append(_column_of(keys.amax(1, keepdim=True)))
    return torch.cat(found, dim=1)


def _column_of(key: Tensor) -> Tensor:
    return key.neg().bitwise_and_(0xFFFFFFFF)


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
