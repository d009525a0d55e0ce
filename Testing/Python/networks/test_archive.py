from __future__ import annotations

import os
import stat
import zipfile

import pytest

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.archive import unpacked


def zip_of(path, members: dict[str, bytes]):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_only_what_a_model_needs_is_unpacked(tmp_path):
    archive = zip_of(
        tmp_path / "m.zip", {"a/plans.json": b"{}", "a/fold_0/c.pth": b"x", "a/validation/p.nii.gz": b"big"}
    )
    folder = unpacked(archive)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"a/plans.json", "a/fold_0/c.pth"}


def test_what_macos_puts_beside_every_file_is_left_out(tmp_path):
    members = {"m/card.json": b"{}", "__MACOSX/m/._card.json": b"x", "m/._weights.safetensors": b"x"}
    folder = unpacked(zip_of(tmp_path / "m.zip", members))
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*.*")] == ["m/card.json"]


def test_a_damaged_stream_and_a_password_are_said(tmp_path):
    archive = tmp_path / "m.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("card.json", os.urandom(3000) + b"{}" * 3000)
    content = bytearray(archive.read_bytes())
    content[45:75] = b"\xff" * 30
    archive.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        unpacked(archive)
    content = bytearray(zip_of(tmp_path / "locked.zip", {"card.json": b"{}"}).read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    with pytest.raises(InputError, match="password"):
        unpacked(tmp_path / "locked.zip")


def test_the_same_zip_is_unpacked_once_and_a_changed_one_anew(tmp_path):
    archive = zip_of(tmp_path / "m.zip", {"card.json": b"{}"})
    first = unpacked(archive)
    stamp = (first / "card.json").stat().st_mtime_ns
    assert unpacked(archive) == first and (first / "card.json").stat().st_mtime_ns == stamp
    zip_of(archive, {"card.json": b'{"new": 1}'})
    second = unpacked(archive)
    assert (second / "card.json").read_bytes() == b'{"new": 1}'
    assert not first.exists()


@pytest.mark.parametrize(
    "name", ["../outside.json", "a/../../outside.json", "/outside.json", "..\\outside.json", "C:/o.json"]
)
def test_a_zip_that_reaches_outside_is_refused_and_writes_nothing(tmp_path, name):
    archive = zip_of(tmp_path / "m.zip", {"card.json": b"{}", name: b"{}"})
    with pytest.raises(InputError, match="reaches outside of the zip"):
        unpacked(archive)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("fold_0/checkpoint_final.pth")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="reaches outside"):
        unpacked(tmp_path / "m.zip")


def test_an_absurdly_large_one_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("DGSTSegmentLib.networks.archive.MOST_BYTES", 1000)
    with pytest.raises(InputError, match="it is not a model"):
        unpacked(zip_of(tmp_path / "m.zip", {"card.json": bytes(1001)}))


def test_damaged_and_empty_zips_are_refused_and_leave_nothing(tmp_path):
    archive = zip_of(tmp_path / "m.zip", {"weights.safetensors": os.urandom(5000), "card.json": b"{}"})
    whole = archive.read_bytes()
    archive.write_bytes(whole[:3000])
    with pytest.raises(InputError, match="damaged or no zip"):
        unpacked(archive)
    archive.write_bytes(whole[:1000] + bytes(500) + whole[1500:])
    with pytest.raises(InputError, match="damaged"):
        unpacked(archive)
    zip_of(archive, {"readme.txt": b"nothing"})
    with pytest.raises(InputError, match="holds no model file"):
        unpacked(archive)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_two_that_unpack_the_same_zip_at_once_both_get_it(tmp_path, monkeypatch):
    """The second begins and ends while the first is at work."""
    archive = zip_of(tmp_path / "m.zip", {"card.json": b"{}", "model.safetensors": b"weights"})
    second = []
    extract = zipfile.ZipFile.extract

    def extracting(file, member, folder):
        if not second:
            second.append(None)
            second[0] = unpacked(archive)
        return extract(file, member, folder)

    monkeypatch.setattr(zipfile.ZipFile, "extract", extracting)
    first = unpacked(archive)
    assert first == second[0] and {path.name for path in first.iterdir()} == {"card.json", "model.safetensors"}
    assert list(first.parent.iterdir()) == [first]
