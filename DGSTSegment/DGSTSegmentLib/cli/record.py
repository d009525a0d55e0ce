"""``predictions.json``: which result of several predictions was made of which CT by which model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..atomic import write_text
from ..errors import InputError
from .names import Work

RECORD_FILE = "predictions.json"


def stamp_of(image: str) -> dict[str, Any]:
    """Path, size (bytes) and time of the last change (ns) of a CT; of a folder those of its files together.

    Raises:
        InputError: it cannot be looked at.
    """
    path = Path(image)
    try:
        files = [file.stat() for file in path.iterdir() if file.is_file()] if path.is_dir() else [path.stat()]
    except OSError as error:
        raise InputError(f"{image} cannot be read ({error.strerror or error}); check the path.") from error
    size, changed = sum(file.st_size for file in files), max((file.st_mtime_ns for file in files), default=0)
    return {"path": image, "size": size, "mtime_ns": changed}


class Record:
    """What the results in a folder were made of, kept there.

    Args:
        folder: absolute path; it need hold no record yet.

    ``is_kept`` says whether all that was added is written.

    Raises:
        InputError: its record cannot be read.
    """

    def __init__(self, folder: str):
        self._path = os.path.join(folder, RECORD_FILE)
        self._made, self.is_kept = _read(self._path), True

    def add(self, work: Work, stamp: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Note what a result of the engine was made of.

        Args:
            stamp: ``stamp_of`` its CT before it was predicted.
        """
        self._made[os.path.basename(work.paths["out"])] = {
            "image": dict(stamp),
            **{name: result[name] for name in ("model", "origin", "orientation")},
            "probability": work.paths.get("probability"),
        }
        self.is_kept = False

    def write(self) -> None:
        """Keep what was added.

        Raises:
            InputError: the folder cannot be written to.
        """
        if not self.is_kept:
            write_text(self._path, json.dumps({"predictions": self._made}, indent=2, allow_nan=False))
            self.is_kept = True

    def refuse_another_image(self, work: Work) -> None:
        """For a CT whose results are there.

        Raises:
            InputError: they were made of something else, or it is not known of what.
        """
        out, made = work.paths["out"], self._made_of(work)
        image, now = made["image"], stamp_of(work.image)
        if os.path.normcase(image["path"]) != os.path.normcase(work.image):
            raise InputError(f"{out} was made of {image['path']}, not of {work.image}; give another folder.")
        if {**image, "path": work.image} != now:
            raise InputError(
                f"{out} was made of {work.image} before that file was changed; move {out} away, or give another folder."
            )
        probability = work.paths.get("probability")
        if probability is not None and made["probability"] != probability:
            raise InputError(f"{probability} was not made together with {out}; give another folder for both.")

    def refuse_another_model(self, work: Work, described: Mapping[str, Any]) -> None:
        """For a CT whose results are there.

        Args:
            described: the engine's description of the model.

        Raises:
            InputError: they were made by another model, or by this one in another way.
        """
        made = self._made_of(work)
        if (made["origin"], made["orientation"]) != (described["origin"], described["orientation"]):
            now = {"model": described["title"], **described}
            raise InputError(
                f"{work.paths['out']} was made by {_weights(made)}, not by {_weights(now)}; give another folder."
            )

    def _made_of(self, work: Work) -> dict[str, Any]:
        out = work.paths["out"]
        if os.path.basename(out) not in self._made:
            raise InputError(
                f"{out} is there, but {self._path} does not say what it was made of; move it away, or give another "
                "folder."
            )
        return self._made[os.path.basename(out)]


def _read(path: str) -> dict[str, dict[str, Any]]:
    if not os.path.exists(path):
        return {}
    needed = ("image", "model", "origin", "orientation", "probability")
    try:
        made = json.loads(Path(path).read_text(encoding="utf-8"))["predictions"]
        for one in made.values():
            [one[name] for name in needed], one["image"]["path"]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); check the file.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no record of predictions; move it away, or give another folder.") from error
    return made


def _weights(made: Mapping[str, Any]) -> str:
    """A model in words that tell it from others of its name."""
    origin = made["origin"]
    words = [
        f"fingerprint {str(origin.get('fingerprint'))[:12]}",
        f"fold {' '.join(map(str, origin['folds']))}" if origin.get("folds") else "",
        f"checkpoint {origin['checkpoint']}" if origin.get("checkpoint") else "",
        f"orientation {made['orientation']}",
    ]
    return f"{made['model']} ({', '.join(filter(None, words))})"
