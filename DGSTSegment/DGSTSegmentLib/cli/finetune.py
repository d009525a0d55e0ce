"""``dgst finetune``: adapt a model to a few annotated scans; what it writes is itself a model."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from ..dgst.registry import DEFAULT_RULE, LAYERS, RULES, STRATEGIES
from ..errors import InputError
from ..training.case_files import COMPLETENESS, CaseFiles, label_values
from ..training.request import DEFAULT_STEPS, MODEL_PLACES
from ..training.run_files import REQUEST_FILE, RunRecord, read_record
from .arguments import add_computing, add_labels, add_model, add_orientation, add_output, asked_model, given, user_path
from .describe import measured_line
from .engine import ask
from .outputs import new_folder, print_json
from .table import COLUMNS, cases_of_options, completeness_of, place_of, read_table, regions_of

NAME = "finetune"
HELP = "Adapt a model to a few annotated scans; the folder it writes is itself a model."
_OPTIONS = ("strategy", "gamma", "layers", "update", "lr", "steps", "minutes", "holdout", "seed", "device")
_OPTIONS += ("precision", "batch_size", "threads", "distillation", "name")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser, required=False)
    _add_cases(parser)
    _add_training(parser)
    add_orientation(parser)
    add_computing(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads; other numbers give other last bits")
    parser.add_argument("--name", help="how the new model is called")
    parser.add_argument(
        "--out", type=user_path, metavar="DIR", required=True, help="folder of the run, and of the new model"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in DIR where it was left")
    add_output(parser)


def _add_cases(parser: argparse.ArgumentParser) -> None:
    cases = parser.add_mutually_exclusive_group()
    cases.add_argument(
        "--case", nargs="+", action="append", metavar=("IMAGE", "ANNOTATION"), help="a CT and its segmentation; repeat"
    )
    cases.add_argument("--cases", type=user_path, metavar="TABLE.csv", help=f"a row a case: {', '.join(COLUMNS)}")
    add_labels(parser, "the annotations in --case")
    parser.add_argument(
        "--completeness",
        choices=tuple(COMPLETENESS),
        help="what unmarked means in --case: unknown (marked, default), background inside --region (region, default "
        "where there is one), or anywhere (all)",
    )
    parser.add_argument(
        "--region",
        nargs="+",
        action="append",
        metavar="BOXES",
        help="all nodes in it are marked (--completeness region), one a --case: x0 y0 z0 x1 y1 z1 (LPS mm; more boxes "
        "in quotes, after ';'), or a mask file",
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strategy", choices=tuple(STRATEGIES), help="which weights may move (default dgst)")
    parser.add_argument(
        "--gamma", type=int, metavar="N", help=f"weights of a row that a step may move (default {_of_rules('gamma')})"
    )
    places = f"where they are; early: the encoder's first two stages (default {_of_rules('layers')})"
    parser.add_argument("--layers", choices=LAYERS, help=places)
    parser.add_argument(
        "--update", choices=tuple(RULES), help=f"rule of a step (default {DEFAULT_RULE}; sgd is the paper's)"
    )
    parser.add_argument("--lr", type=float, help="learning rate (default: as strategy and rule have it)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="how many steps (default 200)")
    length.add_argument("--minutes", type=float, metavar="M", help="how many minutes")
    held_out = parser.add_mutually_exclusive_group()
    held_out.add_argument(
        "--holdout",
        type=int,
        metavar="N",
        help="cases that measure instead of train, drawn by the seed (default 1 in 5)",
    )
    held_out.add_argument(
        "--holdout-case", nargs="+", action="extend", metavar="CT", help="CTs of the cases that measure instead"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="of all random numbers (default 0)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="patches a step (default 2)")
    parser.add_argument(
        "--distillation", type=float, metavar="W", help="weight of the base's opinion where nothing is known"
    )


def _of_rules(name: str) -> str:
    """What each rule brings along, as ``16 of adam, 2 of rms``."""
    return ", ".join(f"{getattr(rule, name)} of {rule.name}" for rule in RULES.values())


def run(options: argparse.Namespace) -> None:
    fields = resumed_fields(options) if options.resume else new_fields(options)
    result = ask("resume" if options.resume else "finetune", fields, options.verbose)
    if options.json:
        print_json(result)
    else:
        print("\n".join(_lines(result, fields["out"])))


def new_fields(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of a new run's request.

    Raises:
        InputError: no model or case, files that do not exist, or a folder that is in use.
    """
    if (Path(options.out) / REQUEST_FILE).exists():
        raise InputError(f"{options.out} holds a run already; add --resume to go on with it, or give another --out.")
    fields = given_fields(options)
    if "model" not in fields:
        raise InputError("No model is given; add --model with starter, a model folder or a zip.")
    if "cases" not in fields:
        raise InputError("No case is given; add --case IMAGE ANNOTATION, or --cases TABLE.csv.")
    return {**fields, **_held_out(options, _cases(fields["cases"])), "out": new_folder(options.out)}


