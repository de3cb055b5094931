#!/usr/bin/python3
"""The profiles for AppArmor: they compile, every check_... of rules.py holds, and is seen to fail when its rule is broken. Neither root nor
a kernel with AppArmor is needed. Speaks TAP.

usage: check.py
"""
import pathlib
import subprocess
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "selinux"))  # tables.py: what the project's own tables say

import broken  # noqa: E402
import rules  # noqa: E402
from profiles import SOURCES, Profiles, read  # noqa: E402

CHECKS = {name.removeprefix("check_"): function for name, function in vars(rules).items() if name.startswith("check_")}
PARSER = ["/usr/sbin/apparmor_parser", "--skip-kernel-load", "--skip-cache", "--base", "/etc/apparmor.d", "--Include", str(SOURCES)]


def faults_of(function, profiles):
    try:
        return list(function(profiles))
    except Exception:  # a check that cannot be made has failed; the others go on
        return traceback.format_exc().splitlines()


def what_the_parser_refuses():
    done = subprocess.run([*PARSER, str(SOURCES / "sallyport")], capture_output=True, text=True)
    if done.returncode != 0:
        yield from done.stderr.splitlines()


def what_is_not_seen(check, profiles):
    """The fault by which a broken rule shows, if it does not."""
    wanted = broken.BROKEN[check][2]
    found = faults_of(CHECKS[check], profiles)
    if not any(wanted in fault for fault in found):
        yield f"with the rule broken there is no fault '{wanted}', but:"
        yield from found


def cases():
    text = read()
    yield "the profiles compile", list(what_the_parser_refuses())
    yield "every check has a way to break it", sorted(set(CHECKS) ^ set(broken.BROKEN))
    for name, function in CHECKS.items():
        yield name.replace("_", " "), faults_of(function, Profiles(text))
    for name in CHECKS:
        old, new, _ = broken.BROKEN[name]
        assert text.count(old) >= 1, f"not found: {old}"
        yield f"broken: {name.replace('_', ' ')}", list(what_is_not_seen(name, Profiles(text.replace(old, new, 1))))


def main():
    print(f"1..{2 * len(CHECKS) + 2}")
    failed = False
    for number, (name, faults) in enumerate(cases(), 1):
        failed = failed or bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        print("".join(f"#   {fault}\n" for fault in faults), end="", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
