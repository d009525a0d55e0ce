"""Cases from a table (CSV) or from the options of the command line."""

from __future__ import annotations

import csv
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..training.case_files import CaseFiles, label_values

COLUMNS = tuple(field.name for field in fields(CaseFiles))
REQUIRED = ("image", "annotation")

CaseFields = dict[str, Any]


def read_table(path: str) -> list[CaseFields]:
    """The cases of a table: a row a case, columns ``COLUMNS`` of which ``REQUIRED`` must be there.

    Paths are relative to the table's folder. Returns fields of ``training.case_files.CaseFiles``.

    Raises:
        InputError: the table cannot be read, lacks a column or has one that nothing knows, a row is incomplete, or a
            file that it names does not exist.
    """
    table = Path(path)
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, skipinitialspace=True, strict=True)
            _refuse_columns(table, rows.fieldnames or [])
            cases = [_case(table, rows.line_num, row) for row in rows if any(filter(None, row.values()))]
    except OSError as error:
        raise InputError(f"{path} could not be read ({error.strerror}); give a CSV table of the cases.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV table in UTF-8 ({error}); export it as such.") from error
    if not cases:
        raise InputError(f"{path} holds no case; give a row a case below its first line.")
    return cases


def cases_of_options(
    groups: list[list[str]],
    completeness: str | None = None,
    regions: list[list[str]] | None = None,
    labels: list[str] | None = None,
) -> list[CaseFields]:
    """The cases given as ``--case IMAGE ANNOTATION [IMAGE ANNOTATION ...]``, once or more.

    Args:
        completeness: of all of them; None for the default.
        regions: one a case, in their order; a box may be given as six words.
        labels: values of all annotations that are lymph nodes; None where all are.

    Raises:
        InputError: an image without annotation, a file that does not exist, regions that do not fit the cases or their
            completeness, or labels that are none.
    """
    odd = next((group for group in groups if len(group) % 2), None)
    if odd is not None:
        raise InputError(f"--case takes pairs of a CT and its annotation; {odd[-1]} has no annotation.")
    pairs = [group[i : i + 2] for group in groups for i in range(0, len(group), 2)]
    places = regions_of(regions or [])
    if places and len(places) != len(pairs):
        raise InputError(f"There are {len(pairs)} cases and {len(places)} regions; give one --region a case, in order.")
    if completeness == "region" and not places:
        raise InputError("The cases are marked within a region, but none is given; add --region, one a case.")
    here = Path.cwd()
    return [
        _with_paths(
            {"image": image, "annotation": annotation}
            | ({"completeness": completeness} if completeness else {})
            | ({"region": places[i]} if places else {})
            | ({"labels": " ".join(labels)} if labels else {}),
            here,
            "--case",
        )
        for i, (image, annotation) in enumerate(pairs)
    ]


def regions_of(groups: list[list[str]]) -> list[str]:
    """The regions of the option ``--region``, each as one text.

    Raises:
        InputError: numbers that are no box.
    """
    for words in groups:
        if not _is_box(words) and all(map(_is_number, words)):
            raise InputError(
                f"--region takes the six numbers of a box, x0 y0 z0 x1 y1 z1 in mm, not {' '.join(words)}; more boxes "
                "stand in quotes, after ';'."
            )
    return [place for words in groups for place in ([" ".join(words)] if _is_box(words) else words)]


def completeness_of(said: str | None, has_region: bool) -> str | None:
    """What unmarked means where it may be left unsaid: a region says it too. None: as ``CaseFiles`` has it."""
    return said or ("region" if has_region else None)


def place_of(region: str) -> Any:
    """The same for all ways to write a region."""
    from ..training.case import parse_boxes

    boxes = parse_boxes(region)
    return str(Path(region).expanduser().absolute()) if boxes is None else boxes.tolist()


def _is_box(words: list[str]) -> bool:
    """Whether they are the six numbers of a box, given as so many words."""
    return len(words) == 6 and all(map(_is_number, words))


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", word.strip(",; "), re.I) is not None


def _refuse_columns(table: Path, columns: list[str]) -> None:
    names = [(name or "").strip() for name in columns]
    missing, unknown = [c for c in REQUIRED if c not in names], [n for n in names if n not in COLUMNS]
    if missing or unknown:
        problem = f"lacks the column {missing[0]}" if missing else f"has the unknown column {unknown[0]!r}"
        raise InputError(f"{table} {problem}; its first line names columns, separated by commas: {', '.join(COLUMNS)}.")


def _case(table: Path, line: int, row: dict[str | None, Any]) -> CaseFields:
    if None in row:
        raise InputError(f"{table}, line {line}, has more cells than columns; put cells that hold commas in quotes.")
    cells = {name.strip(): value.strip() for name, value in row.items() if value and value.strip()}
    missing = next((name for name in REQUIRED if name not in cells), None)
    if missing:
        raise InputError(f"{table}, line {line}, names no {missing}; a case is a CT and its annotation.")
    return _with_paths(cells, table.absolute().parent, f"{table}, line {line}")


def _with_paths(fields: CaseFields, folder: Path, where: str) -> CaseFields:
    fields = _with_completeness(fields, where)
    names = [name for name in ("image", "annotation", "rejected") if name in fields]
    if "region" in fields and not _is_boxes(fields["region"]):
        names.append("region")
    paths = {name: str(folder / Path(fields[name]).expanduser()) for name in names}
    gone = next((path for path in paths.values() if not Path(path).exists()), None)
    if gone:
        raise InputError(f"{where}: {gone} does not exist; check the path.")
    labels = {"labels": list(label_values(fields["labels"]))} if "labels" in fields else {}
    return {**fields, **paths, **labels}


def _with_completeness(fields: CaseFields, where: str) -> CaseFields:
    """A region says what unmarked means; nothing else goes with it, and it does not go without one."""
    if completeness := completeness_of(fields.get("completeness"), "region" in fields):
        fields = {**fields, "completeness": completeness}
    has, wants = "region" in fields, fields.get("completeness") == "region"
    if has and not wants:
        raise InputError(
            f"{where}: a region is given, but completeness is {fields['completeness']}, which heeds none; leave out "
            "one of the two."
        )
    if wants and not has:
        raise InputError(f"{where}: completeness is region, but the column region is empty; fill it in.")
    return fields


def _is_boxes(region: str) -> bool:
    from ..training.case import parse_boxes

    return parse_boxes(region) is not None
