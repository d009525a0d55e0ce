"""A delta is exact, small where little changed, and refuses what it does not belong to."""

from __future__ import annotations

import copy
import json
import os
import weakref
from collections.abc import Mapping

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from DGSTSegmentLib.dgst import STRATEGIES, BaseMismatch, Delta, NotADelta, compute_delta, fingerprint, make_strategy

from ..conftest import files_of_at_most


def state_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same_bits(one: dict, other: dict) -> bool:
    return fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize("name", STRATEGIES)
def test_saved_loaded_and_applied_it_gives_the_trained_network(name, tiny, tmp_path):
    network = tiny.fresh()
    strategy = make_strategy(name, network, head=tiny.head, decoder=tiny.decoder)
    for batch in range(strategy.warm_up_batches + 2):
        tiny.loss(network, batch).backward()
        strategy.observe() if strategy.warm_up_batches else strategy.step()
    strategy.finish()
    path = tmp_path / "delta.safetensors"
    compute_delta(tiny.original.state_dict(), network.state_dict()).save(path, {"strategy": name})
    delta = Delta.load(path)
    assert delta.metadata == {"strategy": name}
    assert 0 < delta.fraction_changed <= 1

    other = copy.deepcopy(tiny.original)
    delta.apply_(other)
    assert same_bits(other.state_dict(), network.state_dict())
    delta.remove_(other, tiny.original.state_dict())
    assert same_bits(other.state_dict(), tiny.original.state_dict())


def test_few_changes_are_kept_as_places_and_many_as_the_whole_tensor():
    base = {"few": torch.zeros(100), "many": torch.zeros(4, 5), "none": torch.zeros(3)}
    new = {"few": base["few"].clone(), "many": torch.ones(4, 5), "none": base["none"]}
    new["few"][[7, 90]] = torch.tensor([1.5, -2.0])
    delta = compute_delta(base, new)
    assert set(delta.changes) == {"few", "many"}
    assert delta.changes["few"].indices.tolist() == [7, 90]
    assert delta.changes["few"].values.tolist() == [1.5, -2.0]
    assert delta.changes["many"].indices is None
    assert delta.fraction_changed == 22 / 123


def test_every_bit_counts():
    base = {"w": torch.zeros(32), "nan": torch.full((32,), float("nan")), "half": torch.zeros(32, dtype=torch.bfloat16)}
    new = {name: value.clone() for name, value in base.items()}
    new["w"][3] = -0.0
    new["half"][1] = 1e-30
    delta = compute_delta(base, new)
    assert {name: change.indices.tolist() for name, change in delta.changes.items()} == {"w": [3], "half": [1]}
    assert fingerprint(base) != fingerprint(new)


def test_a_tensor_with_several_names_is_kept_once_and_reaches_all_of_them(unet, tmp_path):
    network = unet.fresh()
    with torch.no_grad():
        network.encoder.stages[0][0].convs[0].conv.weight[0, 0, 0, 0, 0] += 1
    path = tmp_path / "delta.safetensors"
    # As read from a file, every name of the base has memory of its own.
    compute_delta(state_of(unet.original), network.state_dict()).save(path)
    with safe_open(path, "pt") as file:
        assert len(list(file.keys())) == 2
    delta = Delta.load(path)
    (change,) = delta.changes.values()
    assert set(change.names) > {
        "encoder.stages.0.0.convs.0.conv.weight",
        "decoder.encoder.stages.0.0.convs.0.conv.weight",
    }
    assert delta.total == sum(p.numel() for p in network.parameters())
    separate = {name: value.clone() for name, value in network.state_dict().items()}
    assert fingerprint(separate) == fingerprint(network.state_dict())


def test_names_that_share_memory_but_started_apart_keep_their_own_changes():
    base = {"a": torch.zeros(40), "b": torch.ones(40)}
    shared = torch.zeros(40)
    delta = compute_delta(base, {"a": shared, "b": shared})
    assert set(delta.changes) == {"b"}


def test_a_weight_stored_in_another_order_is_compared_and_written_by_place():
    plain = nn.Conv2d(3, 4, 3)
    permuted = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    assert fingerprint(plain.state_dict()) == fingerprint(permuted.state_dict())
    changed = copy.deepcopy(plain)
    with torch.no_grad():
        changed.weight[1, 2, 0, 1] = 5
    compute_delta(plain.state_dict(), changed.state_dict()).apply_(permuted)
    assert torch.equal(permuted.weight, changed.weight)
    assert not permuted.weight.is_contiguous()


def test_it_names_the_base_as_stored_beside_the_base_as_opened():
    stored = {"w": torch.randn(50).half()}
    opened = {"w": stored["w"].float()}
    new = {"w": opened["w"].clone()}
    new["w"][4] = 1 / 3
    delta = compute_delta(opened, new, base=fingerprint(stored))
    assert delta.base == fingerprint(stored) != fingerprint(opened) == delta.opened
    assert delta.changes["w"].values[0] == torch.tensor(1 / 3)


