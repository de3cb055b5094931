#!/usr/bin/python3
"""Boots guests and plays the cases; the last line is the count.

usage: run.py [libvirt|selinux] BUILD [WORD...]     only the cases whose name contains one of the words

With `libvirt` the cases whose guest libvirt boots, else the others. With `selinux` those with Debian once more, as selinux_NAME, with SELinux
enforcing. All other guests with Debian have AppArmor enforcing, as Debian has it. Nothing may be refused to the agent.

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

from enforcing import Copy  # noqa: E402
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


def cases(chosen):
    """(name, module, class of its guest) of each case of a set. One about a command that the agent does not have yet is none."""
    table = (HERE.parents[1] / "schema/commands.hpp").read_text()
    for path in sorted((HERE / "cases").glob("*.py")):
        guests = load(path).GUEST
        for key, guest in guests.items() if isinstance(guests, dict) else [("", guests)]:
            case = load(path)  # a module of its own for each
            case.GUEST = guest
            if f'"{getattr(case, "NEEDS", "guest-ping")}"' not in table:
                continue
            name = f"{key}_{path.stem}".lstrip("_")
            by_libvirt = getattr(case, "BY_LIBVIRT", False)
            if chosen == ("libvirt" if by_libvirt else ""):
                yield name, case, LibvirtGuest if by_libvirt else Guest
            # A case that has kernel options of its own cannot be played in a copy.
            is_copied = guest == "debian" and not by_libvirt and not hasattr(case, "KERNEL_OPTIONS") and getattr(case, "UNDER_SELINUX", "") is not None
            if chosen == "selinux" and is_copied:
                yield f"selinux_{name}", case, Copy


def play(images, name, case, kind):
    """Whether the case holds, with each process of the agent in its domain or profile, and nothing refused but what the case is about."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sallyport-vm-") as folder:
        guest = kind(images, folder, case)
        fault = ""
        try:
            guest.power_on()
            judged = guest.is_debian and not getattr(case, "IS_ABOUT_DENIALS", False)
            if judged:
                guest.check_labels()
            case.play(guest)
            if judged:
                refused = guest.denials()
                guest.note(f"{len(refused)} denials")
                assert not refused, "\n".join(refused)
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
    which = sys.argv[1] if sys.argv[1] in ("libvirt", "selinux") else ""
    build, *words = sys.argv[1 + bool(which):]
    if os.geteuid() != 0:
        print("vm-test: making the guest's disk needs root", file=sys.stderr)
        return 1
    chosen = [one for one in cases(which) if not words or any(w in one[0] for w in words)]
    images = Images(build)
    images.make()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda one: play(images, *one), chosen))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
