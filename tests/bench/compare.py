#!/usr/bin/python3
"""Compares this agent with Debian's qemu-guest-agent, side by side on one machine in one run.

usage: compare.py BUILD [--rounds N] [--idle SECONDS] [--cpus N] [--self]

Both agents run at the same time on unix sockets, and each measurement alternates between them, so that what disturbs
the machine disturbs both. A figure is the median of the rounds; the spread of the ratio is its lowest and highest
round. Everything runs on one CPU unless --cpus says otherwise: it is the agents' work that is compared, not the time
in which the machine wakes a sleeping CPU, which in a virtual machine is longer than that work. --self puts a second
qemu-ga in this agent's place: what it shows is the error of the method.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import agents

KIB, MIB = 1 << 10, 1 << 20
FILE_SIZE = 48 * MIB  # load.cpp reads such a file round and round

# name, words for the load client, units of work, name of the unit, least ratio to reach if there is one
SPEEDS = [
    ("guest-ping, one at a time", ["ask", "guest-ping", 8000, 1], 8000, "round trips/s", 2),
    ("guest-ping, pipelined", ["ask", "guest-ping", 30000, 50], 30000, "round trips/s", 4),
    ("guest-file-read, 4 KiB pieces", ["read", 4 * KIB, 24 * MIB], 24, "MiB/s", 2.5),
    ("guest-file-read, 64 KiB pieces", ["read", 64 * KIB, 48 * MIB], 48, "MiB/s", 6),
    ("guest-file-read, 1 MiB pieces", ["read", MIB, 96 * MIB], 96, "MiB/s", 8),
    ("guest-file-read, 48 MiB pieces", ["read", 48 * MIB, 96 * MIB], 96, "MiB/s", 10),
    ("guest-file-write, 4 KiB pieces", ["write", 4 * KIB, 8 * MIB], 8, "MiB/s", 6),
    ("guest-file-write, 64 KiB pieces", ["write", 64 * KIB, 64 * MIB], 64, "MiB/s", 12),
    ("guest-file-write, 1 MiB pieces", ["write", MIB, 64 * MIB], 64, "MiB/s", 12),
    ("guest-get-host-name, one at a time", ["ask", "guest-get-host-name", 1000, 1], 1000, "replies/s", None),
    ("guest-network-get-interfaces, one at a time", ["ask", "guest-network-get-interfaces", 1000, 1], 1000, "replies/s", None),
    ("guest-get-fsinfo, one at a time", ["ask", "guest-get-fsinfo", 500, 1], 500, "replies/s", None),
    ("guest-get-disks, one at a time", ["ask", "guest-get-disks", 200, 1], 200, "replies/s", None),
]


class Row:
    """One line of the table: our figures and theirs, round by round. `bar` is for ours / theirs, or theirs / ours
    where less is better."""

    def __init__(self, name, unit, bar, more_is_better):
        self.name, self.unit, self.bar, self.more_is_better = name, unit, bar, more_is_better
        self.ours, self.theirs = [], []

    def ratios(self):
        pairs = zip(self.ours, self.theirs)
        ratios = [(o / t if self.more_is_better else t / o) for o, t in pairs if o and t]
        return ratios if len(ratios) == len(self.ours) else []

    def report(self):
        ratios = self.ratios()
        middle = statistics.median(ratios) if ratios else None
        if self.bar is None:
            verdict = ""
        elif self.ours and self.ours[0] is None:
            verdict = "not shown to this user"
        elif middle is None:  # zero on a side: nothing to divide by
            verdict = "ok" if statistics.median(self.ours) <= statistics.median(self.theirs) else "BELOW BAR"
        else:
            verdict = "ok" if middle >= self.bar else "BELOW BAR"
        return {"name": self.name, "unit": self.unit, "ours": self.ours, "theirs": self.theirs, "ratio": middle,
                "lowest": min(ratios, default=None), "highest": max(ratios, default=None), "bar": self.bar,
                "verdict": verdict}


def run_load(build, agent, words, scratch):
    verb, *numbers = words
    file = {"ask": [], "read": [os.path.join(scratch, "files", "read")],
            "write": [os.path.join(scratch, "files", f"written-{agent.name}")]}[verb]
    command = [os.path.join(build, "tests/bench/load"), agent.socket, verb, *file, *map(str, numbers)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if result.returncode:
        raise SystemExit(f"bench: {agent.name}: {' '.join(command[2:])}: {result.stderr.strip()}")
    return float(result.stdout)


def measure_speeds(build, scratch, start, rounds):
    rows = []
    with start["theirs"]() as theirs, start["ours"](True) as ours:
        for name, words, units, unit, bar in SPEEDS:
            row = Row(name, unit, bar, True)
            for number in range(rounds):
                sides = [(row.ours, ours), (row.theirs, theirs)]
                for figures, agent in sides if number % 2 else reversed(sides):
                    figures.append(units / run_load(build, agent, words, scratch))
            print(f"  {name}: done", file=sys.stderr)
            rows.append(row)
    return rows


def measure_memory(build, scratch, start, rounds):
    peak = Row("peak memory in a 48 MiB read, sum of PSS", "KiB", 10, False)
    resident = Row("the same, sum of VmHWM (shared pages count in each)", "KiB", 10, False)
    for _ in range(rounds):
        for side in ("theirs", "ours"):
            with start[side]() as agent:
                watch = agents.MemoryWatch(agent)
                watch.start()
                run_load(build, agent, ["read", 48 * MIB, 4 * 48 * MIB], scratch)
                getattr(peak, side).append(watch.stop() or None)
                getattr(resident, side).append(agent.total("status", "VmHWM:"))
    return [peak, resident]


def measure_idle(start, seconds, looks):
    what = ", with the inspector" if looks else ""
    memory = Row(f"idle memory, sum of PSS{what}", "KiB", None if looks else 1, False)
    wakeups = Row(f"wake-ups while idle{what}", "per minute", 1, False)
    with start["theirs"]() as theirs, start["ours"](looks) as ours:
        time.sleep(1)  # what answering the first ping set off
        sides = [("ours", ours), ("theirs", theirs)]
        before = [agent.total("status", ("voluntary_ctxt", "nonvoluntary_ctxt")) for _, agent in sides]
        time.sleep(seconds)
        for (side, agent), count in zip(sides, before):
            now = agent.total("status", ("voluntary_ctxt", "nonvoluntary_ctxt"))
            getattr(wakeups, side).append((now - count) * 60 / seconds)
            getattr(memory, side).append(agent.total("smaps_rollup", "Pss:"))
    return [memory, wakeups]


def shown(figure):
    return "-" if figure is None else f"{figure:,.0f}"


def print_table(reports, names):
    print(f"{'':<52}{names[0]:>12}{names[1]:>12}  {'':<14}{'ratio':>7}  {'spread':<15}{'bar':>5}")
    for r in reports:
        ours, theirs = (statistics.median(r[s]) if None not in r[s] else None for s in ("ours", "theirs"))
        ratio = "-" if r["ratio"] is None else f"{r['ratio']:.2f}"
        spread = "" if r["ratio"] is None else f"{r['lowest']:.2f} to {r['highest']:.2f}"
        print(f"{r['name']:<52}{shown(ours):>12}{shown(theirs):>12}  {r['unit']:<14}{ratio:>7}  {spread:<15}"
              f"{r['bar'] or '-':>5}  {r['verdict']}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("build")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--idle", type=float, default=15, metavar="SECONDS")
    options.add_argument("--cpus", type=int, default=1)
    options.add_argument("--self", action="store_true")
    options = options.parse_args()
    build = os.path.abspath(options.build)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.cpus])
    with tempfile.TemporaryDirectory(prefix="sallyport-bench-") as scratch:
        os.mkdir(os.path.join(scratch, "files"))
        with open(os.path.join(scratch, "files", "read"), "wb") as file:
            file.write(os.urandom(FILE_SIZE))
        start = {"theirs": lambda: agents.qemu_ga(scratch), "ours": lambda looks=False: agents.sallyport(scratch, build, looks)}
        if options.self:
            start["ours"] = lambda looks=False: start["theirs"]()
        rows = measure_speeds(build, scratch, start, options.rounds)
        rows += measure_memory(build, scratch, start, min(3, options.rounds))
        rows += measure_idle(start, options.idle, False) + measure_idle(start, options.idle, True)
    reports = [row.report() for row in rows]
    names = ["qemu-ga (2)" if options.self else "sallyport", "qemu-ga"]
    print_table(reports, names)
    target = os.path.join(build, "bench.json")
    with open(target, "w", encoding="utf-8") as file:
        json.dump({"agents": names, "cpus": options.cpus, "rows": reports}, file, indent=1)
    print(f"written to {target}")


if __name__ == "__main__":
    main()
