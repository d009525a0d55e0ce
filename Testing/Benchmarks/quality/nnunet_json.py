"""What ``dataset.json`` of an nnU-Net raw data set says: labels, channels, file ending; of its versions 1 and 2."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from DGSTSegmentLib.errors import InputError

LAYOUT = "DatasetNNN_Name/{dataset.json, imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz}"
DESCRIPTION_FILE = "dataset.json"
_CT = re.compile(r"(ce|nce?|cb|ld|hr|contrast|plain)?ct[apv]?")
_NO_CT = re.compile(r"(mri?|pet|spect)[a-z0-9]*|pt|suv|fdg|t1(w|c|ce|gd|n)?|t2w?|flair|dwi|adc|swi|us|ultrasound")


@dataclass(frozen=True)
class Wanted:
    """What is read of a raw data set that leaves it open.

    Args:
        label: name or value of the label that is segmented; needed where there are several.
        channel: name or number of the CT's channel; needed where more than one is called a CT.
        options: what the command line's options for it begin with.
    """

    label: str | None = None
    channel: str | None = None
    options: str = "--"


UNDECIDED = Wanted()
"""Enough for a data set with one label and one CT."""


@dataclass(frozen=True)
class Description:
    """What a data set's ``dataset.json`` comes to.

    Args:
        label: name of the label that is segmented.
        values: label values that it stands for; several for a region.
        channel: name of the CT's channel.
        number: of that channel in file names.
        place: of that channel among all.
        ending: of every file.
        listed: training cases with paths of their own, ``{case: {"images": [...], "label": ...}}``; None for folders.
    """

    label: str
    values: tuple[int, ...]
    channel: str
    number: int
    place: int
    ending: str
    listed: Mapping[str, Any] | None


def read_description(folder: Path, wanted: Wanted) -> Description:
    """
    Raises:
        InputError: the file cannot be read or says nothing clear, or what is wanted is not there or is no CT.
    """
    path = folder / DESCRIPTION_FILE
    content = _content(path)
    labels = _labels(path, content.get("labels"))
    label = _chosen_label(path, labels, wanted)
    channels = _channels(path, content.get("channel_names", content.get("modality", {"0": "CT"})))
    number = _chosen_channel(path, channels, wanted)
    ending, listed = content.get("file_ending", ".nii.gz"), content.get("dataset")
    if not isinstance(ending, str) or not ending:
        raise InputError(f"{path} gives {ending!r} as file_ending; expected is a text such as '.nii.gz'.")
    if listed is not None and not isinstance(listed, dict):
        raise InputError(f"{path} gives dataset otherwise than as {{case: {{images, label}}}}; mend it or take it out.")
    place = sorted(channels).index(number)
    return Description(label, labels[label], channels[number], number, place, ending, listed)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); expected is {LAYOUT}.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object; expected is one with labels and channel_names.")
    return content


def _labels(path: Path, given: Any) -> dict[str, tuple[int, ...]]:
    """Label values by name, without the background."""
    if not isinstance(given, dict):
        raise InputError(f'{path} gives its labels otherwise than as {{"background": 0, "node": 1}}; mend it.')
    if "ignore" in given or "ignore" in [name for name in given.values() if isinstance(name, str)]:
        raise InputError(
            f"{path.parent} leaves voxels open (label ignore); only complete annotation can be measured on."
        )
    named: dict[str, tuple[int, ...]] = {}
    for name, value in _by_name(given):
        values = _values(path, name, value)
        if name.lower() != "background" and values != (0,):
            named[name] = tuple(sorted({*named.get(name, ()), *values}))
            if 0 in values:
                raise InputError(f"{path} counts the background (0) to label {name!r}; nothing could be told apart.")
    if not named:
        raise InputError(f"{path} names no label beside the background; there is nothing to segment.")
    return named


def _by_name(given: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Names with their values, whichever of the two is the key: version 1 writes ``{"1": "node"}``."""
    values_first = all(_is_number(key) for key in given) and not any(
        isinstance(value, list) or _is_number(value) for value in given.values()
    )
    return [(str(value), key) if values_first else (key, value) for key, value in given.items()]


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return type(value) is int or (isinstance(value, str) and value.strip().isdecimal())


def _values(path: Path, name: str, value: Any) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(_is_number(one) for one in values):
        raise InputError(
            f"{path} gives label {name!r} the value {value!r}; expected is a whole number or a list of some."
        )
    return tuple(int(one) for one in values)


def _chosen_label(path: Path, labels: Mapping[str, tuple[int, ...]], wanted: Wanted) -> str:
    option = f"{wanted.options}label"
    if wanted.label is None and len(labels) != 1:
        raise InputError(f"{path.parent} has the labels {', '.join(labels)}; choose one with {option}.")
    if wanted.label is None or wanted.label in labels:
        return wanted.label or next(iter(labels))
    of_value = [name for name, values in labels.items() if [str(value) for value in values] == [wanted.label.strip()]]
    if not of_value:
        known = ", ".join(f"{name} ({' and '.join(map(str, values))})" for name, values in labels.items())
        raise InputError(
            f"{path.parent} has no label {wanted.label!r}; it has {known}: give a name or its value with {option}."
        )
    return of_value[0]


def _channels(path: Path, given: Any) -> dict[int, str]:
    """Names of channels by number."""
    named = dict(enumerate(given)) if isinstance(given, list) else given
    if not isinstance(named, dict) or not named or not all(_is_number(number) for number in named):
        raise InputError(f'{path} gives its channel_names otherwise than as {{"0": "CT"}}; mend it.')
    return {int(number): str(name) for number, name in named.items()}


def _chosen_channel(path: Path, channels: Mapping[int, str], wanted: Wanted) -> int:
    option, asked = f"{wanted.options}channel", wanted.channel
    if asked is None:
        found = [number for number, name in channels.items() if is_ct(name)] if len(channels) > 1 else list(channels)
    else:
        found = [number for number, name in channels.items() if name == asked]
        found = found or [number for number in channels if str(number) == asked.strip()]
    listed = ", ".join(f"{number} ({name})" for number, name in sorted(channels.items()))
    if asked is not None and not found:
        raise InputError(
            f"{path.parent} has no channel {asked!r}; it has {listed}: give a name or a number with {option}."
        )
    if len(found) != 1:
        raise InputError(
            f"{path.parent} has the channels {listed}; choose the CT with {option}, by its number or name."
        )
    if _is_no_ct(channels[found[0]]):
        raise InputError(f"{path.parent} has {channels[found[0]]} in channel {found[0]}; only CT is read.")
    return found[0]


def is_ct(name: str) -> bool:
    """Whether a channel's name says that it is a CT: ``CT``, ``ceCT``, ``CT (plain)``; not ``PET/CT``."""
    return any(_CT.fullmatch(word) for word in _words(name)) and not _is_no_ct(name)


def _is_no_ct(name: str) -> bool:
    return any(_NO_CT.fullmatch(word) for word in _words(name))


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
