"""The worker with requests that need no network, so that what surrounds them is tested within moments."""

import gc
import os
import subprocess
import sys
import time
import weakref
from types import SimpleNamespace

import numpy as np

from DGSTSegmentLib.engine import handlers, worker
from DGSTSegmentLib.errors import InputError


def until_stopped(context, seconds=30.0):
    end = time.monotonic() + seconds
    step = 0
    while not context.should_stop() and time.monotonic() < end:
        context.on_event({"event": "progress", "phase": "waiting", "step": step, "steps": None})
        step += 1
        time.sleep(0.02)
    return {"stopped": context.should_stop()}


def noise(context):
    print("a library prints")
    sys.stdout.write('{"event": "result", "id": "1"}\n')
    os.write(1, b"C code prints\n")
    subprocess.run([sys.executable, "-c", "print('a child prints')"], check=True)
    return {"said": "much"}


def reads(context):
    child = subprocess.run([sys.executable, "-c", "print(len(input()))"], capture_output=True, text=True, timeout=20)
    return {"c": len(os.read(0, 1)), "python": sys.stdin.read(), "child": child.stderr.strip().splitlines()[-1]}


def bad_input(context):
    raise InputError("The file is no volume; give another.")


def too_much_memory(context):
    return {"array": np.ones(1 << 50)}


def fault(context):
    raise ZeroDivisionError("a bug")


def gpu_fails(context):
    until_stopped(context, seconds=0.2)
    raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be")


class Network:
    """Refers to itself, as networks with hooks do, so that it goes only when garbage is collected."""

    alive = weakref.WeakSet()

    def __init__(self):
        self.itself = self
        self.alive.add(self)


class Cuda:
    emptied = 0

    def empty_cache(self):
        Cuda.emptied += len(Network.alive) == 0


def uses_gpu(context):
    gc.disable()
    sys.modules["torch"] = SimpleNamespace(cuda=Cuda())
    before = {"left": len(Network.alive), "emptied": Cuda.emptied}
    Network()
    return before


def dies(context):
    print("the last words", file=sys.stderr, flush=True)
    os._exit(3)


def leaves_a_child(context):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    context.on_event({"event": "note", "message": str(child.pid)})
    return until_stopped(context)


def finishes(context):
    """What a stop comes too late for."""
    until_stopped(context)
    return {"stopped": False}


def fails_at_last(context):
    until_stopped(context)
    raise InputError("The file is no volume; give another.")


KINDS = {
    "finishes": finishes,
    "fails at last": fails_at_last,
    "quick": lambda context: {"pid": os.getpid()},
    "slow": until_stopped,
    "noise": noise,
    "reads": reads,
    "bad input": bad_input,
    "memory": too_much_memory,
    "fault": fault,
    "gpu fails": gpu_fails,
    "uses gpu": uses_gpu,
    "dies": dies,
    "child": leaves_a_child,
    "stubborn": lambda context: time.sleep(60),
}

handlers.HANDLERS.update(dict.fromkeys(handlers.HANDLERS, lambda fields, context: KINDS[fields["model"]](context)))

if __name__ == "__main__":
    worker.main()