def test_another_base_is_refused_and_left_as_it_is():
    base, new, other = nn.Linear(6, 3), nn.Linear(6, 3), nn.Linear(6, 3)
    delta = compute_delta(base.state_dict(), new.state_dict())
    before = state_of(other)
    with pytest.raises(BaseMismatch, match="not the base of this delta"):
        delta.apply_(other)
    assert same_bits(before, other.state_dict())
    with pytest.raises(BaseMismatch, match="does not carry this delta"):
        delta.remove_(other, base.state_dict())
    with pytest.raises(BaseMismatch, match="state given is not the base"):
        delta.remove_(new, other.state_dict())
    delta.remove_(new, base.state_dict())
    assert same_bits(new.state_dict(), base.state_dict())


def test_states_that_do_not_compare_are_refused():
    base = {"w": torch.zeros(3)}
    with pytest.raises(ValueError, match="differ in names, first in 'v'"):
        compute_delta(base, {"w": torch.zeros(3), "v": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"w is torch.float32\[2\]"):
        compute_delta(base, {"w": torch.zeros(2)})
    with pytest.raises(ValueError, match="w is torch.float16"):
        compute_delta(base, {"w": torch.zeros(3).half()})


def test_a_base_that_is_not_a_copy_is_refused():
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    base = network.state_dict()
    nn.init.ones_(network[0].weight)
    with pytest.raises(ValueError, match="keep a copy of the base before training"):
        compute_delta(base, network.state_dict())
    base["0.weight"] = base["0.weight"].clone().zero_()
    assert set(compute_delta(base, network.state_dict()).changes) == {"0.weight"}


class WithMore(nn.Linear):
    def get_extra_state(self) -> dict:
        return {"calls": 3}

    def set_extra_state(self, state: dict) -> None:
        pass


def test_what_is_no_tensor_is_refused_by_name():
    network = WithMore(3, 2)
    with pytest.raises(ValueError, match="_extra_state is no tensor but dict"):
        compute_delta(copy.deepcopy(network.state_dict()), network.state_dict())
    with pytest.raises(ValueError, match="_extra_state is no tensor but dict"):
        fingerprint(network.state_dict())


def test_the_fingerprint_tells_name_dtype_shape_and_value_apart():
    states = [
        {"w": torch.zeros(4)},
        {"v": torch.zeros(4)},
        {"w": torch.zeros(4, dtype=torch.int32)},
        {"w": torch.zeros(2, 2)},
        {"w": torch.tensor([0, 0, 0, 1e-40])},
        {"w": torch.zeros(4), "empty": torch.zeros(0)},
    ]
    assert len({fingerprint(state) for state in states}) == len(states)
    two = {"a": torch.ones(2), "b": torch.zeros(())}
    assert fingerprint(two) == fingerprint(dict(reversed(two.items())))


class MadeWhenAskedFor(Mapping):
    """A state whose tensors nobody else holds, as one read from a file; memory given back is used again."""

    def __init__(self, state):
        self._state, self._memory = state, []

    def __getitem__(self, name):
        given_back = (memory for memory, lent in self._memory if lent() is None)
        memory = next(given_back, None)
        memory = torch.empty(100) if memory is None else memory
        tensor = memory.copy_(self._state[name])[:]
        self._memory = [pair for pair in self._memory if pair[0] is not memory] + [(memory, weakref.ref(tensor))]
        return tensor

    def __iter__(self):
        return iter(self._state)

    def __len__(self):
        return len(self._state)


def test_tensors_that_are_made_when_asked_for_are_told_apart():
    base = {f"w{n}": torch.zeros(100) for n in range(4)}
    new = {f"w{n}": torch.full((100,), float(n)) for n in range(4)}
    assert fingerprint(MadeWhenAskedFor(new)) == fingerprint(new)
    delta = compute_delta(MadeWhenAskedFor(base), MadeWhenAskedFor(new))
    assert {name: float(change.values[0]) for name, change in delta.changes.items()} == {"w1": 1, "w2": 2, "w3": 3}


def test_a_tensor_of_more_bits_than_any_integer_is_refused():
    with pytest.raises(ValueError, match="complex128 cannot be compared"):
        fingerprint({"w": torch.zeros(2, dtype=torch.complex128)})


def write_header(path, tensors, **header) -> None:
    described = {"base": "b", "opened": "o", "total": 9, "changes": {}, "metadata": {}, **header}
    save_file(tensors, path, {"format": "dgst-delta-1", "header": json.dumps(described)})


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "truncated", "other", "lost", "header", "kind", "pair"])
def test_a_file_that_is_no_intact_delta_is_refused_by_name(damage, tmp_path):
    path = tmp_path / "delta.safetensors"
    if damage == "empty":
        path.touch()
    elif damage == "text":
        path.write_text("These are the weights you are looking for.")
    elif damage == "truncated":
        compute_delta({"w": torch.zeros(50)}, {"w": torch.ones(50)}).save(path)
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "other":
        save_file({"w": torch.zeros(3)}, path)
    elif damage == "lost":
        write_header(path, {"values/v": torch.zeros(1)}, changes={"w": [1, ["w"]]})
    elif damage in ("kind", "pair"):
        write_header(path, {"values/w": torch.zeros(1)}, changes=["w"] if damage == "kind" else {"w": [1]})
    elif damage == "header":
        save_file({"w": torch.zeros(3)}, path, {"format": "dgst-delta-1", "header": "{"})
    with pytest.raises(NotADelta, match="delta.safetensors"):
        Delta.load(path)


