#!/usr/bin/python3
"""How fast the verbs that read audit logs read them: lines a second of processor time and of wall time, and peak memory. Run by hand.
33000000 lines are 10 GB; they are written below BUILD and deleted when all have read them. What is more than a million lines repeats them, later and with
other files.

usage: logs.py BUILD [LINES]
"""
import datetime
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "report"))
import month  # noqa: E402

BUILD = pathlib.Path(sys.argv[1]).resolve()
LINES = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
TOOL = str(BUILD / "policy/tool/verbs/sallyport-policy")
POLICY = str(pathlib.Path(month.__file__).with_name("policy.toml"))
BAR = 300_000
ONCE = min(LINES, 1_000_000)
MOST_MIB = 64


def usual(log):
    """Days as month.py has them, one after the other."""
    day = 0
    while log.sequence < ONCE:
        month.day_of(log, day)
        day += 1


def distinct(log):
    """No line like another: nothing that was decided once helps. The worst case, without a bar."""
    for number in range(ONCE):
        log.write(month.START + datetime.timedelta(seconds=number), "allow", "guest-file-open",
                  arguments={"path": f"/srv/export/{number % 977}/{number}.csv", "mode": "r", "handle": number}, rule="export")


def measure(words):
    """Processor seconds, seconds, peak MiB, and the status."""
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.execv(TOOL, [TOOL, *words])
    _, status, used = os.wait4(child, 0)
    return used.ru_utime + used.ru_stime, time.monotonic() - begin, used.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def main():
    folder = BUILD / "bench-logs"
    folder.mkdir(exist_ok=True)
    failed = False
    for make in (usual, distinct):
        once, path = folder / "once.jsonl", folder / f"{make.__name__}.jsonl"
        with open(once, "w") as file:
            make(month.Log(file))
        with open(path, "w") as file:
            subprocess.run([BUILD / "tests/bench/longer", once, str(LINES)], stdout=file, check=True)
        print(f"{make.__name__}: {LINES} lines, {path.stat().st_size / 1e6:.0f} MB", flush=True)
        for verb, words in (("verify-log", []), ("simulate", [POLICY]), ("unused", [POLICY]), ("learn", ["--policy", POLICY]),
                            ("metrics", []), ("report", ["--policy", POLICY])):
            seconds, passed, mib, status = measure([verb, *words, str(path)])
            speed = LINES / seconds
            is_good = speed >= BAR and mib <= MOST_MIB and status in (0, 3)
            verdict = "" if make is distinct else "ok" if is_good else f"BELOW BAR (status {status})"
            failed |= verdict.startswith("BELOW")
            print(f"  {verb:<12}{speed:>12,.0f} lines/s of processor time{LINES / passed:>12,.0f} lines/s{mib:>8.1f} MiB  {verdict}", flush=True)
        once.unlink()
        path.unlink()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
