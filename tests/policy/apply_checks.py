#!/usr/bin/python3
"""What apply looks at before, while and after it replaces a policy, one thing at a time: each of these fails if that look is taken out.

usage: apply_checks.py TOOL
"""
import os
import subprocess
import sys

import tap
from deploy import LESS, LOOK, PATIENCE, Guest, signer
from tap import TOOL, tool

RUN = LOOK + '[[allow]]\nid = "run"\ncommands = ["@exec"]\n[[allow.exec]]\nprogram = "/bin/true"\nargs = []\nrun_as = "root"\n'


def restart_by(guest, script):
    """A program that is told to restart the agent, and does something else."""
    program = guest.folder / "otherwise"
    program.write_text(f"#!/bin/bash\ncd {guest.folder}\n{script}\n")
    program.chmod(0o755)
    return program


def apply(guest, text, *words, restart, patience=2):
    guest.write("new.toml", text)
    return tool("apply", guest.folder / "new.toml", "--to", guest.policy, "--statedir", guest.state, "--yes", *words, "--wait", patience, "--restart", restart)


def check_another_apply_under_way_is_left_alone():
    with Guest(serves=False) as guest:
        guest.write("policy.toml.new", "not ours")
        said = guest.apply(LESS, "--yes")
        if said.returncode != 1 or "another apply under way" not in said.stderr or guest.policy.read_text() != LOOK:
            yield f"{said}"
        if (guest.folder / "policy.toml.new").read_text() != "not ours":
            yield "the other one's file is changed"


def check_no_link_is_followed_where_the_new_text_is_written():
    with Guest(serves=False) as guest:
        guest.write("victim", "precious")
        (guest.folder / "policy.toml.new").symlink_to(guest.folder / "victim")
        if guest.apply(LESS, "--yes").returncode != 1 or (guest.folder / "victim").read_text() != "precious":
            yield "a link was followed"


def check_owner_and_mode_are_those_of_the_policy_that_is_replaced():
    with Guest(serves=False) as guest:
        os.chown(guest.policy, 0, 1000)
        guest.policy.chmod(0o640)
        yield from guest.faults(guest.apply(LESS, "--yes"), 0, text=LESS)
        found = guest.policy.stat()
        if (found.st_uid, found.st_gid, found.st_mode & 0o7777) != (0, 1000, 0o640):
            yield f"{found}"


def check_a_policy_that_is_wrong_is_refused_before_anybody_is_asked():
    with Guest(serves=False) as guest:
        said = guest.apply("schema = 2\n", "--widen")
        yield from guest.faults(said, 1, "schema 2 is unknown", text=LOOK)
        if "put this in the place of" in said.stdout:
            yield f"it asked: {said.stdout}"


def check_what_cannot_be_compared_counts_as_wider():
    with Guest("schema = 2\n", serves=False) as guest:
        yield from guest.faults(guest.apply(LESS, "--yes"), 4, "cannot be compared", text="schema = 2\n")
        yield from guest.faults(guest.apply(LESS, "--yes", "--widen"), 0, text=LESS)


def check_the_text_that_was_shown_is_the_one_that_is_put_in_place():
    with Guest(serves=False) as guest:
        guest.write("new.toml", LESS)
        words = [TOOL, "apply", guest.folder / "new.toml", "--to", guest.policy, "--statedir", guest.state]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            said = ""
            while "[y/N]" not in said:
                said += process.stdout.read(1) or "[y/N] was not asked"
            guest.write("new.toml", RUN)
            out, error = process.communicate("y\n", PATIENCE)
        yield from guest.faults(subprocess.CompletedProcess(words, process.returncode, said + out, error), 0, text=LESS)


def check_what_was_before_is_kept_each_time():
    with Guest(serves=False) as guest:
        for text, before in ((LESS, LOOK), (LOOK, LESS)):
            yield from guest.faults(guest.apply(text, "--yes", "--widen"), 0, text=text)
            if (guest.folder / "policy.toml.old").read_text() != before:
                yield "policy.toml.old is not what was before"


def check_nothing_is_replaced_where_what_was_cannot_be_kept():
    with Guest(serves=False) as guest:
        (guest.folder / "policy.toml.old").mkdir()
        yield from guest.faults(guest.apply(LESS, "--yes"), 1, "cannot be removed", text=LOOK)


def check_an_agent_that_goes_on_by_the_old_policy_does_not_serve_by_the_new():
    with Guest() as guest:
        said = apply(guest, LESS, restart=restart_by(guest, "true"))
        yield from guest.faults(said, 1, "does not serve by the new policy", "the agent serves by the old policy\n", text=LOOK)
        yield from guest.faults(guest.status(), 0)


def check_an_agent_that_ends_within_a_second_does_not_serve():
    with Guest() as guest:
        # The first time, the agent ends half a second after it has begun to serve.
        script = restart_by(guest, f"""
./restart
digest=$({TOOL} digest policy.toml)
until {TOOL} status --statedir state --policy policy.toml --serves "$digest"; do :; done
[[ -e ended ]] && exit
touch ended
(exec </dev/null >/dev/null 2>&1; read -rt 0.5 < <(exec tail -f /dev/null --pid="$(cat pid)"); kill "$(cat pid)") &
""")
        said = apply(guest, LESS, restart=script, patience=5)
        yield from guest.faults(said, 1, "does not serve by the new policy", "the agent serves by the old policy\n", text=LOOK)


def check_a_restart_that_fails_is_told_and_the_old_text_is_back():
    with Guest() as guest:
        said = apply(guest, LESS, restart=restart_by(guest, 'kill "$(cat pid)"; tail --pid="$(cat pid)" -f /dev/null; exit 1'), patience=1)
        yield from guest.faults(said, 1, "the restart failed: ", "does not serve by the old policy either\n", text=LOOK)


def check_what_is_started_gets_none_of_the_environment():
    with Guest() as guest:
        restart = restart_by(guest, "/usr/bin/env > environment; ./restart")
        guest.write("new.toml", LESS)
        said = tool("apply", guest.folder / "new.toml", "--to", guest.policy, "--statedir", guest.state, "--yes", "--restart", restart,
                    env=os.environ | {"LD_BIND_NOW": "1", "HOSTILE": "1"})
        yield from guest.faults(said, 0, text=LESS)
        names = {line.split("=")[0] for line in (guest.folder / "environment").read_text().splitlines()}
        if "PATH" not in names or names & {"HOSTILE", "LD_BIND_NOW"}:
            yield f"{names}"


def check_a_signature_for_another_purpose_or_in_another_place_is_none():
    with Guest(serves=False) as guest:
        keygen, words = signer(guest)
        guest.write("new.toml", LESS)
        keygen("-Y", "sign", "-f", "key", "-n", "git", "new.toml")
        yield from guest.faults(guest.apply(LESS, *words), 1, "no signature of it", text=LOOK)
        (guest.folder / "new.toml.sig").unlink()
        keygen("-Y", "sign", "-f", "key", "-n", "sallyport-policy", "new.toml")
        (guest.folder / "new.toml.sig").rename(guest.folder / "elsewhere")
        yield from guest.faults(guest.apply(LESS, *words), 1, "no signature of it", text=LOOK)
        yield from guest.faults(guest.apply(LESS, *words, "--signature", guest.folder / "elsewhere"), 0, text=LESS)


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
