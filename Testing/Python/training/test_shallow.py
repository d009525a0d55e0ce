"""Gradients of shallow features in bf16 on a CPU: those of fp32 but for rounding, whatever lies in memory."""

from __future__ import annotations

import pytest
import torch

from DGSTSegmentLib.training.devices import autocast

CPU = torch.device("cpu")


def kernels_gradient(features, kernels, back, precision):
    for _ in range(3):  # leaves huge numbers where the next tensors of this size may lie
        torch.full((kernels.numel(),), 1e30)
    moving = kernels.clone().requires_grad_()
    with autocast(CPU, precision):
        out = torch.nn.functional.conv3d(features.clone().requires_grad_(), moving, padding=kernels.shape[-1] // 2)
    out.backward(back.to(out.dtype))
    return moving.grad, out


@pytest.mark.parametrize(("depth", "kernel"), [(1, 3), (2, 3), (3, 3), (6, 3), (2, 5), (3, 5), (4, 5)])
def test_kernels_get_their_gradient_however_shallow_the_features_are(depth, kernel):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 16, depth, 4, 4, generator=generator)
    kernels = torch.randn(16, 16, kernel, kernel, kernel, generator=generator) / 20
    back = torch.randn(2, 16, depth, 4, 4, generator=generator)
    right, _ = kernels_gradient(features, kernels, back, "fp32")
    for _ in range(5):
        half, out = kernels_gradient(features, kernels, back, "bf16")
        assert out.dtype == (torch.float32 if depth < kernel else torch.bfloat16)
        assert (half - right).norm() < 0.02 * right.norm()


def test_nothing_else_leaves_bf16():
    layer = torch.nn.Conv3d(2, 2, 3, padding=1)
    with autocast(CPU, "bf16"):
        assert layer(torch.zeros(1, 2, 2, 8, 8)).dtype == torch.float32
        assert layer(torch.zeros(1, 2, 3, 2, 2)).dtype == torch.bfloat16
        assert torch.nn.functional.linear(torch.zeros(2, 2), torch.zeros(2, 2)).dtype == torch.bfloat16
    assert layer(torch.zeros(1, 2, 3, 2, 2)).dtype == torch.float32
