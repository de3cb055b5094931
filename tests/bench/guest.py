#!/usr/bin/python3
"""Compares this agent with Debian's qemu-guest-agent in one guest, each on a virtio-serial port of its own.

usage: guest.py BUILD [--rounds N]     as root, which makes the guest's disk

The guest is that of ./dev vm-test, under the shipped unit; its processor is emulated. Rounds alternate between the agents, as in compare.py.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "vm")]

import compare  # noqa: E402
from guest import Guest  # noqa: E402
from images import Images  # noqa: E402

KIB, MIB = 1 << 10, 1 << 20
FILE = "/srv/read"
POLICY = f"""schema = 1
[[allow]]
id = "read"
commands = ["@file", "@info"]
files = [{{ under = "/srv", access = ["read"] }}]
"""
# name, words for the load client, units of work, name of the unit, least ratio to reach
SPEEDS = (
    ("guest-ping, one at a time", ("ask", "guest-ping", 500, 1), 500, "round trips/s", 1.5),
    ("guest-file-read, 4 KiB pieces", ("read", FILE, 4 * KIB, MIB), 1, "MiB/s", 1),
    ("guest-file-read, 64 KiB pieces", ("read", FILE, 64 * KIB, 8 * MIB), 8, "MiB/s", 1.5),
    ("guest-file-read, 1 MiB pieces", ("read", FILE, MIB, 16 * MIB), 16, "MiB/s", 3),
)


def run_load(build, socket, words):
    command = [os.path.join(build, "tests/bench/load"), socket, words[0], *map(str, words[1:])]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stderr.strip()}"
    return float(result.stdout)


def measure(guest, build, rounds):
    guest.shell.get("systemd-run --unit=compare qemu-ga -m virtio-serial -p /dev/virtio-ports/org.sallyport.compare -t /run", 90)
    guest.shell.get(f"head -c {compare.FILE_SIZE} /dev/urandom > {FILE}", 120)
    guest.host.close()
    for name, words, units, unit, bar in SPEEDS:
        row = compare.Row(name, unit, bar, True)
        for number in range(rounds):
            sides = [(row.ours, "agent"), (row.theirs, "compare")]
            for figures, port in sides if number % 2 else reversed(sides):
                figures.append(units / run_load(build, guest.path(port), words))
        print(f"  {name}: done", file=sys.stderr)
        yield row


def main():
    options = argparse.ArgumentParser()
    options.add_argument("build")
    options.add_argument("--rounds", type=int, default=5)
    options = options.parse_args()
    images = Images(options.build)
    images.make()
    case = types.SimpleNamespace(GUEST="debian", POLICY=POLICY, MEMORY=768)
    with tempfile.TemporaryDirectory(prefix="sallyport-vm-") as folder:
        guest = Guest(images, folder, case)
        try:
            guest.power_on()
            reports = [row.report() for row in measure(guest, options.build, options.rounds)]
        finally:
            guest.end()
    compare.print_table(reports, ["sallyport", "qemu-ga"], 1)
    target = os.path.join(options.build, "bench-guest.json")
    with open(target, "w", encoding="utf-8") as file:
        json.dump(reports, file, indent=1)
    print(f"written to {target}")


if __name__ == "__main__":
    main()
