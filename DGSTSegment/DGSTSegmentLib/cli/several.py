"""``dgst predict`` of several CTs by one engine: one that fails ends nothing, and what is there can be left out."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..training.case_files import own_end
from . import engine
from .outputs import file_stem, results_folder, volume_path
from .progress import clock, progress_view

RESULTS = ("out", "probability")
"""Fields of a prediction's request that are paths to write."""


@dataclass
class Outcome:
    """What came of several predictions.

    Args:
        predictions: the engine's results, in order.
        left_out: CTs whose segmentation was there already.
        failed: CTs that could not be segmented, and why.
    """

    predictions: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def images_of(words: Sequence[str]) -> list[str]:
    """The CTs that are meant; a pattern that the shell left as it was (as on Windows) is looked up here.

    Raises:
        InputError: one does not exist, or is named twice.
    """
    images = []
    for word in words:
        matches = [word] if Path(word).exists() else sorted(glob.glob(word))
        if not matches:
            raise InputError(f"{word} does not exist; check the path.")
        images += [str(Path(match).absolute()) for match in matches]
    twice = next((image for image in images if images.count(image) > 1), None)
    if twice:
        raise InputError(f"{twice} is named twice; name each CT once.")
    return images


def predict_each(
    images: Sequence[str], folders: Mapping[str, str], fields: Mapping[str, Any], go_on: bool, verbose: bool = False
) -> Outcome:
    """Segment CT after CT; what it writes lies in folders, under the name of its CT.

    Args:
        images: absolute paths.
        folders: of each of ``RESULTS`` that is wanted; made where they are not there.
        fields: of the requests, but for the paths.
        go_on: leave out CTs whose results are there, in place of refusing to overwrite them.
        verbose: show the engine's log.

    Raises:
        InputError: the folders cannot be written to or hold results already, or the model cannot be used.
        EngineError: the machine cannot do it.
        Interrupted: Ctrl-C; it says how many are there.
    """
    with _made(folders.values()):
        requests = _requests(images, folders)
        there = [image for image in images if _is_there(requests[image])]
        if not go_on:
            _refuse_to_replace([path for request in requests.values() for path in request.values()])
        outcome = Outcome(left_out=there)
        todo = {image: paths for image, paths in requests.items() if image not in there}
        if todo:
            _carry_out(todo, fields, outcome, verbose)
    return outcome


def _carry_out(todo: Mapping[str, dict[str, str]], fields: Mapping[str, Any], outcome: Outcome, verbose: bool) -> None:
    """Ask one engine for all; a model that cannot be used is refused before the first."""
    began, images = time.monotonic(), list(todo)
    with progress_view() as view, engine.open_client(view, verbose) as client:
        whose = ("model", "base", "fold", "checkpoint")
        engine.ask_client(client, view, "describe", {name: fields[name] for name in whose if name in fields})
        for n, (image, paths) in enumerate(todo.items()):
            left = f", {clock((time.monotonic() - began) / n * (len(todo) - n))} left for all" if n else ""
            view.say(f"[{n + 1}/{len(todo)}] {own_end(image, images)}{left}")
            try:
                result = engine.ask_client(client, view, "predict", {**fields, "image": image, **paths})
                outcome.predictions.append(result)
            except InputError as error:
                outcome.failed[image] = str(error)
                view.say(str(error))
            except engine.Interrupted as interrupt:
                done = sum(map(_is_there, todo.values()))
                raise engine.Interrupted(
                    f"Interrupted; {done} of {len(todo)} are in {Path(paths['out']).parent}, and --continue goes on "
                    "with the others."
                ) from interrupt


def _requests(images: Sequence[str], folders: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Where each CT's results go.

    Raises:
        InputError: one would replace a CT or another result.
    """
    requests: dict[str, dict[str, str]] = {}
    for image in images:
        name, taken = (
            file_stem(own_end(image, images).strip("/\\").replace("/", "_")),
            [p for paths in requests.values() for p in paths.values()],
        )
        requests[image] = {}
        for result, folder in folders.items():
            path = volume_path(str(Path(folder) / f"{name}.nii.gz"), *images, *taken, *requests[image].values())
            requests[image][result] = path
    return requests


def _is_there(paths: Mapping[str, str]) -> bool:
    return all(Path(path).exists() for path in paths.values())


def _refuse_to_replace(paths: Sequence[str]) -> None:
    """
    Raises:
        InputError: one is there.
    """
    there = [path for path in paths if Path(path).exists()]
    if there:
        more = f" and {len(there) - 1} more are" if len(there) > 1 else " is"
        raise InputError(
            f"{there[0]}{more} there already; add --continue to leave out CTs whose results are there, or give another "
            "folder."
        )


@contextmanager
def _made(folders: Iterable[str]) -> Iterator[None]:
    """Folders to write into; those that were not there and hold nothing in the end are gone again.

    Raises:
        InputError: one cannot be made.
    """
    new = [Path(results_folder(folder)) for folder in folders if not Path(folder).is_dir()]
    try:
        for folder in new:
            folder.mkdir(exist_ok=True)
        yield
    finally:
        for folder in new:
            with suppress(OSError):  # it holds something
                folder.rmdir()
