#!/usr/bin/python3
"""The style checks: every function check_... of the modules below is one case. Speaks TAP.

usage: check.py BUILD
"""
import sys
import traceback

import budgets
import commands
import elf
import licences
import packages
import pages
import rules
import unit
import verbs


def faults_of(function):
    try:
        return list(function())
    except Exception:  # a check that cannot be made has failed; the others go on
        return traceback.format_exc().splitlines()


def main():
    checks = [(module.__name__, name, function)
              for module in (budgets, rules, commands, elf, licences, packages, pages, unit, verbs)
              for name, function in vars(module).items() if name.startswith("check_")]
    print(f"1..{len(checks)}")
    failed = False
    for number, (module, name, function) in enumerate(checks, 1):
        faults = faults_of(function)
        failed = failed or bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {module}: {name.removeprefix('check_').replace('_', ' ')}")
        for fault in faults:
            print(f"#   {fault}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
