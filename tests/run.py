#!/usr/bin/python3
"""Runs every test that Meson knows and the style checks; the last line is the count.

usage: run.py BUILD [WORD...]     only the tests whose name contains one of the words

A GoogleTest program counts by its cases, a program that speaks TAP by its lines, any other as one case. A program
that crashes, hangs, or leaves a process behind is a failure. One hangs if it says nothing for its deadline (GoogleTest names
each case when it begins), or is not at its end after ten times as long. What fails shows its output in full.
On a machine that is many times slower, as one that is emulated, SALLYPORT_TIMES_SLOWER says how many: deadlines are as much later.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import processes

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEFAULT_DEADLINE = 120
MOST_DEADLINES = 10
# What Meson does not know of: the checks of the tree itself, and the demo, which knows what it expects.
SCRIPTS = {"style": "tests/style/check.py", "demo": "tests/demo/demo.py"}


class Outcome:
    def __init__(self, name):
        self.name = name
        self.passed = self.failed = self.skipped = 0
        self.faults = []  # what went wrong with the program as a whole
        self.output = ""
        self.seconds = 0.0


def declared_tests(build):
    text = (pathlib.Path(build) / "meson-info/intro-tests.json").read_text()
    scripts = [{"name": name, "cmd": [sys.executable, str(ROOT / file), os.path.abspath(build)], "is_parallel": True}
               for name, file in SCRIPTS.items()]
    return json.loads(text) + scripts


def end_left_behind(session):
    """How many processes had to be ended. One that is already ending gets two seconds for it."""
    deadline = time.monotonic() + 2
    while left := processes.in_session(session):
        if time.monotonic() > deadline:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return len(left)
        time.sleep(0.01)
    return 0


def wait_while_it_speaks(process, log, deadline):
    """The exit status; nothing if it hangs."""
    begin = heard = time.monotonic()
    size = 0
    while heard + deadline > time.monotonic() < begin + MOST_DEADLINES * deadline:
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            if size < (size := os.fstat(log.fileno()).st_size):
                heard = time.monotonic()
    return None


def execute(test, scratch):
    outcome = Outcome(test["name"])
    results = pathlib.Path(scratch) / "results.json"
    environment = os.environ | test.get("env", {}) | {"GTEST_OUTPUT": f"json:{results}", "TMPDIR": scratch}
    environment["GTEST_COLOR"] = "no"
    deadline = (test.get("timeout") or DEFAULT_DEADLINE) * int(os.environ.get("SALLYPORT_TIMES_SLOWER", 1))
    started = time.monotonic()
    with open(os.path.join(scratch, "output"), "w+b") as log:
        process = subprocess.Popen(
            test["cmd"], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
            cwd=test.get("workdir") or ROOT, start_new_session=True)
        status = wait_while_it_speaks(process, log, deadline)
        if status is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            outcome.faults.append(f"hangs: it has said nothing for {deadline} s, or is not at its end after {MOST_DEADLINES} times as long")
        if count := end_left_behind(process.pid):
            if status is not None:
                outcome.faults.append(f"left {count} process(es) behind")
        log.seek(0)
        outcome.output = log.read().decode(errors="replace")
    outcome.seconds = time.monotonic() - started
    count_cases(outcome, results, status)
    return outcome


def count_cases(outcome, results, status):
    if results.exists():
        for suite in json.loads(results.read_text())["testsuites"]:
            for case in suite["testsuite"]:
                if case.get("failures"):
                    outcome.failed += 1
                elif case["result"] in ("SKIPPED", "SUPPRESSED"):
                    outcome.skipped += 1
                else:
                    outcome.passed += 1
    elif re.search(r"^1\.\.\d+$", outcome.output, re.M):
        outcome.passed = len(re.findall(r"^ok ", outcome.output, re.M))
        outcome.failed = len(re.findall(r"^not ok ", outcome.output, re.M))
        if outcome.passed + outcome.failed != int(re.search(r"^1\.\.(\d+)$", outcome.output, re.M)[1]):
            outcome.faults.append("did not run all the cases that it announced")
    elif "[ RUN      ]" in outcome.output:  # a GoogleTest program that did not reach its end
        outcome.passed = len(re.findall(r"^\[       OK \]", outcome.output, re.M))
        outcome.failed = len(re.findall(r"^\[  FAILED  \] \S+ \(", outcome.output, re.M))
        outcome.faults.append("ended inside " + re.findall(r"^\[ RUN      \] (\S+)", outcome.output, re.M)[-1])
    elif status == 0:
        outcome.passed = 1
    if status is not None and status < 0:
        outcome.faults.append(f"killed by {signal.Signals(-status).name}")
    elif status and not outcome.failed:
        outcome.faults.append(f"exit status {status}")
    elif status == 0 and outcome.passed + outcome.failed + outcome.skipped == 0:
        outcome.faults.append("ran no case")
    if outcome.faults:
        outcome.failed += 1


def without_passed_cases(text):
    """GoogleTest's output less the cases that passed."""
    kept, case = [], []
    for line in text.splitlines():
        if line.startswith("[ RUN      ]"):
            kept, case = kept + case, []
        case.append(line)
        if line.startswith("[       OK ]"):
            case = []
    return kept + case


def report(outcome):
    verdict = "FAIL" if outcome.failed else "ok  "
    counts = f"{outcome.passed} passed"
    if outcome.failed:
        counts += f", {outcome.failed} failed"
    if outcome.skipped:
        counts += f", {outcome.skipped} skipped"
    print(f"{verdict} {outcome.name:<32} {counts:<32} {outcome.seconds:6.1f} s", flush=True)
    if outcome.failed:
        print("".join(f"     | {line}\n" for line in without_passed_cases(outcome.output)), end="")
        print("".join(f"     {outcome.name}: {fault}\n" for fault in outcome.faults), end="", flush=True)


def run_one(test):
    with tempfile.TemporaryDirectory(prefix="sallyport-test-") as scratch:
        os.chmod(scratch, 0o755)  # processes of another user pass through
        return execute(test, scratch)


def main():
    build, words = sys.argv[1], sys.argv[2:]
    tests = [t for t in declared_tests(build) if not words or any(w in t["name"] for w in words)]
    tests.sort(key=lambda t: -(t.get("timeout") or 0))  # the long ones first, so that they overlap the rest
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = [pool.submit(run_one, t) for t in tests if t["is_parallel"]]
        for done in concurrent.futures.as_completed(waiting):
            outcomes.append(done.result())
            report(outcomes[-1])
    for test in tests:
        if not test["is_parallel"]:
            outcomes.append(run_one(test))
            report(outcomes[-1])
    passed, failed, skipped = (sum(getattr(o, n) for o in outcomes) for n in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
