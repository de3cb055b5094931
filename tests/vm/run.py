#!/usr/bin/python3
"""Boots guests and plays the cases; the last line is the count.

usage: run.py [--libvirt] BUILD [WORD...]     only the cases whose name contains one of the words; --libvirt: those whose guest libvirt boots, else the others

A case is a file in cases/: its first words are what it claims; GUEST, POLICY and what else Guest reads say what is
booted, BY_LIBVIRT that libvirt boots it; play(guest) does it. Where GUEST names several guests the file is as many cases: KEY_FILE for each key. A case that
fails shows the guest's console.
"""
import concurrent.futures
import importlib.util
import os
import pathlib
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from guest import Guest  # noqa: E402
from images import Images  # noqa: E402
from libvirt_guest import LibvirtGuest  # noqa: E402

CONSOLE_LINES = 120
printing = threading.Lock()


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases(by_libvirt):
    """(name, module) of each case. One about a command that the agent does not have yet is none."""
    table = (HERE.parents[1] / "schema/commands.hpp").read_text()
    for path in sorted((HERE / "cases").glob("*.py")):
        guests = load(path).GUEST
        for key, guest in guests.items() if isinstance(guests, dict) else [("", guests)]:
            case = load(path)  # a module of its own for each
            case.GUEST = guest
            if by_libvirt == getattr(case, "BY_LIBVIRT", False) and f'"{getattr(case, "NEEDS", "guest-ping")}"' in table:
                yield f"{key}_{path.stem}".lstrip("_"), case


def play(images, name, case):
    """Whether the case holds."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sallyport-vm-") as folder:
        guest = (LibvirtGuest if getattr(case, "BY_LIBVIRT", False) else Guest)(images, folder, case)
        fault = ""
        try:
            guest.power_on()
            case.play(guest)
        except Exception:  # whatever it is, it is this case's failure
            fault = traceback.format_exc()
        finally:
            guest.end()
        with printing:
            print(f"{'FAIL' if fault else 'ok  '} {name:<34} {time.monotonic() - started:5.0f} s  "
                  f"{'; '.join(guest.notes)}")
            if fault:
                tail = guest.console().splitlines()[-CONSOLE_LINES:]
                print("".join(f"     | {line}\n" for line in [*tail, *fault.splitlines()]), end="")
            sys.stdout.flush()
    return not fault


def main():
    by_libvirt = sys.argv[1:2] == ["--libvirt"]
    build, *words = sys.argv[1 + by_libvirt:]
    if os.geteuid() != 0:
        print("vm-test: making the guest's disk needs root", file=sys.stderr)
        return 1
    chosen = [(name, case) for name, case in cases(by_libvirt) if not words or any(w in name for w in words)]
    images = Images(build)
    images.make()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda one: play(images, *one), chosen))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
