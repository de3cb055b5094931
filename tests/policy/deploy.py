#!/usr/bin/python3
"""apply and status beside a real agent: what is put into force, what is refused, what is taken back, and what status sees of it all.

usage: deploy.py TOOL
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import tap
from tap import TOOL, tool

AGENT = TOOL.parents[3] / "broker/sallyportd"
MINIMAL = 'schema = 1\ninclude = ["profile:minimal"]\n'
LOOK = MINIMAL + '[[allow]]\nid = "look"\ncommands = ["guest-get-time", "guest-get-host-name"]\n'
LESS = MINIMAL + '[[allow]]\nid = "look"\ncommands = ["guest-get-time"]\n'
PATIENCE = 30


def until(function):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := function():
            return found
        time.sleep(0.02)
    raise RuntimeError("waited for too long")


class Guest:
    """A machine with an agent, or without one."""

    def __init__(self, policy=LOOK, serves=True):
        self.scratch = tap.scratch()
        self.folder = pathlib.Path(self.scratch.name)
        self.policy = self.folder / "policy.toml"
        self.state = self.folder / "state"
        self.state.mkdir(mode=0o700)
        self.write("policy.toml", policy)
        self.write("qemu-ga.conf", "[general]\nverbose=true\n")
        start = self.folder / "restart"
        start.write_text(f"""#!/bin/bash
cd {self.folder}
if [[ -e pid ]]; then kill "$(cat pid)" && tail --pid="$(cat pid)" -f /dev/null; fi
setsid {AGENT} -m unix-listen -p {self.folder}/s -c {self.folder}/qemu-ga.conf --policy {self.policy} -t {self.state} </dev/null >>messages 2>&1 &
echo $! > pid
""")
        start.chmod(0o755)
        if serves:
            subprocess.run([start], check=True)
            try:
                until(lambda: self.status().returncode == 0)
            except RuntimeError:
                self.__exit__()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if (self.folder / "pid").exists():
            pid = int((self.folder / "pid").read_text())
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
            until(lambda: not pathlib.Path(f"/proc/{pid}").exists() or "Z" in pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2])
            until(lambda: '"running":true' not in self.status("--json").stdout)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o600)

    def status(self, *words):
        return tool("status", "--statedir", self.state, "--policy", self.policy, *words)

    def apply(self, text, *words, answer="y\n"):
        self.write("new.toml", text)
        return tool("apply", self.folder / "new.toml", "--to", self.policy, "--statedir", self.state, *words, "--wait", "5",
                    "--restart", self.folder / "restart", text=answer)

    def ask(self, *lines):
        with socket.socket(socket.AF_UNIX) as host:
            host.connect(str(self.folder / "s"))
            host.sendall("".join(line + "\n" for line in lines).encode())
            text = b""
            while text.count(b"\n") < len(lines):
                text += host.recv(4096)
            return text.decode().splitlines()

    def freeze_mark(self):
        """As the guard leaves it while something is frozen."""
        (self.state / "sallyport.frozen").write_text(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text())

    def faults(self, said, status, *words, text=None):
        """What is not as expected: the status, what is said, and what is in force."""
        if said.returncode != status:
            yield f"status {said.returncode} and not {status}: {said.stdout}{said.stderr}"
        yield from (f"does not say '{word}': {said.stdout}{said.stderr}" for word in words if word not in said.stdout + said.stderr)
        if text is not None and self.policy.read_text() != text:
            yield f"the policy is now: {self.policy.read_text()}"
        if (self.folder / "policy.toml.new").exists():
            yield "policy.toml.new was left behind"


def check_status_says_how_an_agent_is():
    with Guest() as guest:
        guest.ask('{"execute":"guest-file-open","arguments":{"path":"/etc/shadow"}}', '{"execute":"guest-get-host-name"}')
        until(lambda: "guest-get-host-name" in (guest.state / "audit.jsonl").read_text())
        said = guest.status()
        digest = tool("digest", guest.policy).stdout.strip()
        yield from guest.faults(said, 0, "agent: runs; started 20", f"policy: {digest[:16]}, as in ", "frozen: no\n", "last hour: 1 allowed, 1 refused",
                                "  refused: guest-file-open 1 times\n", "log: nothing lost\n")
        facts = json.loads(guest.status("--json").stdout)
        if (facts["running"], facts["policy_on_disk"], facts["refuse"], facts["frozen"]) != (True, digest, 1, False):
            yield f"{facts}"
        guest.write("policy.toml", LESS)
        yield from guest.faults(guest.status(), 3, "; not what ")
        guest.write("policy.toml", "schema = 2\n")
        yield from guest.faults(guest.status(), 3, "cannot be used")
        guest.write("policy.toml", LOOK)
        guest.freeze_mark()
        yield from guest.faults(guest.status(), 3, "frozen: since 20")


def check_status_counts_the_last_hour_by_verdict():
    with Guest(serves=False) as guest:
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        verdicts = ["allow", "allow", "allow", "fail", "fail", "violation"]
        guest.write("state/audit.jsonl", "".join(f'{{"time":"{now}","verdict":"{one}","what":"guest-ping"}}\n' for one in verdicts))
        yield from guest.faults(guest.status(), 3, "last hour: 3 allowed, 0 refused, 2 failed, 1 violations")
        facts = json.loads(guest.status("--json").stdout)
        if any(facts[one] != verdicts.count(one) for one in verdicts):
            yield f"{facts}"


def check_status_of_an_agent_that_does_not_run():
    with Guest(serves=False) as guest:
        yield from guest.faults(guest.status(), 3, "agent: does not run, and has no log\n")
    with Guest() as guest:
        subprocess.run(["bash", "-c", f"kill $(cat {guest.folder}/pid)"], check=True)
        until(lambda: "agent: does not run; last started 20" in guest.status().stdout)
        yield from guest.faults(guest.status(), 3, "; stopped: told to stop\n")


def check_a_lock_of_another_file_of_that_number_is_no_agent():
    with Guest(serves=False) as guest:
        status = f"{TOOL} status --statedir {guest.state} --policy {guest.policy} | head -1"
        script = f"""mkdir other && mount -t tmpfs none state && mount -t tmpfs none other && touch state/audit.lock other/lock
            [[ $(stat -c %i state/audit.lock) == $(stat -c %i other/lock) ]] || echo not alike
            flock other/lock {status}
            flock state/audit.lock {status}"""
        said = subprocess.run(["unshare", "-rm", "bash", "-c", script], cwd=guest.folder, capture_output=True, text=True)
        if said.stdout != "agent: does not run, and has no log\nagent: runs; its log cannot be read\n":
            yield said.stdout + said.stderr


def check_an_agent_is_found_among_any_number_of_locks():
    with Guest(serves=False) as guest:
        status = f"{TOOL} status --statedir {guest.state} --policy {guest.policy}"
        script = f"""import fcntl, subprocess
