from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
import torch

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.checkpoint import read_checkpoint


class CallsAFunction:
    """Unpickled in the ordinary way, this makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class OfAnotherProgram:
    pass


def test_tensors_plain_values_and_nnunets_numpy_numbers_are_read(tmp_path):
    content = {
        "network_weights": {"a": torch.arange(3.0)},
        "logging": [np.float32(1.5), np.float64(2.5), np.int64(3), np.bool_(True), np.array([1.0, 2.0])],
        "init_args": {"device": torch.device("cpu"), "plans": {"dataset_name": np.str_("Dataset1_A")}},
    }
    torch.save(content, tmp_path / "c.pth")
    read = read_checkpoint(tmp_path / "c.pth")
    assert torch.equal(read["network_weights"]["a"], torch.arange(3.0))
    assert read["logging"][:4] == [1.5, 2.5, 3, True]
    assert read["init_args"]["plans"]["dataset_name"] == "Dataset1_A"


def test_other_numbers_and_paths_among_a_trainers_arguments_are_read(tmp_path):
    numbers = [np.float16(0.5), np.uint8(3), np.int16(-2), np.longdouble(1), np.complex64(1j), np.bytes_(b"x")]
    torch.save({"log": numbers, "arrays": [np.zeros(2, np.uint16)]}, tmp_path / "c.pth")
    assert read_checkpoint(tmp_path / "c.pth")["log"] == numbers
    for module in (b"pathlib", b"pathlib._local"):  # as Python before and from 3.13 on has it
        torch.save({"output": Path("runs/fold_0"), "windows": PureWindowsPath("D:/runs")}, tmp_path / "c.pth")
        rename(tmp_path / "c.pth", b"c%s\n" % Path.__module__.encode(), b"c%s\n" % module)
        read = read_checkpoint(tmp_path / "c.pth")
        assert (read["output"].as_posix(), read["windows"]) == ("runs/fold_0", PureWindowsPath("D:/runs"))


def test_what_no_number_holds_is_named_in_the_refusal(tmp_path):
    torch.save({"log": np.array([None])}, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"refused \(it holds a numpy\.\w+\.ObjectDType\)|would call numpy"):
        read_checkpoint(tmp_path / "c.pth")


def rename(path, old: bytes, new: bytes) -> None:
    """Other names in the pickle of a checkpoint."""
    with zipfile.ZipFile(path) as file:
        members = {member.filename: file.read(member) for member in file.infolist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content.replace(old, new))


def test_numbers_pickled_by_numpy_1_are_read(tmp_path):
    torch.save({"best": np.float64(0.5)}, tmp_path / "old.pth")
    rename(tmp_path / "old.pth", b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert read_checkpoint(tmp_path / "old.pth")["best"] == 0.5


@pytest.mark.parametrize("save", [torch.save, lambda c, path: path.write_bytes(pickle.dumps(c, protocol=2))])
def test_a_checkpoint_that_calls_a_function_is_refused_by_its_name_and_the_function_is_not_called(tmp_path, save):
    mark = tmp_path / "was_called"
    save({"network_weights": {}, "extra": CallsAFunction(mark)}, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"refused \(reading it would call \w+\.mkdir\)"):
        read_checkpoint(tmp_path / "c.pth")
    assert not mark.exists()
    pickle.loads(pickle.dumps(CallsAFunction(mark)))  # noqa: S301
    assert mark.exists(), "the trap itself must work"


def test_an_object_of_another_program_is_refused_by_its_name(tmp_path):
    torch.save({"trainer": OfAnotherProgram()}, tmp_path / "c.pth")
    with pytest.raises(InputError, match="OfAnotherProgram"):
        read_checkpoint(tmp_path / "c.pth")


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.95])
def test_a_truncated_checkpoint_is_said_to_be_truncated(tmp_path, kept):
    path = tmp_path / "c.pth"
    torch.save({"network_weights": {"a": torch.rand(5000)}}, path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(InputError, match="damaged or truncated"):
        read_checkpoint(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_wrong_bytes_anywhere_in_its_pickle_are_refused_or_harmless(tmp_path):
    content = {"network_weights": {"a": torch.rand(2)}, "log": [np.float32(1), np.arange(3)], "note": "text"}
    torch.save(content, tmp_path / "whole.pth")
    with zipfile.ZipFile(tmp_path / "whole.pth") as whole:
        members = {member.filename: whole.read(member) for member in whole.infolist()}
    name = next(name for name in members if name.endswith("data.pkl"))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        wrong = bytearray(members[name])
        wrong[rng.integers(len(wrong))] = rng.integers(256)
        with zipfile.ZipFile(tmp_path / "c.pth", "w") as file:
            for member, good in members.items():
                file.writestr(member, bytes(wrong) if member == name else good)
        try:
            read_checkpoint(tmp_path / "c.pth")
        except InputError:
            refused += 1
    assert refused > 30


def test_a_missing_file_and_one_of_another_kind_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_checkpoint(tmp_path / "c.pth")
    (tmp_path / "c.pth").write_text("no checkpoint at all")
    with pytest.raises(InputError, match=r"c\.pth"):
        read_checkpoint(tmp_path / "c.pth")
    torch.save([torch.rand(2)], tmp_path / "c.pth")
    with pytest.raises(InputError, match="no dictionary"):
        read_checkpoint(tmp_path / "c.pth")
