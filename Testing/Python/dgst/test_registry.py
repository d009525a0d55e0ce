"""The names that faces list, and the package's public names."""

from __future__ import annotations

import inspect

import pytest

from DGSTSegmentLib import dgst


def test_the_strategies_stand_in_their_order():
    assert list(dgst.STRATEGIES) == ["dgst", "random", "static", "full", "bias", "norm", "head", "decoder", "lora"]


@pytest.mark.parametrize("info", dgst.STRATEGIES.values(), ids=lambda info: info.name)
def test_each_says_in_one_line_what_may_move(info):
    assert info.title and info.description.endswith(".") and "\n" not in info.description
    assert set(info.lrs) == (set(dgst.RULES) if info.uses_gamma else {"adamw", "sgd"})
    assert all(lr > 0 for lr in info.lrs.values()) and info.default_lr in info.lrs.values()


@pytest.mark.parametrize("name", dgst.__all__)
def test_every_public_name_is_a_thing_and_never_the_module_it_lives_in(name):
    for _ in range(2):
        assert not inspect.ismodule(getattr(dgst, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Adam'"):
        dgst.Adam  # noqa: B018
