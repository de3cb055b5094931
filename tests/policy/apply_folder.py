#!/usr/bin/python3
"""apply and the folder of a policy: both are checked, shown, put into force, kept and taken back together; and single files of it.

usage: apply_folder.py TOOL
"""
import signal
import subprocess
import sys

import tap
from apply_checks import restart_by
from deploy import LESS, LOOK, Guest, signer
from tap import TOOL, tool

NO_NAME = 'schema = 1\n[[deny]]\nid = "no-name"\ncommands = ["guest-get-host-name"]\n'
LOAD = 'schema = 1\n[[allow]]\nid = "load"\ncommands = ["guest-get-load"]\n'
BOTH = NO_NAME + '[[deny]]\nid = "no-time"\ncommands = ["guest-get-time"]\n'


def folder_of(guest, name="policy.d"):
    """The files of a folder beside the policy; nothing if it is not there."""
    folder = guest.folder / name
    return {file.name: file.read_text() for file in folder.iterdir()} if folder.is_dir() else None


def write_folder(guest, name, **files):
    (guest.folder / name).mkdir(exist_ok=True, mode=0o755)
    for stem, text in files.items():
        guest.write(f"{name}/{stem}.toml", text)


def change(guest, *words, **more):
    return tool("apply", "--to", guest.policy, "--statedir", guest.state, "--yes", "--restart", guest.folder / "restart", "--wait", "5", *words, **more)


def left_over(guest):
    yield from (f"{one.name} was left behind" for one in guest.folder.iterdir() if ".new" in one.name)


def check_a_policy_and_its_folder_are_put_into_force_together():
    with Guest() as guest:
        write_folder(guest, "policy.d", old=NO_NAME)
        write_folder(guest, "new.d", time=BOTH)
        (guest.folder / "new.d/README").write_text("not a policy's\n")
        guest.policy.chmod(0o640)
        yield from guest.faults(guest.apply(LOOK), 0, "narrower: guest-get-time", "and of its folder? [y/N]", "in force: ", text=LOOK)
        yield from guest.faults(guest.status(), 0)
        if folder_of(guest) != {"time.toml": BOTH} or folder_of(guest, "policy.toml.old.d") != {"old.toml": NO_NAME}:
            yield f"{folder_of(guest)}, before {folder_of(guest, 'policy.toml.old.d')}"
        modes = [(guest.folder / name).stat().st_mode & 0o777 for name in ("policy.d", "policy.d/time.toml")]
        if modes != [0o750, 0o640]:
            yield f"modes {modes}"
        if '"error"' not in guest.ask('{"execute":"guest-get-time"}')[0]:
            yield "the agent goes on without the file"
        # What was before can be applied again, with the folder that it had.
        yield from guest.faults(change(guest, guest.folder / "policy.toml.old", "--widen"), 0, "in force: ", text=LOOK)
        if folder_of(guest) != {"old.toml": NO_NAME}:
            yield f"{folder_of(guest)}"
        yield from left_over(guest)


def check_a_folder_that_lets_a_host_do_more_needs_the_word():
    with Guest() as guest:
        write_folder(guest, "new.d", load=LOAD)
        yield from guest.faults(guest.apply(LOOK, "--yes"), 4, "wider: guest-get-load", "policy.toml.new.d/load.toml:2", "--widen", text=LOOK)
        if folder_of(guest) is not None:
            yield f"{folder_of(guest)}"
        yield from guest.faults(guest.apply(LOOK, "--yes", "--widen"), 0, "in force: ", text=LOOK)
        if folder_of(guest) != {"load.toml": LOAD} or folder_of(guest, "policy.toml.old.d") != {}:
            yield f"{folder_of(guest)}, before {folder_of(guest, 'policy.toml.old.d')}"
        # Where there was no folder, an empty one stands for it: that undoes the new one.
        yield from guest.faults(change(guest, guest.folder / "policy.toml.old"), 0, "narrower: guest-get-load", text=LOOK)
        if folder_of(guest) != {}:
            yield f"{folder_of(guest)}"
        yield from left_over(guest)