@pytest.mark.parametrize(
    ("indices", "values"),
    [
        (torch.tensor([9], dtype=torch.int32), torch.ones(1)),
        (torch.tensor([-1], dtype=torch.int32), torch.ones(1)),
        (torch.tensor([1, 2], dtype=torch.int32), torch.ones(1)),
        (torch.tensor([1], dtype=torch.int32), torch.ones(1, dtype=torch.float64)),
        (None, torch.ones(4)),
    ],
)
def test_changes_that_do_not_fit_their_tensor_are_refused(indices, values, tmp_path):
    network = nn.Linear(3, 3, bias=False)
    before = state_of(network)
    path = tmp_path / "delta.safetensors"
    places = {} if indices is None else {"indices/weight": indices}
    changes = {"weight": [1, ["weight"]]}
    write_header(path, {"values/weight": values, **places}, opened=fingerprint(before), changes=changes)
    with pytest.raises(NotADelta, match="change of weight does not fit"):
        Delta.load(path).apply_(network)
    assert same_bits(before, network.state_dict())


def test_what_was_loaded_is_not_touched_by_what_becomes_of_its_file(tmp_path):
    path, changed = tmp_path / "delta.safetensors", nn.Linear(300, 9)
    base = copy.deepcopy(changed)
    nn.init.ones_(changed.weight)
    compute_delta(base.state_dict(), changed.state_dict()).save(path)
    delta = Delta.load(path)
    with open(path, "rb+") as file:
        file.write(bytes(path.stat().st_size))
    delta.apply_(base)
    assert same_bits(base.state_dict(), changed.state_dict())


def test_the_disk_has_the_whole_file_before_it_takes_its_place(tmp_path, monkeypatch):
    on_disk, renamed, sync, rename = {}, {}, os.fsync, os.replace

    def note_synced(descriptor: int) -> None:
        sync(descriptor)
        on_disk[os.fstat(descriptor).st_ino] = os.fstat(descriptor).st_size

    def note_renamed(source, target) -> None:
        renamed[os.path.basename(target)] = on_disk.get(os.stat(source).st_ino)
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_synced)
    monkeypatch.setattr(os, "replace", note_renamed)
    compute_delta({"w": torch.zeros(5)}, {"w": torch.ones(5)}).save(tmp_path / "delta.safetensors")
    assert renamed == {"delta.safetensors": (tmp_path / "delta.safetensors").stat().st_size}


def test_a_folder_in_place_of_the_file_in_it_is_named_as_one(tmp_path):
    with pytest.raises(NotADelta, match="is a folder; choose the delta.safetensors in it"):
        Delta.load(tmp_path)


@pytest.mark.parametrize("wrapped", ["made", "applied"])
def test_states_of_a_wrapped_network_are_told_by_a_name_that_is_missing(wrapped):
    base, new = nn.Sequential(nn.Linear(3, 2)), nn.Sequential(nn.Linear(3, 2))
    holders = [nn.ModuleDict({"module": network}) if wrapped == "made" else network for network in (base, new)]
    delta = compute_delta(*(state_of(holder) for holder in holders))
    with pytest.raises(BaseMismatch, match="has no .*0.(weight|bias): .* of the unwrapped network"):
        delta.apply_(nn.ModuleDict({"module": base}) if wrapped == "applied" else base)


def test_weights_on_the_meta_device_are_refused_by_name():
    empty, state = {"w": torch.empty(3, device="meta")}, {"w": torch.zeros(3)}
    for pair in ((empty, state), (state, empty)):
        with pytest.raises(ValueError, match="w is on the meta device and has no values"):
            compute_delta(*pair)


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "there" / "delta.safetensors"
    delta = compute_delta({"w": torch.zeros(5)}, {"w": torch.ones(5)})
    with pytest.raises(OSError, match="No such file"):
        delta.save(path)
    path.parent.mkdir()
    delta.save(path)
    assert [p.name for p in path.parent.iterdir()] == ["delta.safetensors"]
    before = path.read_bytes()
    larger = compute_delta({"w": torch.zeros(50_000)}, {"w": torch.ones(50_000)})
    with files_of_at_most(10_000), pytest.raises(OSError, match="large"):
        larger.save(path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["delta.safetensors"]
