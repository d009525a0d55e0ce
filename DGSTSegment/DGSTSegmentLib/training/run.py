"""The folder of one fine-tuning: request, checkpoint, result; plain files, each whole or not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ..atomic import atomic_path, holds_nothing
from ..errors import InputError
from ..locks import held
from .inputs import Fixed, Inputs
from .request import FinetuneRequest
from .run_files import LOCK_FILE, REQUEST_FILE, FinetuneResult, RunRecord, read_record, write_record, write_result

CHECKPOINT_FILE, CACHE_FOLDER = "checkpoint.safetensors", "cache"


class Run:
    """One fine-tuning on disk.

    Args:
        folder: where it lies.
        record: what it was begun with.
    """

    def __init__(self, folder: Path, record: RunRecord):
        self.folder, self.record = folder, record

    @classmethod
    def start(cls, record: RunRecord) -> Run:
        """Begin a run in a new or empty folder.

        Raises:
            InputError: something lies there already, or the folder cannot be made.
        """
        folder = Path(record.request.out)
        if (folder / REQUEST_FILE).exists():
            raise InputError(f"{folder} holds a run already; go on with it (--resume) or choose another folder.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            occupied = not holds_nothing(folder)
        except OSError as error:
            raise InputError(f"{folder} cannot hold a run ({error.strerror}); choose another folder.") from error
        if occupied:
            raise InputError(f"{folder} is not empty; choose a new folder, so that nothing in it is lost.")
        write_record(folder, record)
        return cls(folder, record)

    @classmethod
    def reopen(cls, folder: str | os.PathLike) -> Run:
        """The run that was begun in ``folder``, with the request it was begun with.

        Raises:
            InputError: as ``read_record``.
        """
        return cls(Path(folder), read_record(folder))

    @property
    def request(self) -> FinetuneRequest:
        return self.record.request

    @property
    def fixed(self) -> Fixed:
        return self.record.fixed

    @property
    def inputs(self) -> Inputs:
        return self.record.inputs

    @contextmanager
    def held(self) -> Iterator[None]:
        """Context of all work in the folder, which is one process's alone.

        Raises:
            InputError: another process is at work there, or the folder cannot be written to.
        """
        with ExitStack() as lock:
            try:
                lock.enter_context(held(self.folder / LOCK_FILE))
            except BlockingIOError as error:
                raise InputError(
                    f"{self.folder} is being worked on by another process; wait until that has ended."
                ) from error
            except OSError as error:
                raise InputError(
                    f"{self.folder} cannot be written to ({error.strerror}); change its permissions, or copy the "
                    "folder and go on with the copy."
                ) from error
            yield

    def keep_request(self, request: FinetuneRequest) -> None:
        """Every resume works by ``request`` from now on.

        Raises:
            InputError: the disk is full.
        """
        if request != self.request:
            self._keep(replace(self.record, request=request))

    def begin_anew(self, **settings: Any) -> None:
        """Forget what was trained; this process and every resume train by other fixed settings from now on.

        Raises:
            InputError: the disk is full.
        """
        (self.folder / CHECKPOINT_FILE).unlink(missing_ok=True)  # first: it does not fit the new settings
        self._keep(replace(self.record, fixed=replace(self.fixed, **settings)))

    def _keep(self, record: RunRecord) -> None:
        write_record(self.folder, record)
        self.record = record

    @property
    def has_checkpoint(self) -> bool:
        return (self.folder / CHECKPOINT_FILE).exists()

    @property
    def cache(self) -> Path:
        """Prepared cases, needed until the run is finished."""
        return self.folder / CACHE_FOLDER

    def save_checkpoint(self, tensors: dict[str, torch.Tensor], meta: dict[str, Any]) -> None:
        """Replace the checkpoint, at once or not at all.

        Raises:
            InputError: the disk is full; the last checkpoint stands.
        """
        with atomic_path(self.folder / CHECKPOINT_FILE) as partial:
            try:
                save_file(tensors, partial, {"meta": json.dumps(meta)})
            except SafetensorError as error:  # so it calls a full disk
                raise OSError(str(error)) from error

    def load_checkpoint(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Tensors and meta data as saved; None when no checkpoint was reached.

        Raises:
            InputError: the file is damaged.
        """
        path = self.folder / CHECKPOINT_FILE
        if not path.exists():
            return None
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                names = file.keys()
                return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["meta"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged ({error}); start a new run in another folder.") from error

    def finish(self, result: FinetuneResult) -> None:
        """Report the result; a run that went to its end lets go of what only the training needed."""
        write_result(self.folder, result)
        if not result.stopped:
            self.tidy()

    def tidy(self) -> None:
        """Remove checkpoint and prepared cases."""
        (self.folder / CHECKPOINT_FILE).unlink(missing_ok=True)
        shutil.rmtree(self.cache, ignore_errors=True)
