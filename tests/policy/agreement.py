#!/usr/bin/python3
"""The broker, `test` and `explain` say the same: random policies in a real agent, random requests over its socket, and what the agent answers as cases.

usage: agreement.py TOOL     SALLYPORT_AGREEMENT=COUNT: so many requests, instead of a few thousand; SALLYPORT_SEED=NUMBER: other ones

All families of commands but those that end or suspend the guest (draws.py), in a guest of the test's own (own_guest.py).
"""
import collections
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import draws
import own_guest
import tap
from draws import draw
from tap import TOOL, tool

AGENT = TOOL.parents[3] / "broker/sallyportd"
COUNT = int(os.environ.get("SALLYPORT_AGREEMENT", "3200"))
SEED = int(os.environ.get("SALLYPORT_SEED", "16"))
KEYS = "enforce = false", "rate = "
REQUESTS = 160  # of each policy
EXPLAINED = 4   # of each policy
COMMANDS = {"guest-file-open", "guest-exec", *draws.LOOK, *draws.ACCOUNTS, *draws.HARDWARE, *draws.FREEZE}


def make_files(top):
    """A small world: directories within each other, and in each of them files of every sort. Gives the pipes, which are read as long as they are
    open: a pipe that nobody reads cannot be opened to be written, whatever a policy says."""
    pipes = []
    for directory in (top, top / "a", top / "a/b", top / "c"):
        directory.mkdir(mode=0o755, exist_ok=True)
        for name, size, owner, mode in (("small", 100, 0, 0o644), ("large", 2000, 0, 0o644), ("theirs", 100, 1000, 0o644), ("setid", 100, 0, 0o4755)):
            file = directory / name
            file.touch()
            os.truncate(file, size)
            os.chown(file, owner, owner)
            file.chmod(mode)
        os.link(directory / "small", directory / "twice")
        os.mkfifo(directory / "pipe")
        pipes.append(os.open(directory / "pipe", os.O_RDWR | os.O_NONBLOCK))
        (directory / "link").symlink_to("large")
    return pipes


class Session:
    """An agent with a policy, and its host."""

    def __init__(self, folder):
        self.folder = folder
        self.policy = folder / "policy.toml"
        (folder / "qemu-ga.conf").write_text("[general]\nverbose=true\n")
        state = folder / "state"
        state.mkdir(mode=0o700)
        self.audit = state / "audit.jsonl"
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(str(folder / "ready"))
        ready.settimeout(60)
        self.process = subprocess.Popen(
            [AGENT, "-m", "unix-listen", "-p", folder / "s", "-c", folder / "qemu-ga.conf", "--policy", self.policy, "-t", state],
            stdin=subprocess.DEVNULL, stdout=open(folder / "messages", "wb"), stderr=subprocess.STDOUT, env=os.environ | {"NOTIFY_SOCKET": str(folder / "ready")})
        try:
            while b"READY=1" not in ready.recv(4096):
                pass
        except TimeoutError:
            raise RuntimeError((folder / "messages").read_text() + self.policy.read_text())
        ready.close()
        self.host = socket.socket(socket.AF_UNIX)
        self.host.settimeout(60)
        self.host.connect(str(folder / "s"))
        self.lines = self.host.makefile()

    def ask(self, line):
        self.host.sendall((json.dumps(line) + "\n").encode())
        return json.loads(self.lines.readline())

    def end(self):
        self.lines.close()
        self.host.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        # The recorder outlives the broker, and writes what it was given.
        deadline = time.monotonic() + 60
        while '"what":"stop"' not in self.audit.read_text():
            assert time.monotonic() < deadline, "the log has no end"
            time.sleep(0.01)

    def allowed(self):
        """What was allowed, in order, each with its rule; after the end."""
        found = [json.loads(line) for line in self.audit.read_text().splitlines()]
        return [(line["what"], line.get("rule", "")) for line in found if line["what"] in COMMANDS and line["verdict"] == "allow"]


def is_refused(request, reply):
    """By the words of the reply. A clock that may be set, but which nobody here can set, is told apart by the id of a refusal: the first sixty have one."""
    said = reply.get("error", {}).get("desc", "")
    return ("(denial " if request.command == draws.TIME else "Operation not permitted") in said or "has been disabled" in said