def check_a_folder_that_is_wrong_changes_nothing():
    with Guest(serves=False) as guest:
        write_folder(guest, "policy.d", old=NO_NAME)
        write_folder(guest, "new.d", load=LOAD, twice=LOAD)
        yield from guest.faults(guest.apply(LESS, "--yes", "--widen"), 1, "'load'", text=LOOK)
        if folder_of(guest) != {"old.toml": NO_NAME}:
            yield f"{folder_of(guest)}"
        (guest.folder / "new.d/twice.toml").unlink()
        (guest.folder / "new.d/link.toml").symlink_to("load.toml")
        yield from guest.faults(guest.apply(LESS, "--yes", "--widen"), 1, "is a symbolic link", text=LOOK)
        yield from left_over(guest)


def check_a_policy_that_does_not_go_with_the_folder_in_force_is_refused_before_anybody_is_asked():
    with Guest(serves=False) as guest:
        write_folder(guest, "policy.d", old=NO_NAME)
        said = guest.apply(LOOK + NO_NAME.removeprefix("schema = 1\n"), "--widen")
        yield from guest.faults(said, 1, "'no-name'", text=LOOK)
        if "put this in the place of" in said.stdout:
            yield f"it asked: {said.stdout}"


def check_the_folder_is_taken_back_with_the_policy():
    for before in (None, NO_NAME):
        with Guest() as guest:
            if before:
                write_folder(guest, "policy.d", old=before)
            write_folder(guest, "new.d", load=LOAD)
            guest.write("new.toml", LESS)
            words = ["--widen", "--wait", "2", "--restart", restart_by(guest, "[[ -e policy.d/load.toml ]] || ./restart")]
            said = tool("apply", guest.folder / "new.toml", "--to", guest.policy, "--statedir", guest.state, "--yes", *words)
            yield from guest.faults(said, 1, "the old one is put back", "the agent serves by the old policy\n", text=LOOK)
            if folder_of(guest) != ({"old.toml": before} if before else None):
                yield f"{folder_of(guest)}"
            yield from left_over(guest)


def check_what_is_kept_has_the_folder_also_where_only_the_policy_changes():
    with Guest(serves=False) as guest:
        write_folder(guest, "policy.d", old=NO_NAME)
        yield from guest.faults(guest.apply(LESS, "--yes"), 0, text=LESS)
        if folder_of(guest, "policy.toml.old.d") != {"old.toml": NO_NAME} or folder_of(guest) != {"old.toml": NO_NAME}:
            yield f"{folder_of(guest, 'policy.toml.old.d')}"


def check_nothing_of_an_admins_is_removed_with_what_was_kept():
    with Guest(serves=False) as guest:
        write_folder(guest, "policy.d", old=NO_NAME)
        (guest.folder / "policy.d/README").write_text("mine\n")
        write_folder(guest, "new.d", time=BOTH)
        yield from guest.faults(guest.apply(LOOK, "--yes"), 0, text=LOOK)
        if (guest.folder / "policy.toml.old.d/README").read_text() != "mine\n":
            yield "it is not kept"
        yield from guest.faults(guest.apply(LESS, "--yes"), 1, "cannot be removed", text=LOOK)
        yield from left_over(guest)


def check_a_folder_behind_a_link_is_not_replaced():
    with Guest(serves=False) as guest:
        write_folder(guest, "elsewhere", old=NO_NAME)
        (guest.folder / "policy.d").symlink_to("elsewhere")
        write_folder(guest, "new.d", time=BOTH)
        yield from guest.faults(guest.apply(LOOK, "--yes"), 1, "is a link", text=LOOK)
        if folder_of(guest, "elsewhere") != {"old.toml": NO_NAME}:
            yield "what the link leads to is changed"


