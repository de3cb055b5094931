#!/usr/bin/python3
"""A second opinion about `diff`, by hand: z3, told what docs/policy.md says of files and commands, is asked whether a host can do more, or less.

usage: second_opinion.py TOOL [COUNT] [SEED]

Of each pair of random policies both say in which directions there is a request that one policy allows and the other does not. z3 knows nothing of our cells: it
searches paths as texts, sizes and owners as numbers.
"""
import json
import pathlib
import random
import re
import sys

import agreement
import tap
import z3
from tap import tool

COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 200
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 30)
TOP = pathlib.Path("/srv/top")
FOUND = ["regular", "directory", "fifo", "socket", "char", "block"]
MODES = {"r": {"read"}, "w": {"write"}, "a": {"write"}, "r+": {"read", "write"}, "w+": {"read", "write"}, "a+": {"read", "write"}}
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

command, path, mode, kind = z3.Strings("command path mode kind")
owner, size, links = z3.Ints("owner size links")
new, setid, link = z3.Bools("new setid link")


def one_of(value, words):
    return z3.Or([value == word for word in words])


def possible():
    """What a request can be: a path in its shortest form, a file as there are files."""
    letter = z3.Union(z3.Range("a", "z"), z3.Range("0", "9"))
    shortest = z3.Plus(z3.Concat(z3.Re("/"), z3.Plus(letter)))
    is_open = command == "guest-file-open"
    return z3.And(
        one_of(command, ["guest-file-open", *agreement.LOOK]), z3.InRe(path, shortest), z3.Length(path) < 40, one_of(mode, list(MODES)), one_of(kind, FOUND),
        owner >= 0, size >= 0, links >= 1, z3.Implies(new, one_of(mode, ["w", "a", "w+", "a+"])),
        # Of a file that is made, and of one that is no regular one, nothing is found that could be refused.
        z3.Implies(new, z3.And(kind == "regular", owner == 0, links == 1, z3.Not(link))),
        z3.Implies(z3.Or(new, kind != "regular"), z3.And(size == 0, z3.Not(setid))), z3.Implies(kind != "regular", links == 1),
        z3.Implies(z3.Not(is_open), path == "/a"))


def wants(access):
    """Whether the mode wants this access."""
    if access == "create":
        return new
    return one_of(mode, [name for name, wanted in MODES.items() if access in wanted])


def lies_in(under):
    return True if under == "/" else z3.Or(path == under, z3.PrefixOf(z3.StringVal(under + "/"), path))


def bytes_of(text):
    number, unit = re.fullmatch(r"(\d+)(\w+)", text).groups()
    return int(number) * UNITS[unit]


def entry_allows(entry):
    fits = [lies_in(entry["under"]), *(z3.Not(wants(access)) for access in ("read", "write", "create") if access not in entry["access"])]
    found = [one_of(kind, entry.get("kinds", ["regular"]))]
    if "max_size" in entry:
        found.append(size <= bytes_of(entry["max_size"]))
    if "owner" in entry:
        found.append(one_of(owner, entry["owner"]))
    if entry.get("links", "single") == "single":
        found.append(links == 1)
    if entry.get("setid", "refuse") == "refuse":
        found.append(z3.Not(setid))
    if entry.get("symlinks", "refuse") == "refuse":
        found.append(z3.Not(link))
    return z3.And(*fits, z3.Or(new, z3.And(found)))


def rule_matches(rule, is_allow):
    named = one_of(command, rule["commands"])
    if "files" not in rule:
        return named
    if is_allow:
        matches = z3.Or([entry_allows(entry) for entry in rule["files"]])
    else:
        matches = z3.Or([z3.And(lies_in(entry["under"]), z3.Or([wants(access) for access in entry.get("access", ["read", "write", "create"])]))
                         for entry in rule["files"]])
    return z3.And(named, z3.Implies(command == "guest-file-open", matches))


def allows(policy):
    return z3.And(z3.Or([rule_matches(rule, True) for rule in policy.get("allow", [])]), z3.Not(z3.Or([rule_matches(rule, False) for rule in policy.get("deny", [])])))


def by_z3(before, after):
    """The directions in which there is a request."""
    found = set()
    for direction, wide, narrow in (("wider", after, before), ("narrower", before, after)):
        solver = z3.Solver()
        solver.set("timeout", 60_000)
        solver.add(possible(), allows(wide), z3.Not(allows(narrow)))
        answer = solver.check()
        if answer == z3.unknown:
            raise RuntimeError("z3 does not know")
        if answer == z3.sat:
            found.add(direction)
            found.add(f"  {direction}: {solver.model()}")
    return found


def by_diff(folder):
    said = json.loads(tool("diff", "--json", folder / "before.toml", folder / "after.toml").stdout)
    asked = {"guest-file-open", *agreement.LOOK}
    return {one["direction"] for one in said["differences"]
            if "before" in one and one["before"]["allowed"] != one["after"]["allowed"] and asked & {*one["commands"].split(), one["request"].split()[0]}}, said


def with_fewer_rules(text):
    head, *rules = text.split("\n[[")
    return "\n[[".join([head, *(rule for rule in rules if agreement.draw.random() < 0.8)])


def check_z3_and_diff_see_the_same():
    agreement.draw.seed(SEED)
    seen = {}
    with tap.scratch() as name:
        folder = pathlib.Path(name)
        for _ in range(COUNT):
            policies = {}
            text = agreement.policy(TOP)
            for which in ("before", "after"):
                (folder / f"{which}.toml").write_text(text)
                policies[which] = json.loads(tool("effective", "--json", folder / f"{which}.toml").stdout)
                # Half of the pairs differ by a little.
                text = agreement.policy(TOP) if agreement.draw.random() < 0.5 else with_fewer_rules(text)
            z3_says = by_z3(policies["before"], policies["after"])
            ours, said = by_diff(folder)
            seen[tuple(sorted(ours))] = seen.get(tuple(sorted(ours)), 0) + 1
            if {word for word in z3_says if not word.startswith(" ")} != ours:
                yield f"seed {SEED}: z3: {z3_says}; diff: {json.dumps(said)[:1500]}"
                yield (folder / "before.toml").read_text() + "-- after:\n" + (folder / "after.toml").read_text()
                return
    print(f"# {COUNT} pairs, seed {SEED}: {seen}")


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