def clean_up(session, request, reply, size):
    """Ends what was begun, so that no request finds more than the guest has at the beginning."""
    if "return" in reply and request.path is not None:
        session.ask({"execute": "guest-file-close", "arguments": {"handle": reply["return"]}})
    if request.path is not None and request.path.name == "new":
        request.path.unlink(missing_ok=True)
    elif size is not None:
        os.truncate(request.path, size)
    if "return" in reply and request.command == "guest-exec":
        while not session.ask({"execute": "guest-exec-status", "arguments": {"pid": reply["return"]["pid"]}})["return"]["exited"]:
            pass
    if request.command == draws.ADD:
        own_guest.make_homes()
    if request.command in draws.HARDWARE:
        own_guest.make_devices()
    if request.command in draws.FREEZE:
        session.ask({"execute": "guest-fsfreeze-thaw"})


def play(session, families, chosen):
    """The requests, whether each was allowed, and whether the log says by which rule."""
    played = []
    for _ in range(REQUESTS):
        request = draw.choice(chosen if draw.random() < 0.85 else families).request()
        size = request.path.stat().st_size if request.path is not None and request.path.is_file() else None
        reply = session.ask(request.line)
        is_allowed = not is_refused(request, reply)
        played.append((request, is_allowed, is_allowed and (request.is_recorded_first or "return" in reply)))
        clean_up(session, request, reply, size)
    return played


def in_quotes(word):
    return f"'{word}'" if " " in word else word


def cases_of(played, rules):
    text = ""
    by = iter(rules)
    for request, is_allowed, has_rule in played:
        text += f"[[case]]\nrequest = {json.dumps(' '.join(map(in_quotes, request.words)))}\nexpect = \"{'allow' if is_allowed else 'refuse'}\"\n"
        if has_rule:
            text += f'rule = "{next(by)[1]}"\n'
    return text


def write_policy(folder, chosen):
    """Draws until it is one: two exec tables that could cover the same words, and such, are errors."""
    file = folder / "policy.toml"
    for _ in range(1000):
        file.write_text(draws.policy_of(chosen))
        file.chmod(0o600)
        if tool("digest", file).returncode == 0:
            return
    raise RuntimeError("no policy compiles: " + file.read_text())


def faults_of_one(folder, counts):
    top = folder / "top"
    pipes = make_files(top)
    families = [draws.Files(top), draws.Looks(), draws.Programs(), draws.Accounts(), draws.Freezes(top), draws.Hardware()]
    chosen = draw.sample(families, draw.randint(1, 3))
    write_policy(folder, chosen)
    session = Session(folder)
    try:
        played = play(session, families, chosen)
    finally:
        session.end()
        for pipe in pipes:
            os.close(pipe)
    rules = session.allowed()
    expected = [request.command for request, _, has_rule in played if has_rule]
    if [command for command, _ in rules] != expected:
        yield f"seed {SEED}: allowed by the log: {rules}; by the replies: {expected}: {session.policy.read_text()}"
        return
    (folder / "cases.toml").write_text(cases_of(played, rules))
    said = tool("test", session.policy, folder / "cases.toml")
    if said.returncode != 0:
        yield f"seed {SEED}: {session.policy.read_text()}{said.stdout[:2000]}{said.stderr[:2000]}"
    for request, is_allowed, _ in draw.sample(played, EXPLAINED):
        if (tool("explain", session.policy, *request.words).returncode == 0) != is_allowed:
            yield f"seed {SEED}: explain says otherwise: {request.words}: {session.policy.read_text()}"
    for request, is_allowed, _ in played:
        counts[request.command, is_allowed] += 1
    for key in KEYS:
        counts[key] += key in session.policy.read_text()


def check_the_broker_test_and_explain_say_the_same():
    draw.seed(SEED)
    draws.HAS_TRIALS = True
    counts = collections.Counter()
    for _ in range(max(1, COUNT // REQUESTS)):
        with tap.scratch() as name:
            faults = list(faults_of_one(pathlib.Path(name), counts))
        if faults:
            yield from faults
            return
    for key in KEYS:
        print(f"# {counts[key]} policies with '{key}'")
        if not counts.pop(key):
            yield f"no policy has '{key}'"
    allowed = sum(count for (_, is_allowed), count in counts.items() if is_allowed)
    print(f"# {counts.total()} requests, {allowed} of them allowed, seed {SEED}")
    for command in sorted(COMMANDS):
        print(f"#   {command}: {counts[command, True]} allowed, {counts[command, False]} refused")
        if not counts[command, True] or not counts[command, False]:
            yield f"{command}: the policies try little"


if __name__ == "__main__":
    own_guest.enter()
    sys.exit(tap.main(globals()))
