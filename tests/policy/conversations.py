#!/usr/bin/python3
"""What each client sends, as it sends it, and the profile that is made for it: each line is allowed, and each that it lives without is refused.

The agent's own answers to these lines are held by tests/e2e/inspect_clients_test.cpp and tests/vm/cases/virsh.py; here nothing is carried out, so that
also the lines that end or suspend the guest are asked about.

usage: conversations.py TOOL
"""
import json
import sys

import tap
from profiles import PROFILES, policy
from tap import tool

# libvirt: compact, one guest-sync before each command, no arguments where there are none.
SYNC = '{"execute":"guest-sync", "arguments":{"id":1700000000001}}'
LIVES = (SYNC, '{"execute":"guest-ping"}', SYNC, '{"execute":"guest-info"}')
SHUTDOWN, REBOOT, HALT = (f'{{"execute":"guest-shutdown","arguments":{{"mode":"{mode}"}}}}' for mode in ("powerdown", "reboot", "halt"))
LOOKS = ('{"execute":"guest-get-osinfo"}', '{"execute":"guest-get-timezone"}', '{"execute":"guest-get-host-name"}', '{"execute":"guest-get-users"}',
         '{"execute":"guest-get-load"}', '{"execute":"guest-network-get-interfaces"}', '{"execute":"guest-get-fsinfo"}', '{"execute":"guest-get-disks"}',
         '{"execute":"guest-get-vcpus"}', '{"execute":"guest-get-time"}')
SUSPENDS = tuple(f'{{"execute":"guest-suspend-{how}"}}' for how in ("ram", "disk", "hybrid"))
TRIM = '{"execute":"guest-fstrim","arguments":{"minimum":0}}'
FREEZE, STATUS, THAW = (f'{{"execute":"guest-fsfreeze-{what}"}}' for what in ("freeze", "status", "thaw"))
FREEZE_LIST = '{"execute":"guest-fsfreeze-freeze-list","arguments":{"mountpoints":["/"]}}'
PASSWORD = '{"execute":"guest-set-user-password","arguments":{"crypted":false,"username":"root","password":"eA=="}}'
SET_TIME = '{"execute":"guest-set-time"}'
KEYS = '{"execute":"guest-ssh-get-authorized-keys","arguments":{"username":"root"}}'
# KubeVirt's own, by libvirt's agent command: with blanks.
PROBE = '{"execute": "guest-exec", "arguments": { "path": "/bin/true", "arg": [ ], "capture-output":true } }'
STATISTICS = tuple(f'{{"execute":"guest-{what}"}}' for what in (
    "get-load", "get-cpustats", "get-diskstats", "get-time", "get-vcpus", "get-memory-block-info", "get-users", "get-osinfo", "get-disks", "get-host-name",
    "get-timezone", "network-get-route", "network-get-interfaces", "get-memory-blocks"))


def of_proxmox(*commands):
    """Both lines of each, with arguments always."""
    for command in commands:
        yield '{"execute":"guest-sync-delimited","arguments":{"id":124501}}'
        yield f'{{"execute":"{command}","arguments":{{}}}}'


PROXMOX_LOOKS = ("guest-ping", "guest-get-time", "guest-info", "guest-network-get-interfaces", "guest-get-vcpus", "guest-get-fsinfo", "guest-get-memory-blocks",
                 "guest-get-memory-block-info", "guest-get-host-name", "guest-get-osinfo", "guest-get-users", "guest-get-timezone")
SECRETS = (PASSWORD, KEYS, PROBE, SET_TIME)
# What passes under the profile, and what does not.
CONVERSATIONS = {
    "minimal": (LIVES, (SHUTDOWN, FREEZE, *LOOKS, *SECRETS)),
    "lifecycle": ((*LIVES, SYNC, SHUTDOWN, SYNC, REBOOT), (HALT, FREEZE, *SUSPENDS, *SECRETS)),
    "libvirt": ((*LIVES, *LOOKS, SHUTDOWN, REBOOT, *SUSPENDS, TRIM), (HALT, FREEZE, FREEZE_LIST, *SECRETS)),
    "libvirt-backup": ((*LIVES, *LOOKS, SHUTDOWN, REBOOT, *SUSPENDS, TRIM, FREEZE, STATUS, THAW, FREEZE_LIST, STATUS, THAW), (HALT, *SECRETS)),
    "kubevirt": ((*LIVES, *LOOKS, *STATISTICS, STATUS, FREEZE, STATUS, THAW, SHUTDOWN, REBOOT), (HALT, *SECRETS)),
    "proxmox": (
        (*of_proxmox(*PROXMOX_LOOKS, "guest-fsfreeze-status", "guest-fsfreeze-freeze", "guest-fsfreeze-thaw", "guest-fstrim", "guest-suspend-ram",
                     "guest-suspend-disk", "guest-suspend-hybrid", "guest-shutdown"),),
        (REBOOT, HALT, *SECRETS),
    ),
    # Nova sets the clock after a resume, too, and goes on where that is refused.
    "openstack": ((*LIVES, SHUTDOWN, REBOOT, FREEZE, THAW), (HALT, *LOOKS, *SUSPENDS, *SECRETS)),
    "confidential": ((*LIVES, SHUTDOWN, REBOOT, SUSPENDS[0], TRIM, FREEZE, STATUS, THAW), (HALT, *SUSPENDS[1:], *SECRETS)),
    "compat": ((*LIVES, *LOOKS, *STATISTICS, SHUTDOWN, REBOOT, HALT, *SUSPENDS, TRIM, FREEZE, FREEZE_LIST, STATUS, THAW, *SECRETS), ()),
}


def check_each_profile_has_a_conversation():
    yield from set(PROFILES) ^ set(CONVERSATIONS)


def check_what_its_client_sends_passes_under_a_profile_and_the_rest_does_not():
    for profile, (passing, refused) in CONVERSATIONS.items():
        for line in dict.fromkeys(passing + refused):
            said = tool("explain", "--json", policy(profile), line)
            expected = 0 if line in passing else 3
            if said.returncode != expected:
                yield f"{profile}: {line}: {said.returncode} and not {expected}: {said.stdout[:300]}{said.stderr[:300]}"
            if not said.stdout or json.loads(said.stdout).get("allowed") != (expected == 0):
                yield f"{profile}: {line}: {said.stdout[:300]}"


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