def resumed_fields(options: argparse.Namespace) -> dict[str, Any]:
    """What the engine has to know to go on with the run in ``--out``.

    Raises:
        InputError: there is no run, or an option says something else than the run's request.
    """
    run, asked = read_record(options.out), given_fields(options)
    cases = asked.pop("cases", None)
    if _means_other_cases(options, run.request.cases) if cases is None else _cases(cases) != run.request.cases:
        raise InputError(
            f"The run in {options.out} was begun with other cases, or with these in another completeness, region or "
            "labels; leave them out to go on with it, or begin a new run in another folder."
        )
    asked |= _held_out(options, run.request.cases)
    stored, now = run.request.to_json(), _in_force(run)
    for name, value in asked.items():
        if name not in MODEL_PLACES and value not in (now[name], stored[name]):
            has = f"was begun without {name}" if now[name] is None else f"has {name} {now[name]}"
            raise InputError(
                f"The run in {options.out} {has}, not {value}; leave out the option to go on with it, or begin a new "
                "run in another folder."
            )
    moved = {name: place for name, place in asked.items() if name in MODEL_PLACES}
    return {"out": str(Path(options.out).absolute()), **moved}


def _held_out(options: argparse.Namespace, cases: list[CaseFiles]) -> dict[str, list[str]]:
    """The field of the cases that measure, where they are named: their CTs, in the words of the cases.

    Raises:
        InputError: one is the CT of no case.
    """
    if not options.holdout_case:
        return {}
    images = {os.path.realpath(case.image): case.image for case in cases}
    wanted = {word: images.get(os.path.realpath(user_path(word))) for word in options.holdout_case}
    unknown = next((word for word, image in wanted.items() if image is None), None)
    if unknown is not None:
        raise InputError(f"{unknown} is to be held out, but is the CT of no case; name it as its case does.")
    return {"holdout_cases": sorted(set(wanted.values()))}


def _cases(fields: list[dict[str, Any]]) -> list[CaseFiles]:
    return [CaseFiles.from_json(case) for case in fields]


def _means_other_cases(options: argparse.Namespace, cases: list[CaseFiles]) -> bool:
    """Whether options about the cases, given without them, say something else than what a run was begun with."""
    completeness = completeness_of(options.completeness, bool(options.region))
    labels, regions = label_values(options.labels), [place_of(region) for region in regions_of(options.region or [])]
    others = completeness and any(case.completeness != completeness for case in cases)
    elsewhere = regions and regions != [case.region and place_of(case.region) for case in cases]
    return bool(others or elsewhere or (labels and any(case.labels != labels for case in cases)))


def _in_force(run: RunRecord) -> dict[str, Any]:
    """What a run goes on by, defaults included."""
    request = run.request
    values = {**request.to_json(), **run.fixed.to_json()}
    values["name"] = request.name or Path(request.out).name
    values["holdout"] = len(run.inputs.held_out) if request.holdout is None else request.holdout
    if request.minutes is None:
        values["steps"] = request.steps or DEFAULT_STEPS
    return values


def given_fields(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of ``training.request.FinetuneRequest`` that the command line gives.

    Raises:
        InputError: cases that cannot be used.
    """
    fields = {**asked_model(options), **given(options, *_OPTIONS)}
    if options.cases:
        if options.completeness or options.region or options.labels:
            raise InputError("With --cases, completeness, region and labels stand in the table; leave out the options.")
        fields["cases"] = read_table(options.cases)
    elif options.case:
        fields["cases"] = cases_of_options(options.case, options.completeness, options.region, options.labels)
    return fields


def _lines(result: dict[str, Any], out: str) -> list[str]:
    return [
        f"New model: {out}",
        f"measured: {measured_line(result['held_out'])}",
        f"weights changed: {result['weights_changed']:.2%} in {result['steps']} steps",
    ]