mine = open("mine", "w")
for at in range(0, 60000, 2):
    fcntl.lockf(mine, fcntl.LOCK_EX, 1, at)
print(len(open("/proc/locks").read()) > 1 << 20, subprocess.run("flock state/audit.lock {status} | head -1", shell=True, capture_output=True, text=True).stdout)"""
        (guest.state / "audit.lock").touch()
        said = subprocess.run([sys.executable, "-c", script], cwd=guest.folder, capture_output=True, text=True)
        if not said.stdout.startswith("True agent: runs"):
            yield said.stdout + said.stderr


def check_a_narrower_policy_is_put_into_force():
    with Guest() as guest:
        yield from guest.faults(guest.apply(LESS), 0, "narrower: guest-get-host-name", "put this in the place of", "in force: ", text=LESS)
        yield from guest.faults(guest.status(), 0)
        if (guest.folder / "policy.toml.old").read_text() != LOOK or guest.policy.stat().st_mode & 0o777 != 0o600:
            yield "the old policy is not kept, or the mode is another"
        if '"error"' not in guest.ask('{"execute":"guest-get-host-name"}')[0]:
            yield "the agent goes on by the old one"


def check_a_policy_is_judged_with_the_folder_of_the_one_in_force():
    with Guest() as guest:
        (guest.folder / "policy.d").mkdir(mode=0o755)
        guest.write("policy.d/10-no-name.toml", 'schema = 1\n[[deny]]\nid = "no-name"\ncommands = ["guest-get-host-name"]\n')
        yield from guest.faults(guest.apply(LESS), 0, "same: a host can do as much", "in force: ", text=LESS)


def check_a_wider_policy_is_put_into_force_only_with_a_word():
    with Guest(LESS) as guest:
        yield from guest.faults(guest.apply(LOOK, "--yes"), 4, "wider: guest-get-host-name", "--widen", text=LESS)
        yield from guest.faults(guest.apply(LOOK, "--yes", "--widen"), 0, "in force: ", text=LOOK)


def check_nothing_is_done_if_nobody_agrees_or_something_is_frozen_or_it_is_wrong():
    with Guest() as guest:
        for answer in ("n\n", ""):
            yield from guest.faults(guest.apply(LESS, answer=answer), 3, "not done\n", text=LOOK)
        yield from guest.faults(guest.apply("schema = 2\n", "--yes", "--widen"), 1, "schema 2 is unknown", text=LOOK)
        guest.freeze_mark()
        yield from guest.faults(guest.apply(LESS, "--yes"), 3, "file systems are frozen", text=LOOK)
        yield from guest.faults(guest.status("--serves", tool("digest", guest.policy).stdout.strip()), 0)


def check_what_is_frozen_while_the_question_waits_counts():
    with Guest() as guest:
        guest.write("new.toml", LESS)
        words = [TOOL, "apply", guest.folder / "new.toml", "--to", guest.policy, "--statedir", guest.state, "--restart", guest.folder / "restart"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as apply:
            said = ""
            while "[y/N]" not in said:
                said += apply.stdout.read(1) or "[y/N] was not asked"
            guest.freeze_mark()
            out, error = apply.communicate("y\n", PATIENCE)
        yield from guest.faults(subprocess.CompletedProcess(words, apply.returncode, said + out, error), 3, "file systems are frozen", text=LOOK)


def check_a_question_that_is_interrupted_leaves_nothing_behind():
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        with Guest(serves=False) as guest:
            guest.write("new.toml", LESS)
            asking = subprocess.Popen([TOOL, "apply", guest.folder / "new.toml", "--to", guest.policy, "--statedir", guest.state],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            text = b""
            while not text.endswith(b"[y/N] "):
                text += os.read(asking.stdout.fileno(), 4096) or b"[y/N] "
            asking.send_signal(number)
            asking.communicate()
            if asking.returncode != -number:
                yield f"ended with {asking.returncode}"
            yield from guest.faults(guest.apply(LESS, "--yes"), 0, text=LESS)


def check_the_old_policy_comes_back_if_the_agent_does_not_serve_by_the_new():
    with Guest() as guest:
        # A program that somebody else can change: with that the agent does not start.
        program = guest.folder / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o777)
        bad = LOOK + f'[[allow]]\nid = "run"\ncommands = ["@exec"]\n[[allow.exec]]\nprogram = "{program}"\nargs = []\nrun_as = "root"\n'
        yield from guest.faults(guest.apply(bad, "--yes", "--widen"), 1, "the old one is put back", "the agent serves by the old policy\n", text=LOOK)
        yield from guest.faults(guest.status(), 0)


def check_without_an_agent_it_is_only_put_in_place():
    with Guest(serves=False) as guest:
        yield from guest.faults(guest.apply(LESS, "--yes"), 0, "no agent runs", text=LESS)
        (guest.folder / "policy.toml").unlink()
        yield from guest.faults(guest.apply(LESS, "--yes"), 1, "install one first")


def signer(guest):
    """A key whose signatures are believed: what runs ssh-keygen, and apply's words."""
    def keygen(*words):
        subprocess.run(["ssh-keygen", "-q", *words], cwd=guest.folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    keygen("-t", "ed25519", "-N", "", "-f", "key")
    guest.write("signers", "policy " + (guest.folder / "key.pub").read_text())
    return keygen, ["--yes", "--require-signature", guest.folder / "signers"]


def check_a_signature_is_asked_for():
    with Guest(serves=False) as guest:
        keygen, words = signer(guest)
        yield from guest.faults(guest.apply(LESS, *words), 1, "no signature of it", text=LOOK)
        guest.write("new.toml", LESS)
        keygen("-Y", "sign", "-f", "key", "-n", "sallyport-policy", "new.toml")
        yield from guest.faults(guest.apply(LESS + "# more\n", *words), 1, "no signature of it", text=LOOK)
        yield from guest.faults(guest.apply(LESS, *words, "--identity", "other"), 1, "no signature of it", text=LOOK)
        (guest.folder / "signers").chmod(0o666)
        yield from guest.faults(guest.apply(LESS, *words), 1, "no signature of it", text=LOOK)
        (guest.folder / "signers").chmod(0o600)
        yield from guest.faults(guest.apply(LESS, *words), 0, text=LESS)


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
