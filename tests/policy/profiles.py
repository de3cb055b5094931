#!/usr/bin/python3
"""The shipped profiles: what each lets a host do is tried command by command, written down, and compared with the others.

usage: profiles.py TOOL [--write]     with --write the texts of what each means are written anew
"""
import difflib
import functools
import re
import sys

import tap
from tap import ROOT, tool

FOLDER = ROOT / "policy/tool/profiles"
PROFILES = sorted(file.stem for file in FOLDER.glob("*.toml"))
COMMANDS = re.findall(r'Command\{CommandId::\w+,\s*"([a-z-]+)"', (ROOT / "schema/commands.hpp").read_text())
PAGE = (ROOT / "docs/profiles.md").read_text()
SCRATCH = tap.scratch()

# What each profile is a part of, directly; all else follows. What stands in no line does more than the other, and less.
PART_OF = {
    "minimal": {"lifecycle", "proxmox"},
    "lifecycle": {"libvirt", "openstack", "confidential"},
    "libvirt": {"libvirt-backup"},
    "openstack": {"libvirt-backup", "kubevirt"},
    "libvirt-backup": {"compat"},
    "kubevirt": {"compat"},
    "proxmox": {"compat"},
    "confidential": {"compat"},
    "compat": set(),
}
# What upstream proposed for confidential guests in June 2024, and never merged.
PROPOSED = {
    "guest-sync", "guest-sync-delimited", "guest-ping", "guest-get-time", "guest-set-time", "guest-info", "guest-shutdown",
    "guest-fsfreeze-status", "guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list", "guest-fsfreeze-thaw", "guest-fstrim",
    "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid", "guest-get-vcpus", "guest-set-vcpus",
    "guest-get-memory-blocks", "guest-set-memory-blocks", "guest-get-memory-block-info", "guest-get-host-name", "guest-get-cpustats",
}
# Each difference of ours; the reasons stand on the page.
NOT_OURS = {"guest-set-time", "guest-set-vcpus", "guest-set-memory-blocks", "guest-suspend-disk", "guest-suspend-hybrid"}


def policy(profile):
    """A policy that is this profile and nothing else."""
    file = f"{SCRATCH.name}/{profile}.toml"
    with open(file, "w") as out:
        out.write(f'schema = 1\ninclude = "profile:{profile}"\n')
    return file


@functools.cache
def possible(profile):
    """The commands of which a host can do something."""
    return frozenset(command for command in COMMANDS if tool("can", policy(profile), command).returncode == 0)


def cases(profile):
    """The command and the expectation of each case."""
    text = (FOLDER / f"cases/{profile}.toml").read_text()
    return re.findall(r'^request = "(\S+)[^\n]*"\nexpect = "(\w+)"', text, re.M)


def check_the_profiles_are_those_of_the_plan():
    yield from set(PROFILES) ^ set(PART_OF)


def check_every_case_holds_and_nothing_that_a_profile_says_goes_untried():
    for profile in PROFILES:
        said = tool("test", "--min", "100", "--mutate", policy(profile), FOLDER / f"cases/{profile}.toml")
        if said.returncode != 0:
            yield f"{profile}: {said.stdout}{said.stderr}"


def check_every_command_has_a_case_for_each_verdict():
    for profile in PROFILES:
        allowed = possible(profile)
        tried = set(cases(profile))
        for command in COMMANDS:
            if ((command, "allow") in tried) != (command in allowed):
                yield f"{profile}: {command}: {'no' if command in allowed else 'a'} case in which it is allowed"
            if command not in allowed and (command, "refuse") not in tried:
                yield f"{profile}: {command}: no case in which it is refused"


def check_what_each_means_is_written_down():
    for profile in PROFILES:
        file = FOLDER / f"effective/{profile}.toml"
        now = tool("effective", policy(profile)).stdout
        if "--write" in sys.argv:
            file.write_text(now)
        was = file.read_text() if file.exists() else ""
        yield from difflib.unified_diff(was.splitlines(), now.splitlines(), f"effective/{profile}.toml", "is", lineterm="", n=0)


def check_each_is_laid_out_as_policies_are_and_says_why():
    for profile in PROFILES:
        if tool("fmt", "--check", FOLDER / f"{profile}.toml").returncode != 0:
            yield f"{profile}: fmt would lay it out otherwise"
        text = (FOLDER / f"{profile}.toml").read_text()
        if len(re.findall(r"^why = ", text, re.M)) != len(re.findall(r"^id = ", text, re.M)):
            yield f"{profile}: a rule has no why"
        yield from (f"{profile}: id {name}" for name in re.findall(r'^id = "(.*)"', text, re.M) if not name.startswith(profile + "-"))


def parts_of(profile):
    """The profiles of which this one is a part."""
    return PART_OF[profile].union(*(parts_of(larger) for larger in PART_OF[profile]))


def check_each_has_its_place_among_the_others():
    for one in PROFILES:
        for other in PROFILES:
            expected = 0 if one == other else 3 if other in parts_of(one) else 4
            said = tool("diff", policy(other), policy(one))
            if said.returncode != expected:
                yield f"diff {other} {one}: {said.returncode} and not {expected}: {said.stdout[:400]}"


def check_confidential_differs_from_what_upstream_proposed_only_where_the_page_says_why():
    yield from (f"{command}: differs" for command in (PROPOSED ^ possible("confidential")) ^ NOT_OURS)
    section = re.search(r"^## confidential\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]
    for command in NOT_OURS:
        if not re.search(rf"^\| `{command}`.*\| \w", section, re.M):
            yield f"docs/profiles.md gives no reason why there is no {command}"


def check_no_rule_beside_confidential_lets_a_host_in():
    for rule in ('commands = ["guest-set-user-password"]\nusers = ["root"]\ncrypted = "any"',
                 'commands = ["@exec"]\n[[allow.exec]]\nprogram = "/bin/true"\nargs = []\nrun_as = "root"',
                 'commands = ["guest-suspend-disk"]'):
        file = f"{SCRATCH.name}/wider.toml"
        with open(file, "w") as out:
            out.write(f'schema = 1\ninclude = "profile:confidential"\n[[allow]]\nid = "more"\n{rule}\n')
        said = tool("check", file)
        if said.returncode != 1 or "is broken: rule 'more'" not in said.stderr:
            yield f"{rule}: {said.returncode}: {said.stderr}"


def table():
    """The columns of the page's table: which commands a profile lets a host use at all."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in PAGE.splitlines() if re.match(r"\| (command|`guest-[a-z-]+`) \|", line) and line.count("|") > 5]
    return {name: {row[0].strip("`") for row in rows[1:] if row[at]} for at, name in enumerate(rows[0]) if at}, {row[0].strip("`") for row in rows[1:]}


def check_the_table_of_the_page_is_what_the_tool_says():
    columns, named = table()
    floor = possible("minimal")
    yield from (f"{command}: in the table or of the floor, not both" for command in named ^ (set(COMMANDS) - floor))
    yield from (f"{profile}: no column" for profile in set(PROFILES) ^ set(columns))
    for profile, commands in columns.items():
        for command in (commands | floor) ^ possible(profile):
            yield f"{profile}: {command}: the table is wrong"


def check_the_page_has_a_section_for_each_and_says_what_a_host_cannot_do():
    for profile in PROFILES:
        section = re.search(rf"^## {profile}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
        if not section or "**Lets**" not in section[1] or "**Does not**" not in section[1]:
            yield profile


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
