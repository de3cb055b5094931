"""Cases that are functions called check_..., each of which yields what is wrong; and the tool, run as an admin runs it. Speaks TAP."""
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TOOL = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None


def tool(*words, cwd=None, text=None, env=None):
    """What the tool prints and says, and its status. No colour, since its outputs are no terminal."""
    return subprocess.run([TOOL, *map(str, words)], cwd=cwd, input=text, capture_output=True, text=True, timeout=300, env=env)


def scratch():
    """A directory that is gone afterwards, below one that only its owner can write to."""
    return tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR"))


def faults_of(function):
    try:
        return list(function())
    except Exception:  # a check that cannot be made has failed; the others go on
        return traceback.format_exc().splitlines()


def main(names):
    checks = [(name, function) for name, function in names.items() if name.startswith("check_")]
    print(f"1..{len(checks)}")
    failed = False
    for number, (name, function) in enumerate(checks, 1):
        faults = faults_of(function)
        failed = failed or bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {name.removeprefix('check_').replace('_', ' ')}", flush=True)
        for fault in faults:
            print(f"#   {fault}")
    return 1 if failed else 0
