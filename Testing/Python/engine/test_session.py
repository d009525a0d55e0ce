from __future__ import annotations

import errno
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from DGSTSegmentLib.engine.session import Session, remove_leftovers
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume

OBLIQUE = np.array([[0.8, 0.6, 0, 5], [-0.6, 0.8, 0, -7], [0, 0, -3, 11], [0, 0, 0, 1.0]])

BEGIN_A_SESSION = """
import sys, time
from DGSTSegmentLib.engine.session import Session
session = Session(sys.argv[1])
print(session.folder, flush=True)
time.sleep(60)
"""


@pytest.fixture
def volume():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 1000
    return Volume(array, Geometry(array.shape, OBLIQUE))


def make_old(folder):
    before = time.time() - 3600
    os.utime(folder, (before, before))


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "float64", "bool"])
def test_a_volume_comes_back_as_it_was_put(tmp_path, volume, dtype):
    sent = volume.with_array(np.asfortranarray(volume.array.astype(dtype)))
    with Session(tmp_path) as session:
        got = session.take(session.put(sent))
    assert got.array.dtype == sent.array.dtype
    np.testing.assert_array_equal(got.array, sent.array)
    np.testing.assert_array_equal(got.geometry.ijk_to_world, OBLIQUE)


def test_a_taken_volume_leaves_no_file(tmp_path, volume):
    with Session(tmp_path) as session:
        before = set(session.folder.iterdir())
        session.take(session.put(volume))
        assert set(session.folder.iterdir()) == before


def test_the_folder_is_private_and_ends_with_the_session(tmp_path, volume):
    with Session(tmp_path) as session:
        session.put(volume)
        if os.name != "nt":  # where the folder for temporary files is the user's own
            assert session.folder.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_a_volume_that_is_gone_or_damaged_is_bad_input(tmp_path, volume):
    with Session(tmp_path) as session:
        reference = session.put(volume)
        with open(reference["array"], "r+b") as file:
            file.truncate(100)
        with pytest.raises(InputError, match="cannot be read"):
            session.take(reference)
        os.unlink(reference["array"])
        with pytest.raises(InputError, match="cannot be read"):
            session.take(reference)


def test_a_pickle_in_place_of_an_array_is_refused(tmp_path, volume):
    with Session(tmp_path) as session:
        reference = session.put(volume)
        np.save(reference["array"], np.array([print], dtype=object), allow_pickle=True)
        with pytest.raises(InputError):
            session.take(reference)


def test_a_folder_that_takes_no_files_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="temporary"):
        Session(tmp_path / "missing")


def test_the_next_session_removes_what_a_killed_one_left_but_not_a_living_ones(tmp_path):
    command = [sys.executable, "-c", BEGIN_A_SESSION, str(tmp_path)]
    killed, living = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        left, kept = killed.stdout.readline().strip(), living.stdout.readline().strip()
        make_old(left)
        make_old(kept)
        killed.kill()
        killed.wait()
        with Session(tmp_path) as session:
            assert {str(path) for path in tmp_path.iterdir()} == {kept, str(session.folder)}
    finally:
        for process in (killed, living):
            process.kill()
            process.wait()
            process.stdout.close()


def test_a_folder_made_a_moment_ago_is_left_alone(tmp_path):
    (tmp_path / "dgst-session-new").mkdir()
    (tmp_path / "dgst-session-old").mkdir()
    make_old(tmp_path / "dgst-session-old")
    (tmp_path / "something-else").mkdir()
    make_old(tmp_path / "something-else")
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"dgst-session-new", "something-else"}


def test_where_no_drive_tells_of_locks_nothing_is_taken_for_left_over(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="Windows' locks are always there")

    def unknown(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with Session(tmp_path) as living:
        make_old(living.folder)
        assert remove_leftovers(tmp_path) == [] and living.folder.exists()
