#!/usr/bin/python3
"""Compares this agent with Debian's qemu-guest-agent, side by side on one machine in one run.

usage: compare.py BUILD [--rounds N] [--idle SECONDS] [--cpus N] [--self]

Both agents run at the same time on unix sockets, and each measurement alternates between them, so that what disturbs
the machine disturbs both. A figure is the median of the rounds; the spread of the ratio is its lowest and highest
round. All is measured twice, on one CPU and on all of them: on one it is the agents' work that is compared, on several
also the time in which the machine wakes a sleeping CPU, which in a virtual machine is longer than that work. --cpus
measures once, on so many. --self puts a second qemu-ga in this agent's place: what it shows is the error of the method.
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

# name, words for the load client, units of work, name of the unit, least ratio to reach (on one CPU, on several) if there is one
SPEEDS = [
    ("guest-ping, one at a time", ["ask", "guest-ping", 8000, 1], 8000, "round trips/s", (2, 2)),
    ("guest-ping, pipelined", ["ask", "guest-ping", 30000, 50], 30000, "round trips/s", (10, 10)),
    ("guest-fsfreeze-status, one at a time", ["ask", "guest-fsfreeze-status", 8000, 1], 8000, "round trips/s", (2, 2)),
    ("guest-file-read, 4 KiB pieces", ["read", 4 * KIB, 24 * MIB], 24, "MiB/s", (2, 1.5)),
    ("guest-file-read, 64 KiB pieces", ["read", 64 * KIB, 48 * MIB], 48, "MiB/s", (6, 6)),
    ("guest-file-read, 1 MiB pieces", ["read", MIB, 96 * MIB], 96, "MiB/s", (8, 8)),
    ("guest-file-read, 48 MiB pieces", ["read", 48 * MIB, 96 * MIB], 96, "MiB/s", (10, 10)),
    ("guest-file-write, 4 KiB pieces", ["write", 4 * KIB, 8 * MIB], 8, "MiB/s", (2, 2)),
    ("guest-file-write, 64 KiB pieces", ["write", 64 * KIB, 64 * MIB], 64, "MiB/s", (10, 10)),
    ("guest-file-write, 1 MiB pieces", ["write", MIB, 64 * MIB], 64, "MiB/s", (12, 12)),
    ("guest-get-host-name, one at a time", ["ask", "guest-get-host-name", 1000, 1], 1000, "replies/s", (0.6, 0.6)),
    ("guest-network-get-interfaces, one at a time", ["ask", "guest-network-get-interfaces", 1000, 1], 1000, "replies/s", None),
    ("guest-get-fsinfo, one at a time", ["ask", "guest-get-fsinfo", 500, 1], 500, "replies/s", None),
    ("guest-get-disks, one at a time", ["ask", "guest-get-disks", 200, 1], 200, "replies/s", None),
]
PROGRAMS, PROGRAM_PAUSE_MS = 40, 30
# What hosts ask again and again, as far as qemu-ga 7.2 answers it: (whose, how it connects, commands)
QUIET = 10  # seconds before each cycle
CYCLES = [
    ("KubeVirt", "shared", ["guest-info", "guest-fsfreeze-status", "guest-get-fsinfo", "guest-network-get-interfaces",
                            "guest-get-osinfo", "guest-get-host-name", "guest-get-timezone", "guest-get-users"]),
    ("Proxmox", "apart", ["guest-ping", "guest-info", "guest-get-osinfo", "guest-get-host-name", "guest-get-time",
                          "guest-network-get-interfaces", "guest-get-fsinfo", "guest-get-vcpus"]),
]


class Row:
    """One line of the table: our figures and theirs, round by round. `bar` is for ours / theirs, or theirs / ours
    where less is better; `most` is for our figure itself."""

    def __init__(self, name, unit, bar, more_is_better, most=None):
        self.name, self.unit, self.bar, self.more_is_better, self.most = name, unit, bar, more_is_better, most
        self.ours, self.theirs = [], []

    def ratios(self):
        pairs = zip(self.ours, self.theirs)
        ratios = [(o / t if self.more_is_better else t / o) for o, t in pairs if o and t]
        return ratios if len(ratios) == len(self.ours) else []

    def verdict(self, middle):
        if self.ours and self.ours[0] is None:
            return "not shown to this user"
        if self.most is not None:
            return "ok" if statistics.median(self.ours) <= self.most else "BELOW BAR"
        if self.bar is None:
            return ""
        if middle is None:  # zero on a side: nothing to divide by
            return "ok" if statistics.median(self.ours) <= statistics.median(self.theirs) else "BELOW BAR"
        return "ok" if middle >= self.bar else "BELOW BAR"

    def report(self):
        ratios = self.ratios()
        middle = statistics.median(ratios) if ratios else None
        return {"name": self.name, "unit": self.unit, "ours": self.ours, "theirs": self.theirs, "ratio": middle,
                "lowest": min(ratios, default=None), "highest": max(ratios, default=None), "bar": self.bar,
                "most": self.most, "verdict": self.verdict(middle)}


class Bench:
    """One machine, two agents, a scratch folder and a number of CPUs."""

    def __init__(self, options, scratch, cpus):
        self.options, self.scratch, self.cpus = options, scratch, cpus
        self.build = os.path.abspath(options.build)

    def start(self, side, more=""):
        if side == "theirs" or self.options.self:
            return agents.qemu_ga(self.scratch)
        return agents.sallyport(self.scratch, self.build, more)

    def run_load(self, agent, words):
        verb, *rest = words
        file = {"read": [os.path.join(self.scratch, "files", "read")],
                "write": [os.path.join(self.scratch, "files", f"written-{agent.name}")]}.get(verb, [])
        command = [os.path.join(self.build, "tests/bench/load"), agent.socket, verb, *file, *map(str, rest)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if result.returncode:
            raise SystemExit(f"bench: {agent.name}: {' '.join(command[2:])}: {result.stderr.strip()}")
        return float(result.stdout)

    def measure_speeds(self):
        rows = []
        with self.start("theirs") as theirs, self.start("ours", agents.LOOKING) as ours:
            for name, words, units, unit, bars in SPEEDS:
                row = Row(name, unit, bars and bars[self.cpus > 1], True)
                for number in range(self.options.rounds):
                    sides = [(row.ours, ours), (row.theirs, theirs)]
                    for figures, agent in sides if number % 2 else reversed(sides):
                        figures.append(units / self.run_load(agent, words))
                print(f"  {name}: done", file=sys.stderr)
                rows.append(row)
        return rows

    def measure_cycles(self):
        """Each after a quiet while of both agents, in which what they keep ready may be given up."""
        rows = []
        with self.start("theirs") as theirs, self.start("ours", agents.LOOKING) as ours:
            for whose, how, commands in CYCLES:
                wall = Row(f"{whose}'s polling cycle after {QUIET} quiet seconds", "us", 1, False)
                work = Row(f"{whose}'s polling cycle, processor time", "us", 1, False)
                for number in range(self.options.rounds):
                    time.sleep(QUIET)
                    sides = [("ours", ours), ("theirs", theirs)]
                    for side, agent in sides if number % 2 else reversed(sides):
                        before = agent.cpu_seconds()
                        getattr(wall, side).append(self.run_load(agent, ["cycle", how, ",".join(commands)]) * 1e6)
                        getattr(work, side).append(None if before is None else (agent.cpu_seconds() - before) * 1e6)
                print(f"  {whose}'s cycle: done", file=sys.stderr)
                rows += [wall, work]
        return rows

    def measure_programs(self):
        """With a pause between two, as between a host's, and in a row; on one connection, as libvirt does."""
        rows = []
        if os.geteuid() != 0:  # the rule starts them as root
            return rows
        with self.start("theirs") as theirs, self.start("ours", agents.STARTING) as ours:
            for how, pause, bar in (("to its exit status", PROGRAM_PAUSE_MS, 1), ("in a row", 0, None)):
                row = Row(f"guest-exec of /bin/true with output, {how}", "us", bar, False)
                for number in range(self.options.rounds):
                    sides = [(row.ours, ours), (row.theirs, theirs)]
                    for figures, agent in sides if number % 2 else reversed(sides):
                        seconds = self.run_load(agent, ["exec", "/bin/true", PROGRAMS, pause])
                        figures.append(seconds / PROGRAMS * 1e6)
                rows.append(row)
        return rows

    def measure_start(self):
        row = Row("start, from exec to the first answer", "ms", None, False, most=40)
        for _ in range(self.options.rounds):
            for side in ("theirs", "ours"):
                with self.start(side) as agent:
                    getattr(row, side).append(agent.start_seconds * 1e3)
        return [row]

    def measure_memory(self):
        peak = Row("peak memory in a 48 MiB read, sum of PSS", "KiB", 20, False)
        resident = Row("the same, sum of VmHWM (shared pages count in each)", "KiB", None, False)
        for _ in range(min(3, self.options.rounds)):
            for side in ("theirs", "ours"):
                with self.start(side) as agent:
                    watch = agents.MemoryWatch(agent)
                    watch.start()
                    self.run_load(agent, ["read", 48 * MIB, 4 * 48 * MIB])
                    getattr(peak, side).append(watch.stop() or None)
                    getattr(resident, side).append(agent.total("status", "VmHWM:"))
        return [peak, resident]

    def measure_idle(self, looks):
        what = ", with the inspector" if looks else ""
        memory = Row(f"idle memory, sum of PSS{what}", "KiB", 0.8, False)
        wakeups = Row(f"wake-ups while idle{what}", "per minute", 1, False)
        with self.start("theirs") as theirs, self.start("ours", agents.LOOKING if looks else "") as ours:
            time.sleep(1)  # what answering the first ping set off
            sides = [("ours", ours), ("theirs", theirs)]
            before = [agent.total("status", ("voluntary_ctxt", "nonvoluntary_ctxt")) for _, agent in sides]
            time.sleep(self.options.idle)
            for (side, agent), count in zip(sides, before):
                now = agent.total("status", ("voluntary_ctxt", "nonvoluntary_ctxt"))
                getattr(wakeups, side).append((now - count) * 60 / self.options.idle)
                getattr(memory, side).append(agent.total("smaps_rollup", "Pss:"))
        return [memory, wakeups]

    def measure_stall(self):
        """By a program of its own, which freezes the same file systems by both agents in turns."""
        row = Row("longest stall of writers at a freeze of twenty file systems", "us", 8, False)
        if os.geteuid() != 0 or self.options.self:
            return []
        program = os.path.join(self.build, "tests/bench/freeze_stall")
        environment = os.environ | {"SALLYPORT_BUILD_ROOT": self.build}
        result = subprocess.run([program], capture_output=True, text=True, timeout=600, env=environment)
        if result.returncode:
            raise SystemExit(f"bench: {program}:\n{result.stdout}{result.stderr}")
        found = json.loads(next(line for line in result.stdout.splitlines() if line.startswith("{")))
        row.ours, row.theirs = found["ours"], found["theirs"]
        return [row]

    def measure(self):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:self.cpus])
        rows = self.measure_speeds() + self.measure_programs() + self.measure_cycles() + self.measure_start()
        return rows + self.measure_memory() + self.measure_idle(False) + self.measure_idle(True) + self.measure_stall()


