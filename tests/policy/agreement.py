#!/usr/bin/python3
"""The broker, `test` and `explain` say the same: random policies in a real agent, random requests over its socket, and what the agent answers as cases.

usage: agreement.py TOOL     SALLYPORT_AGREEMENT=COUNT: so many requests, instead of a few thousand; SALLYPORT_SEED=NUMBER: other ones

What is asked does nothing to the machine: files of a scratch folder are opened, and commands that look.
"""
import json
import os
import pathlib
import random
import signal
import socket
import stat
import subprocess
import sys
import time

import tap
from tap import TOOL, tool

AGENT = TOOL.parents[3] / "broker/sallyportd"
COUNT = int(os.environ.get("SALLYPORT_AGREEMENT", "3000"))
SEED = int(os.environ.get("SALLYPORT_SEED", "14"))
REQUESTS = 250  # of each policy
EXPLAINED = 4   # of each policy
LOOK = ["guest-get-time", "guest-get-host-name", "guest-get-timezone", "guest-get-osinfo", "guest-get-users", "guest-get-load"]
KINDS = {stat.S_IFREG: "regular", stat.S_IFDIR: "directory", stat.S_IFIFO: "fifo"}
draw = random.Random(SEED)


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


def some(words):
    return json.dumps(draw.sample(words, draw.randint(1, len(words))))


def file_entry(top, is_allow):
    under = draw.choice([top, top / "a", top / "a/b", top / "c", top / "a/large"] if is_allow else [top / "a", top / "a/b", top / "c", top / "a/theirs"])
    access = draw.choice(['["read"]', '["read", "write"]', '["write"]', '["read", "write", "create"]', '["write", "create"]'])
    entry = [f'under = "{under}"']
    if is_allow or draw.random() < 0.5:
        entry.append(f"access = {access}")
    if is_allow:
        for key, values in (("max_size", ["500", '"1KiB"']), ("owner", ["[0]", "[1000]", "[0, 1000]"]), ("links", ['"any"']), ("setid", ['"any"']),
                            ("kinds", ['["regular", "directory"]', '["fifo"]', '["regular", "fifo"]'])):
            if draw.random() < 0.4:
                entry.append(f"{key} = {draw.choice(values)}")
    return "{ " + ", ".join(entry) + " }"


def policy(top):
    text = "schema = 1\n"
    for number in range(draw.randint(1, 6)):
        kind = draw.random()
        if kind < 0.65:
            text += f'[[allow]]\nid = "r{number}"\ncommands = ["@file"]\nfiles = [{", ".join(file_entry(top, True) for _ in range(draw.randint(1, 2)))}]\n'
        elif kind < 0.8:
            text += f'[[deny]]\nid = "r{number}"\nfiles = [{file_entry(top, False)}]\n'
        elif kind < 0.95:
            text += f'[[allow]]\nid = "r{number}"\ncommands = {some(LOOK)}\n'
        else:
            text += f'[[deny]]\nid = "r{number}"\ncommands = {some(LOOK + ["guest-file-open"])}\n'
    return text


def request(top):
    """A line for the host, and the same in the tool's words, with what is found there."""
    if draw.random() < 0.1:
        command = draw.choice(LOOK)
        return command, {"execute": command}, None
    path = draw.choice([top, top / "a", top / "a/b", top / "c"]) / draw.choice(["small", "large", "theirs", "setid", "twice", "pipe", "link", "new", "."])
    path = pathlib.Path(os.path.normpath(path))
    mode = draw.choice(["r", "r+", "a", "a+", "w", "w+"])
    if path.name == "new" and mode.startswith("r"):
        mode = "w"
    words = f"guest-file-open path={path} mode={mode}"
    if path.name == "new":
        words += " new=yes"
    else:
        found = path.stat()
        if path.is_dir():
            mode = "r"  # nobody can write to one, whatever a policy says
            words = f"guest-file-open path={path} mode={mode}"
        words += f" kind={KINDS[stat.S_IFMT(found.st_mode)]} owner={found.st_uid} size={found.st_size if path.is_file() else 0}"
        words += f" links={1 if path.is_dir() else found.st_nlink} setid={'yes' if found.st_mode & 0o6000 else 'no'} link={'yes' if path.is_symlink() else 'no'}"
    return words, {"execute": "guest-file-open", "arguments": {"path": str(path), "mode": mode}}, path


class Session:
    """An agent with a policy, and its host."""

    def __init__(self, folder, text):
        self.folder = folder
        self.policy = folder / "policy.toml"
        self.policy.write_text(text)
        self.policy.chmod(0o600)
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
        while b"READY=1" not in ready.recv(4096):
            pass
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

    def rules_of_opens(self):
        """By which rule each file was opened, in order; after the end."""
        found = [json.loads(line) for line in self.audit.read_text().splitlines()]
        return [line.get("rule", "") for line in found if line["what"] == "guest-file-open" and line["verdict"] == "allow"]


def is_refused(reply):
    said = reply.get("error", {}).get("desc", "")
    return "Operation not permitted" in said or "has been disabled" in said


def play(session, top):
    """The requests in words, and whether each was allowed."""
    played = []
    for _ in range(REQUESTS):
        words, line, path = request(top)
        size = path.stat().st_size if path is not None and path.is_file() else None
        reply = session.ask(line)
        played.append((words, not is_refused(reply), "return" in reply and path is not None))
        if "return" in reply and path is not None:
            session.ask({"execute": "guest-file-close", "arguments": {"handle": reply["return"]}})
        if path is not None and path.name == "new":
            path.unlink(missing_ok=True)
        elif size is not None:
            os.truncate(path, size)
    return played


def cases_of(played, rules):
    text = ""
    opened = iter(rules)
    for words, is_allowed, is_open in played:
        text += f'[[case]]\nrequest = "{words}"\nexpect = "{"allow" if is_allowed else "refuse"}"\n'
        if is_open:
            text += f'rule = "{next(opened)}"\n'
    return text


def faults_of_one(folder):
    top = folder / "top"
    pipes = make_files(top)
    session = Session(folder, policy(top))
    try:
        played = play(session, top)
    finally:
        session.end()
        for pipe in pipes:
            os.close(pipe)
    rules = session.rules_of_opens()
    if len(rules) != sum(is_open for _, _, is_open in played):
        yield f"{len(rules)} opens in the log"
        return
    (folder / "cases.toml").write_text(cases_of(played, rules))
    said = tool("test", session.policy, folder / "cases.toml")
    if said.returncode != 0:
        yield f"seed {SEED}: {session.policy.read_text()}{said.stdout[:2000]}{said.stderr[:2000]}"
    for words, is_allowed, _ in draw.sample(played, EXPLAINED):
        if (tool("explain", session.policy, *words.split()).returncode == 0) != is_allowed:
            yield f"seed {SEED}: explain says otherwise: {words}: {session.policy.read_text()}"


def check_the_broker_test_and_explain_say_the_same():
    allowed = asked = 0
    for _ in range(max(1, COUNT // REQUESTS)):
        with tap.scratch() as name:
            folder = pathlib.Path(name)
            faults = list(faults_of_one(folder))
            if faults:
                yield from faults
                return
            text = (folder / "cases.toml").read_text()
            asked += REQUESTS
            allowed += text.count('expect = "allow"')
    print(f"# {asked} requests, {allowed} of them allowed, seed {SEED}")
    if not asked * 0.05 < allowed < asked * 0.95:
        yield f"{allowed} of {asked} were allowed: the policies try little"


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