def check_single_files_come_and_go():
    with Guest() as guest:
        guest.write("10-load.toml", LOAD)
        guest.write("20-no-name.toml", NO_NAME)
        yield from guest.faults(change(guest, "--drop-in", guest.folder / "10-load.toml"), 4, "wider: guest-get-load", text=LOOK)
        drop_ins = ["--drop-in", guest.folder / "10-load.toml", "--drop-in", guest.folder / "20-no-name.toml"]
        yield from guest.faults(change(guest, *drop_ins, "--widen"), 0, "in force: ", text=LOOK)
        if folder_of(guest) != {"10-load.toml": LOAD, "20-no-name.toml": NO_NAME}:
            yield f"{folder_of(guest)}"
        guest.write("20-no-name.toml", BOTH)
        said = change(guest, "--drop-in", guest.folder / "20-no-name.toml", "--without", "10-load.toml")
        yield from guest.faults(said, 0, "narrower: guest-get-load", "narrower: guest-get-time", text=LOOK)
        if folder_of(guest) != {"20-no-name.toml": BOTH}:
            yield f"{folder_of(guest)}"
        yield from guest.faults(guest.status(), 0)
        yield from guest.faults(change(guest, "--without", "10-load.toml"), 1, "has no file '10-load.toml'", text=LOOK)
        guest.write("load", LOAD)
        yield from guest.faults(change(guest, "--drop-in", guest.folder / "load", "--widen"), 1, "ends in .toml", text=LOOK)
        yield from left_over(guest)


def check_words_that_do_not_go_together():
    with Guest(serves=False) as guest:
        guest.write("new.toml", LESS)
        guest.write("10-load.toml", LOAD)
        for words in ([], [guest.folder / "new.toml", "--drop-in", guest.folder / "10-load.toml"], ["--drop-in", guest.folder / "10-load.toml", "--require-signature", "keys"]):
            yield from guest.faults(change(guest, *words), 2, text=LOOK)


def check_a_question_that_is_interrupted_leaves_no_folder_behind():
    with Guest(serves=False) as guest:
        guest.write("new.toml", LESS)
        write_folder(guest, "new.d", time=BOTH)
        words = [TOOL, "apply", guest.folder / "new.toml", "--to", guest.policy, "--statedir", guest.state]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
            said = ""
            while "[y/N]" not in said:
                said += asking.stdout.read(1) or "[y/N] was not asked"
            asking.send_signal(signal.SIGTERM)
        if asking.returncode != -signal.SIGTERM:
            yield f"ended with {asking.returncode}"
        yield from left_over(guest)


def check_a_signature_is_over_all_files():
    with Guest(serves=False) as guest:
        keygen, words = signer(guest)
        guest.write("new.toml", LESS)
        write_folder(guest, "new.d", a=NO_NAME)
        keygen("-Y", "sign", "-f", "key", "-n", "sallyport-policy", "new.toml")
        yield from guest.faults(guest.apply(LESS, *words), 1, "no signature of it", text=LOOK)
        listed = tool("digest", "--files", guest.folder / "new.toml").stdout
        if listed != subprocess.run("sha256sum new.toml new.d/a.toml", shell=True, cwd=guest.folder, capture_output=True, text=True).stdout:
            yield listed
        (guest.folder / "new.toml.sig").unlink()
        guest.write("new.toml.sums", listed)
        keygen("-Y", "sign", "-f", "key", "-n", "sallyport-policy", "new.toml.sums")
        (guest.folder / "new.toml.sums.sig").rename(guest.folder / "new.toml.sig")
        # A file more, another one, or none: the signature is of none of these.
        for files in ({"a": NO_NAME, "b": LOAD}, {"a": BOTH}, {}):
            for file in (guest.folder / "new.d").iterdir():
                file.unlink()
            write_folder(guest, "new.d", **files)
            yield from guest.faults(guest.apply(LESS, *words), 1, "no signature of it", text=LOOK)
        (guest.folder / "new.d").rmdir()
        yield from guest.faults(guest.apply(LESS, *words), 1, "no signature of it", text=LOOK)
        write_folder(guest, "new.d", a=NO_NAME)
        yield from guest.faults(guest.apply(LESS, *words), 0, text=LESS)


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
