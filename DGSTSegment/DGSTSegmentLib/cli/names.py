"""What the files of a scan are called: by its name a CT, its segmentation and its reference know each other."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..training.case_files import own_ends
from .outputs import volume_path

NNUNET_CHANNEL = "_0000"
"""At the end of the name of an image of nnU-Net's, and not of its segmentation."""

_NAMED = 3
_NOT_IN_A_NAME = re.compile(r"[\\/:]+")


@dataclass(frozen=True)
class Work:
    """One CT of several.

    Args:
        image: its absolute path.
        title: how messages call it: the end of its path that no other one has.
        paths: where its results go, by their field of the request.
    """

    image: str
    title: str
    paths: Mapping[str, str]


def file_stem(name: str) -> str:
    """``ct`` of ``ct.nii.gz``, by any ending that is read."""
    from ..imaging.image_io import READABLE  # loads SimpleITK

    endings = (".seg.nrrd", *READABLE)
    ending = next((ending for ending in endings if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


def scan_name(name: str) -> str:
    """``ct`` of ``ct_0000.nii.gz``."""
    return without_channel(file_stem(name))


def without_channel(stem: str) -> str:
    """``ct`` of ``ct_0000``."""
    return stem.removesuffix(NNUNET_CHANNEL) or stem


def images_of(words: Sequence[str]) -> list[str]:
    """The absolute paths of the CTs that are meant; a pattern that the shell left as it was (as on Windows) is looked
    up here.

    Raises:
        InputError: one does not exist, or is named twice.
    """
    images, alike = [], {}
    for word in words:
        matches = [word] if os.path.exists(word) else sorted(glob.glob(word))
        if not matches:
            raise InputError(f"{word} does not exist; check the path.")
        for image in map(os.path.abspath, matches):
            others = alike.setdefault(image.casefold(), [])
            if any(other == image or os.path.samefile(other, image) for other in others):
                raise InputError(f"{image} is named twice; name each CT once.")
            others.append(image)
            images.append(image)
    return images


def first_of(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])


def work_of(images: Sequence[str], folders: Mapping[str, str]) -> list[Work]:
    """The CTs with the paths of their results, each called as its CT is.

    Args:
        images: absolute paths.
        folders: absolute paths of the folders of each result, by its field of the request.

    Raises:
        InputError: two would be called alike, or a result would replace a CT or another result.
    """
    taken = {_place(image) for image in images}
    work = []
    for image, (title, name) in _names_of(images).items():
        paths = {}
        for result, folder in folders.items():
            path = paths[result] = volume_path(os.path.join(folder, f"{name}.nii.gz"))
            if _place(path) in taken:
                raise InputError(
                    f"{path} would be overwritten, it is an input or another result too; give another folder."
                )
            taken.add(_place(path))
        work.append(Work(image, title, paths))
    return work


def _names_of(images: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Title and name of each CT, of as many folders above the file as tell it from all others.

    Raises:
        InputError: two are called alike all the same.
    """
    stems = {image: file_stem(Path(image).name) for image in images}
    if all(stem.endswith(NNUNET_CHANNEL) for stem in stems.values()):
        stems = {image: without_channel(stem) for image, stem in stems.items()}
    parts = {image: Path(image).parts for image in images}
    keys = {image: tuple(map(str.casefold, (*parts[image][:-1], stems[image]))) for image in images}
    needed = own_ends(keys.values())
    names: dict[str, tuple[str, str]] = {}
    called: dict[str, str] = {}
    for image in images:
        own = parts[image][-needed[keys[image]] :]
        name = _as_a_name((*own[:-1], stems[image]))
        other = called.setdefault(name.casefold(), image)
        if other != image:
            raise InputError(
                f"The results of {other} and {image} would both be called {name}; rename one of them, or predict it "
                "into another folder."
            )
        names[image] = "/".join(own), name
    return names


def _as_a_name(parts: Sequence[str]) -> str:
    """Parts of a path as a file's name, which hides nowhere."""
    return _NOT_IN_A_NAME.sub("_", "/".join(parts).strip("/\\")).lstrip(".") or "ct"


def _place(path: str) -> str:
    """What two paths of one file have in common, also where the system tells no capital letters from small ones."""
    return os.path.realpath(path).casefold()
