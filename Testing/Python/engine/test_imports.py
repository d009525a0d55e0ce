"""What the engine imports costs no search for garbage, and a model that it opened is still freed."""

from __future__ import annotations

import gc
import sys
from types import ModuleType

import pytest

from DGSTSegmentLib.engine.imports import large_imports


def is_collected_some_time(thing):
    return any(one is thing for one in gc.get_objects())


def test_no_garbage_is_looked_for_while_something_is_imported_and_afterwards_it_is():
    with large_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), large_imports():
        raise ImportError("no torch here")
    assert gc.isenabled()


def test_what_was_imported_first_is_left_out_of_later_collections_and_an_opened_model_is_not(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with large_imports():
        library = {"a module's": []}
        monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    assert not is_collected_some_time(library)
    model = {"a model's": []}
    with large_imports():
        pass
    assert is_collected_some_time(model)
