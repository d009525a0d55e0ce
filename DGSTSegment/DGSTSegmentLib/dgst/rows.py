"""Rows: all weights that make one output channel (the paper's kernel C_k)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class RowLayout:
    """How a parameter of ``groups * inputs * outputs * size`` weights, stored in that order, falls into rows.

    A row is one (group, output); its weights are the (input, position) pairs. Convolutions, linear layers and tables
    store a row's weights side by side (``groups = inputs = 1``); transposed convolutions store inputs first.
    """

    groups: int
    inputs: int
    outputs: int
    size: int

    @classmethod
    def of(cls, module: nn.Module, parameter: Tensor) -> RowLayout:
        """The layout of ``parameter`` (two or more dimensions), which belongs to ``module``; the module's type decides.

        It may be what a parametrization (weight norm, say) computes the module's weight from. A table of another
        module is one of rows whatever it is broadcast along before them: positions of shape [1, 197, 768] are 197 rows.

        Raises:
            ValueError: the parameter has fewer than two dimensions, hence no rows.
        """
        if parameter.dim() < 2:
            raise ValueError(f"A parameter of shape {tuple(parameter.shape)} has no rows; it needs two dimensions.")
        if isinstance(module, _TRANSPOSED) and tuple(parameter.shape) == _weight_shape(module):
            inputs, outputs = parameter.shape[:2]
            return cls(module.groups, inputs // module.groups, outputs, prod(parameter.shape[2:]))
        first = 0 if isinstance(module, (_ConvNd, nn.Linear, nn.Bilinear)) else _first_axis_of_rows(parameter.shape)
        return cls(1, 1, parameter.shape[first], prod(parameter.shape[first + 1 :]))

    @property
    def rows(self) -> int:
        return self.groups * self.outputs

    @property
    def length(self) -> int:
        """Weights of one row."""
        return self.inputs * self.size

    @property
    def _side_by_side(self) -> bool:
        """Whether the weights of a row are stored one after the other."""
        return self.inputs == 1

    def to_rows(self, tensor: Tensor) -> Tensor:
        """``tensor`` (the parameter's shape) as [rows, length]; a view wherever the storage allows one."""
        if self._side_by_side:
            return tensor.reshape(self.rows, self.length)
        blocks = tensor.reshape(self.groups, self.inputs, self.outputs, self.size)
        return blocks.transpose(1, 2).reshape(self.rows, self.length)

    def from_rows(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """The inverse of ``to_rows``."""
        blocks = rows.reshape(self.groups, self.outputs, self.inputs, self.size)
        return blocks.transpose(1, 2).reshape(shape)

    def flat_indices(self, columns: Tensor) -> Tensor:
        """Places in the flattened parameter, [rows, n], of the entries ``columns`` [rows, n] of each row."""
        if self._side_by_side:
            first = torch.arange(0, self.rows * self.length, self.length, device=columns.device)
            return columns + first.unsqueeze(1)
        row = torch.arange(self.rows, device=columns.device).unsqueeze(1)
        group, output = row // self.outputs, row % self.outputs
        entry, position = columns // self.size, columns % self.size
        return ((group * self.inputs + entry) * self.outputs + output) * self.size + position


def _first_axis_of_rows(shape: torch.Size) -> int:
    """The first along which there is more than one, but for the last two."""
    return next((axis for axis, size in enumerate(shape[:-2]) if size > 1), len(shape) - 2)


def _weight_shape(module: nn.Module) -> tuple[int, ...]:
    """Of a transposed convolution; asking for a weight that is parametrized would compute it."""
    return module.in_channels, module.out_channels // module.groups, *module.kernel_size
