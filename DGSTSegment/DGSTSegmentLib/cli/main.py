"""The command ``dgst``: reads what is asked for, and turns every failure into one sentence and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from .. import __version__
from ..engine.faults import fault_of
from ..engine.protocol import EngineError
from ..errors import InputError
from . import demo, describe, evaluate, export, findings, finetune, predict
from .arguments import OneSentenceParser
from .engine import Interrupted

COMMANDS = (describe, predict, finetune, findings, evaluate, export, demo)
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 (it failed), 2 (bad input), 130 (Ctrl-C)."""
    _prepare_streams()
    try:
        options = make_parser().parse_args(argv)
        options.run(options)
        sys.stdout.flush()
    except InputError as error:
        return _say(str(error), BAD_INPUT)
    except EngineError as error:
        return _say(str(error), FAILED)
    except MemoryError as error:
        return _say(fault_of(error)["message"], FAILED)
    except Interrupted as interrupted:
        return _say(str(interrupted), INTERRUPTED)
    except KeyboardInterrupt:
        return _say("Interrupted.", INTERRUPTED)
    except BrokenPipeError:  # who reads our output has seen enough
        _give_up_stdout()
        return FAILED
    except OSError as error:
        _give_up_stdout()
        what = f"{error.filename} cannot be used" if error.filename else "The output could not be written"
        return _say(f"{what} ({error.strerror or error}); free some space or name another place.", FAILED)
    return 0


def make_parser() -> OneSentenceParser:
    """All commands and their options. Nothing heavy is imported for it."""
    parser = OneSentenceParser(
        prog="dgst",
        description="Adapt a CT lymph-node segmentation model to a few marked scans, and see what it finds. "
        "Research software, not a medical device.",
        epilog="Environment: DGST_MODELS names folders (separated as in PATH) of models in our own format, "
        "among which the base of a fine-tuned model is looked for; DGST_CACHE names the folder that zips are unpacked "
        "into.",
    )
    parser.add_argument("--version", action="version", version=f"dgst {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def _prepare_streams() -> None:
    """Streams that take every word: none may be closed, and a Windows code page has no sign for every file name."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 as long as the process lives
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _give_up_stdout() -> None:
    """Send what is still to be written there nowhere, or Python would fail of it once more at its end."""
    with suppress(OSError):  # no file in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(sentence: str, exit_code: int) -> int:
    print(f"dgst: {sentence}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
