#!/usr/bin/env python3
"""Makes the project's environment on first use and runs its commands in it.

python3 run.py demo [...]      marks, fine-tunes, predicts and reports on phantoms or on a CT of yours
python3 run.py test [...]      runs the tests, a process a core; what follows goes to pytest (-n 0: one process)
python3 run.py preview [...]   opens the panel without 3D Slicer; --screenshot FILE.png draws it to a file
python3 run.py bench quality   compares the strategies on unseen scans; --help tells of its options
python3 run.py bench speed     measures steps, memory and time against torch, nnU-Net and MONAI
python3 run.py COMMAND [...]   runs any other dgst command: describe, predict, finetune, findings, evaluate, export

Standard library only. Written so that Pythons older than the project's own can still read it, and say so.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
PREVIEW = ROOT / "Testing" / "Host"
BENCHMARKS = {name: ROOT / "Testing" / "Benchmarks" / name for name in ("quality", "speed")}
OLDEST, NEWEST = (3, 10), (3, 13)
PREFERRED = ("3.12", "3.11", "3.13", "3.10")

# What Slicer's views need beside Python packages to draw without a display: library asked for, Debian package.
VIEW_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libEGL_mesa.so.0": "libegl-mesa0",
    "libGLX_mesa.so.0": "libgl1-mesa-dri",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libglib-2.0.so.0": "libglib2.0-0",
}
# What Qt needs beside them to open a window on X11.
WINDOW_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}


class Stop(Exception):
    """What went wrong and what to do about it, in one sentence."""


def main(arguments):
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    try:
        return carry_out(arguments)
    except Stop as problem:
        print(f"run.py: {problem}", file=sys.stderr)
    except OSError as problem:
        place = problem.filename or ROOT
        print(f"run.py: {place} cannot be used ({problem.strerror}); mend that and start again.", file=sys.stderr)
    return 2


def carry_out(arguments):
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return run([suitable_python(), str(Path(__file__).resolve())] + arguments)
    if arguments[0] == "bench":
        benchmark(arguments[1:2])
    if arguments[0] == "preview" and not has_preview():
        raise Stop("the panel's preview is built from Slicer's and Qt's packages, which this system cannot have.")
    prepare_environment()
    if arguments[0] in ("demo", "test", "preview"):
        prepare_view_libraries(with_window=arguments[0] == "preview" and bool(os.environ.get("DISPLAY")))
    if arguments[0] == "test":
        return run([str(venv_program("python")), "-m", "pytest"] + arguments[1:], cwd=ROOT)
    if arguments[0] == "preview":
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PREVIEW), os.environ.get("PYTHONPATH")]))
        return run([str(venv_program("python")), "-m", "preview_host"] + arguments[1:])
    if arguments[0] == "bench":
        return run([str(venv_program("python")), str(benchmark(arguments[1:2]))] + arguments[2:])
    return run([str(venv_program("dgst"))] + arguments)


def run(command, cwd=None):
    """Give this process over to ``command``, so that Ctrl-C and signals reach it; Windows has to wait for it."""
    sys.stdout.flush()
    if os.name == "nt":
        return subprocess.call(command, cwd=cwd)
    if cwd:
        os.chdir(str(cwd))
    os.execv(command[0], command)


def benchmark(names):
    """Path of the benchmark that the command line names."""
    if not names or names[0] not in BENCHMARKS:
        raise Stop("name a benchmark: python3 run.py bench {}".format("|".join(BENCHMARKS)))
    return BENCHMARKS[names[0]]


# ------------------------------------------------------------------------------------------------- which Python


def suitable_python():
    """Path of another Python on this machine that the project runs on."""
    for version in PREFERRED:
        found = shutil.which("python" + version) or launched(version)
        if found and answers_as(found, version):
            return found
    raise Stop(
        "Python {}.{} cannot run this project; install Python 3.12 (any from {}.{} to {}.{} will do) "
        "and start run.py with it.".format(*(sys.version_info[:2] + OLDEST + NEWEST))
    )


def launched(version):
    """Path of the Python that Windows' launcher starts as that version; None where there is none."""
    launcher = shutil.which("py") if os.name == "nt" else None
    if launcher is None:
        return None
    question = [launcher, "-" + version, "-c", "import sys; print(sys.executable)"]
    answer = subprocess.run(question, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return answer.stdout.decode(errors="replace").strip() if answer.returncode == 0 else None


def answers_as(python, version):
    """Whether ``python`` starts and is that version; version managers leave stand-ins that only print an error."""
    question = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    answer = subprocess.run(question, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return answer.returncode == 0 and answer.stdout.decode().strip() == version


# ------------------------------------------------------------------------------------------------- environment


def prepare_environment():
    """Make ``.venv`` or bring it up to date; quick when it stands as wanted."""
    if stands():
        return
    with alone():
        if stands():
            return
        standing, wanted = read_stamp(), wanted_stamp()
        if any(standing.get(key) != wanted[key] for key in ("python", "base", "place")):
            make_venv()
        write_stamp({})
        install()
        write_stamp(wanted)


def stands():
    """Whether the environment is as wanted; its Python may be gone though, with the one that it was made with."""
    return read_stamp() == wanted_stamp() and venv_program("python").exists()


@contextlib.contextmanager
def alone():
    """Lets one process at a time work on the environment; another one started meanwhile waits."""
    place = hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    with open(os.path.join(tempfile.gettempdir(), f"dgst-environment-{owner}-{place}.lock"), "a") as lock:
        said = False
        while not try_lock(lock):
            if not said:
                say("another run.py is at work on the environment; waiting for it")
                said = True
            time.sleep(0.5)
        yield


def try_lock(file):
    """Whether the lock is had; the system frees it when the process ends, however it ends."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def stamp_path():
    return VENV / "made-by-run.py.json"


def wanted_stamp():
    """What the environment depends on."""
    needs = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    return {"needs": needs, "python": sys.version.split()[0], "base": sys.base_prefix, "place": str(ROOT)}


def read_stamp():
    """The standing environment's stamp; empty where there is none or where making it was cut short."""
    try:
        return json.loads(stamp_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_stamp(stamp):
    partial = stamp_path().with_suffix(".partial")
    partial.write_text(json.dumps(stamp), encoding="utf-8")
    os.replace(str(partial), str(stamp_path()))


def make_venv():
    if VENV.exists():
        if any(VENV.iterdir()) and not stamp_path().exists():
            raise Stop(f"the folder {VENV} was not made by run.py; move it away and start again.")
        say("removing the environment that was left unfinished or belongs to another Python or place")
        clear(VENV)
    VENV.mkdir()
    write_stamp({})
    say(f"making {VENV} with Python {sys.version.split()[0]}")
    if subprocess.call([sys.executable, "-m", "venv", str(VENV)]) != 0:
        raise Stop("this Python cannot make environments; on Debian or Ubuntu: apt-get install -y python3-venv")


def clear(folder):
    """Remove the environment, its stamp last: cut short, it is still known as ours."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        elif entry != stamp_path():
            entry.unlink()
    shutil.rmtree(str(folder))


def install():
    say("installing what the project needs; this happens once and takes some minutes")
    pip = [str(venv_program("python")), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if sys.version_info < (3, 10, 3):  # its own pip cannot install this project in place
        subprocess.call(pip + ["pip>=21.3"])
    extras = "views,bench,test"
    if has_preview():
        extras += ",preview"
    else:
        say("leaving out the panel's preview, whose packages this system cannot have; pictures may be drawn plainly")
    if subprocess.call(pip + ["-c", str(CONSTRAINTS), "-e", f"{ROOT}[{extras}]"]) != 0:
        raise Stop("the installation failed for the reason that pip gives above; mend it and start again.")


def has_preview():
    """Whether there are packages of Slicer's logic and of Qt for this system."""
    machine = platform.machine().lower()
    if sys.platform.startswith("linux"):
        name, version = platform.libc_ver()
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        return machine == "x86_64" and name == "glibc" and numbers >= (2, 34)
    return machine == ("arm64" if sys.platform == "darwin" else "amd64")


def venv_program(name):
    return VENV / "Scripts" / (name + ".exe") if os.name == "nt" else VENV / "bin" / name


# ------------------------------------------------------------------------------------------------- system libraries


def prepare_view_libraries(with_window=False):
    """Install what views miss, or print the line that does; without it pictures are drawn plainly."""
    wanted = dict(VIEW_LIBRARIES, **(WINDOW_LIBRARIES if with_window else {}))
    missing = missing_libraries(wanted)
    if not missing:
        return
    packages = list(wanted.values())
    line = "apt-get update && apt-get install -y " + " ".join(packages)
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        say("Slicer's views lack {}, so pictures will be drawn plainly; ".format(", ".join(missing)) + advice(line))
        return
    say("Slicer's views lack {}; installing them: {}".format(", ".join(missing), line))
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install_packages = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"] + packages
    for command in (["apt-get", "update", "-qq"], install_packages):
        if subprocess.call(command, env=quiet, stdout=subprocess.DEVNULL) != 0:
            say("'{}' failed; pictures will be drawn plainly until that line succeeds".format(" ".join(command)))
            return


def missing_libraries(wanted):
    """Names of the libraries that cannot be loaded; only Linux takes them from the system."""
    if not sys.platform.startswith("linux"):
        return []
    return [name for name in wanted if not can_load(name)]


def can_load(library):
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def advice(line):
    if shutil.which("apt-get"):
        return f"to have them: sudo sh -c '{line}'"
    return "install Mesa's EGL and OpenGL, libxkbcommon, fontconfig, dbus and glib with this system's package manager"


def say(text):
    print(f"run.py: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