def shown(figure):
    return "-" if figure is None else f"{figure:,.0f}"


def print_table(reports, names, cpus):
    heading = "on one CPU" if cpus == 1 else f"on {cpus} CPUs"
    print(f"{heading:<60}{names[0]:>12}{names[1]:>12}  {'':<14}{'ratio':>7}  {'spread':<15}{'bar':>8}")
    for r in reports:
        ours, theirs = (statistics.median(r[s]) if None not in r[s] else None for s in ("ours", "theirs"))
        ratio = "-" if r["ratio"] is None else f"{r['ratio']:.2f}"
        spread = "" if r["ratio"] is None else f"{r['lowest']:.2f} to {r['highest']:.2f}"
        bar = f"<= {r['most']}" if r["most"] is not None else r["bar"] or "-"
        print(f"{r['name']:<60}{shown(ours):>12}{shown(theirs):>12}  {r['unit']:<14}{ratio:>7}  {spread:<15}"
              f"{bar:>8}  {r['verdict']}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("build")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--idle", type=float, default=15, metavar="SECONDS")
    options.add_argument("--cpus", type=int)
    options.add_argument("--self", action="store_true")
    options = options.parse_args()
    all_cpus = os.sched_getaffinity(0)
    names = ["qemu-ga (2)" if options.self else "sallyport", "qemu-ga"]
    runs = []
    for cpus in [options.cpus] if options.cpus else sorted({1, len(all_cpus)}):
        os.sched_setaffinity(0, all_cpus)
        with tempfile.TemporaryDirectory(prefix="sallyport-bench-") as scratch:
            os.mkdir(os.path.join(scratch, "files"))
            with open(os.path.join(scratch, "files", "read"), "wb") as file:
                file.write(os.urandom(FILE_SIZE))
            reports = [row.report() for row in Bench(options, scratch, cpus).measure()]
        print_table(reports, names, cpus)
        runs.append({"cpus": cpus, "rows": reports})
    target = os.path.join(options.build, "bench.json")
    with open(target, "w", encoding="utf-8") as file:
        json.dump({"agents": names, "runs": runs}, file, indent=1)
    print(f"written to {target}")


if __name__ == "__main__":
    main()
