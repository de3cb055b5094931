#!/usr/bin/python3
"""import: the policy allows what qemu-ga was left to do, is laid out as policies are, and what is open in it is said.

usage: import_qemu_ga.py TOOL
"""
import pathlib
import random
import re
import sys

import tap
from tap import ROOT, tool

COMMANDS = re.findall(r'Command\{CommandId::\w+,\s*"([a-z-]+)"', (ROOT / "schema/commands.hpp").read_text())
FLOOR = {"guest-sync-delimited", "guest-sync", "guest-ping", "guest-info", "guest-fsfreeze-status", "guest-fsfreeze-thaw"}
# As Red Hat ships it in /etc/sysconfig/qemu-ga, and an older one.
RHEL = ('# This is a systemd environment file, not a shell script.\n# Comma-separated list\n'
        'FILTER_RPC_ARGS="--allow-rpcs=guest-sync-delimited,guest-sync,guest-ping,guest-get-time,guest-info,guest-fsfreeze-freeze"\n'
        'FSFREEZE_HOOK_PATHNAME=/etc/qemu-ga/fsfreeze-hook\n')
RHEL_8 = "BLACKLIST_RPC=guest-file-open,guest-file-close,guest-file-read,guest-file-write,guest-file-seek,guest-file-flush,guest-exec,guest-exec-status\n"


class Imported:
    def __init__(self, *words, **files):
        self.scratch = tap.scratch()
        self.folder = pathlib.Path(self.scratch.name)
        for name, text in files.items():
            (self.folder / name).write_text(text)
        said = tool("import", *words, *files, cwd=self.folder)
        self.status, self.text, self.says = said.returncode, said.stdout, said.stderr
        (self.folder / "policy.toml").write_text(self.text)
        (self.folder / "compat.toml").write_text('schema = 1\ninclude = "profile:compat"\n')

    def tool(self, *words):
        return tool(*words, cwd=self.folder)

    def possible(self):
        return {command for command in COMMANDS if self.tool("can", "policy.toml", command).returncode == 0}


def check_what_blocks_nothing_is_the_profile_compat():
    made = Imported()
    if made.status != 3 or made.tool("diff", "compat.toml", "policy.toml").returncode != 0:
        yield f"{made.status}: {made.tool('diff', 'compat.toml', 'policy.toml').stdout}"
    for rule in ("import-files", "import-exec", "import-accounts", "import-root", "import-hardware"):
        if f"not safe: rule '{rule}': " not in made.says:
            yield f"{rule} is not called unsafe"


def check_strict_leaves_out_what_is_not_safe():
    made = Imported("--strict")
    if made.status != 0 or "# id = \"import-exec\"" not in made.text:
        yield f"{made.status}: {made.text}"
    yield from (command for command in made.possible() if re.match("guest-(file|exec|set|ssh)", command))
    again = re.sub(r"^# (?!NOT SAFE|What|what)", "", made.text, flags=re.M)
    (made.folder / "again.toml").write_text(again)
    if made.tool("diff", "compat.toml", "again.toml").returncode != 0:
        yield "without the marks it is not what it was"


def check_any_lists_leave_exactly_their_commands():
    draw = random.Random(14)
    for turn in range(12):
        listed = draw.sample(COMMANDS, draw.randrange(1, 40))
        option, left = ("-a", set(listed)) if turn % 2 else ("-b", set(COMMANDS) - set(listed))
        made = Imported(option, ",".join(listed))
        # Who starts a program gets its result.
        left |= FLOOR | ({"guest-exec-status"} if "guest-exec" in left else set())
        yield from (f"{option} {','.join(listed)}: {command}" for command in made.possible() ^ left)
        if made.tool("fmt", "--check", "policy.toml").returncode != 0:
            yield f"fmt would lay it out otherwise: {made.text}"


def check_a_configuration_file_is_read():
    made = Imported(conf="[general]\nblock-rpcs=guest-exec,guest-exec-status guest-nonsense\nfsfreeze-hook=/etc/qemu/fsfreeze-hook\nmethod=isa-serial\n")
    yield from {"guest-exec", "guest-exec-status"} & made.possible()
    for words in ("note: block-rpcs: there is no command 'guest-nonsense'", "note: the freeze hook '/etc/qemu/fsfreeze-hook' runs if"):
        if words not in made.says:
            yield f"does not say: {words}"
    if Imported(conf="[general]\nblock-rpcs\n").status != 1:
        yield "one that GLib cannot read is read"


def check_environment_files_of_red_hat_are_read():
    made = Imported(sysconfig=RHEL)
    if made.status != 0 or made.possible() != FLOOR | {"guest-get-time", "guest-fsfreeze-freeze"}:
        yield f"{made.status}: {made.text}{made.says}"
    if "/etc/qemu-ga/fsfreeze-hook" not in made.says or "always answered, unless --block-rpcs of sallyportd says otherwise: guest-fsfreeze-status" not in made.says:
        yield made.says
    older = Imported(sysconfig=RHEL_8)
    yield from (command for command in older.possible() if re.match("guest-(file|exec)", command))
    if older.status != 3:
        yield f"passwords are left, but the status is {older.status}"
    empty = Imported(sysconfig="BLOCK_RPCS=\nDAEMON_ARGS=\"-m virtio-serial --nonsense\"\nX\n")
    if set(COMMANDS) != empty.possible() or "the words of DAEMON_ARGS are not all options" not in empty.says or "a line without '='" not in empty.says:
        yield f"{empty.text}{empty.says}"


def check_nothing_of_a_file_reaches_the_policy_or_a_terminal():
    made = Imported(conf='[general]\nblock-rpcs=a"]\x1b[2J\nnonsense\x1b[2J=1\n')
    if "\x1b" in made.says + made.text:
        yield repr(made.says)


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
