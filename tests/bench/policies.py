#!/usr/bin/python3
"""What a thousand rules cost: a decision, `check`, and `diff` against another thousand, in processor time. Run by hand.

usage: policies.py BUILD
"""
import os
import pathlib
import statistics
import subprocess
import sys

BUILD = pathlib.Path(sys.argv[1]).resolve()
TOOL = str(BUILD / "policy/tool/verbs/sallyport-policy")
RULES = 1000
ROUNDS = 5
WIDER = 4  # what diff says of a larger bound


def policy_of(size):
    """Three allow rules and one deny rule, again and again, in trees of their own; `size` is a bound in each of them."""
    text = ["schema = 1"]
    for number in range(RULES):
        tree = f"/srv/tree{number - number % 4}"
        if number % 4 == 3:
            text.append(f'[[deny]]\nid = "deny{number}"\nfiles = [{{ under = "{tree}/0/kept" }}]')
        else:
            text.append(f'[[allow]]\nid = "allow{number}"\ncommands = ["@file"]\n'
                        f'files = [{{ under = "{tree}/{number % 4}", access = ["read"], max_size = "{size}MiB", owner = ["root"] }}]')
    return "\n".join(text) + "\n"


def paths():
    """As many that are allowed as are not: denied by a rule, or by none."""
    for number in range(0, RULES, 4):
        yield from (f"/srv/tree{number}/0/report", f"/srv/tree{number}/1/a/b/c", f"/srv/tree{number}/0/kept/key", f"/srv/other{number}/x")


def seconds_of(*words):
    """Processor seconds of a verb, and its status; the median of some runs."""
    spent = []
    for _ in range(ROUNDS):
        child = os.fork()
        if child == 0:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os.execv(TOOL, [TOOL, *words])
        _, status, used = os.wait4(child, 0)
        spent.append(used.ru_utime + used.ru_stime)
    return statistics.median(spent), os.waitstatus_to_exitcode(status)


def main():
    folder = BUILD / "bench-policies"
    folder.mkdir(exist_ok=True)
    one, other, asked = (folder / name for name in ("one.toml", "other.toml", "paths"))
    one.write_text(policy_of(64))
    other.write_text(policy_of(65))
    asked.write_text("\n".join(paths()) + "\n")
    decide = [str(BUILD / "tests/bench/decide"), str(one), str(asked)]
    took = statistics.median(float(subprocess.run(decide, check=True, capture_output=True, text=True).stdout) for _ in range(ROUNDS))
    rows = [("a decision", took * 1e-9, 5e-6, True)]
    for name, words, wanted, most in (("check", ("check", one), 0, 1), ("diff against another", ("diff", one, other), WIDER, 1)):
        spent, status = seconds_of(*map(str, words))
        rows.append((name, spent, most, status == wanted))
    for name, spent, most, is_right in rows:
        mark = "" if spent <= most and is_right else "  too slow" if is_right else "  WRONG ANSWER"
        print(f"  {name:22} {spent * 1e6:12.1f} us, at most {most * 1e6:.0f}{mark}")
    return 0 if all(row[3] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
