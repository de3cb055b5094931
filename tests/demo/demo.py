#!/usr/bin/python3
"""A short conversation between a host and the agent, what the agent wrote down about it, and what its processes hold.

usage: demo.py BUILD

Works as root and as an ordinary user; everything lies in a scratch folder that is gone afterwards. The exit status is 0
if every answer was the one that the demo announces.
"""
import base64
import json
import os
import pathlib
import signal
import sys
import tempfile

import talk

COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
UNICODE = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
INK = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
WIDTH = 180

POLICY = """schema = 1

[[allow]]
id = "reports"
why = "the host may collect reports"
commands = ["@file"]
files = [{{ under = "{scratch}/reports", access = ["read"], owner = [{uid}] }}]

[[allow]]
id = "inbox"
why = "the host may leave notes"
commands = ["@file"]
files = [{{ under = "{scratch}/inbox", access = ["write", "create"], owner = [{uid}], max_size = "64KiB" }}]

[[deny]]
id = "never-keys"
files = [{{ under = "{scratch}/reports/keys" }}]
"""


def ink(colour, text):
    return f"\033[{INK[colour]}m{text}\033[0m" if COLOUR else text


def sign(unicode, plain):
    return unicode if UNICODE else plain


def shortened(text):
    return text if len(text) <= WIDTH else text[:WIDTH - 4] + " ..."


class Play:
    """Carries out the steps and prints them."""

    def __init__(self, agent, scratch):
        self.agent, self.scratch = agent, scratch
        self.host = talk.Host(agent.socket)
        self.number = self.surprises = 0
        self.handle = None

    def step(self, title, raw, expected, lines=1):
        """Sends bytes, shows the answers, and holds the last against what is expected: a text that it must contain."""
        self.number += 1
        print(f"\n{ink('bold', f'{self.number:>2}  {title}')}")
        for line in raw.splitlines():
            self.show("host", "cyan", sign("→", ">"), self.legible(line))
        self.host.send(raw)
        answers = [self.host.line() for _ in range(lines)]
        for answer in answers:
            self.show("agent", "blue", sign("←", "<"), self.legible(answer))
        reply = json.loads(answers[-1].lstrip(b"\xff"))
        self.show_contents(reply)
        self.show_audit()
        if expected not in answers[-1].decode(errors="replace"):
            self.surprises += 1
            self.show("", "red", sign("✗", "!"), f"this should have contained: {expected}")
        return reply

    def command(self, title, expected, execute, **arguments):
        request = {"execute": execute} | ({"arguments": arguments} if arguments else {})
        return self.step(title, json.dumps(request).encode() + b"\n", expected).get("return")

    def legible(self, raw):
        text = raw.replace(b"\xff", b"<0xFF> ").decode(errors="replace")
        text = "".join(c if c.isprintable() else f"<0x{ord(c):02X}>" for c in text)
        return shortened(text.replace(str(self.scratch), "DEMO"))

    def show(self, who, colour, mark, text):
        print(f"    {ink(colour, f'{who:<6}{mark}')} {text}")

    def show_contents(self, reply):
        value = reply.get("return")
        if isinstance(value, dict) and value.get("buf-b64"):
            self.show("", "dim", " ", f"= {base64.b64decode(value['buf-b64']).decode()!r}")
        if isinstance(value, dict) and "supported_commands" in value:
            enabled = [c["name"] for c in value["supported_commands"] if c["enabled"]]
            self.show("", "dim", " ", "enabled: " + " ".join(n.removeprefix("guest-") for n in enabled))

    def show_audit(self):
        lines = self.agent.new_audit_lines()
        if not lines:
            self.show("audit", "dim", sign("·", "."), ink("dim", "none: the worker answers this by itself"))
        for line in lines:
            colour = {"allow": "green", "refuse": "yellow", "fail": "yellow"}.get(line["verdict"], "dim")
            words = [ink(colour, line["verdict"]), line["what"]]
            words += [f"{k}={v}" for k, v in line.get("arguments", {}).items()]
            words += [f"{k}={line[k]}" for k in ("rule", "reason", "errno", "bytes", "duration_us") if k in line]
            text = " ".join(words).replace(str(self.scratch), "DEMO")
            self.show("audit", colour, sign("●", "#"), text)


def heading(text):
    print(f"\n{ink('bold', text)}\n{sign('─', '-') * len(text)}")


def prepare(scratch):
    for folder in ("reports", "inbox", "reports/keys"):
        (scratch / folder).mkdir()
    (scratch / "reports/today.txt").write_text("All is well in the guest.\n")
    (scratch / "reports/keys/private").write_text("a key that no host should see\n")
    (scratch / "reports/harmless.txt").symlink_to("/etc/shadow")


def what_is_allowed(play):
    heading("What a host may do")
    play.step("Find the beginning: a reset byte, then a sync with a sentinel",
              b'\xff{"execute":"guest-sync-delimited","arguments":{"id":4711}}\n', "4711")
    play.command("Is anyone there?", "{}", "guest-ping")
    play.command("Who, and what may I ask?", "guest-file-open", "guest-info")
    files = play.scratch
    handle = play.command("Read a report (rule `reports`)", "return", "guest-file-open", path=f"{files}/reports/today.txt")
    play.command("... its contents", "buf-b64", "guest-file-read", handle=handle)
    play.command("... and close it", "{}", "guest-file-close", handle=handle)
    handle = play.command("Leave a note (rule `inbox`)", "return", "guest-file-open", path=f"{files}/inbox/note.txt", mode="w")
    note = base64.b64encode(b"Backup at noon.\n").decode()
    play.command("... write it", "16", "guest-file-write", **{"handle": handle, "buf-b64": note})
    play.command("... and close it", "{}", "guest-file-close", handle=handle)
    written = files / "inbox/note.txt"
    text = written.read_text() if written.exists() else None
    play.show("guest", "dim", " ", f"DEMO/inbox/note.txt now says {text!r}")
    play.surprises += text != "Backup at noon.\n"


def what_is_refused(play):
    heading("What a host may not do")
    files, refused = play.scratch, "Operation not permitted (denial"
    play.command("Read the password file: no rule allows it", refused, "guest-file-open", path="/etc/shadow")
    play.command("A file that does not exist: the same answer", refused, "guest-file-open", path="/etc/no-such-file")
    play.command("Climb out of a folder that is allowed", refused,
                 "guest-file-open", path=f"{files}/reports/../../../etc/shadow")
    play.command("Through a symbolic link to /etc/shadow that lies in there", '"error"',
                 "guest-file-open", path=f"{files}/reports/harmless.txt")
    play.command("What a deny rule keeps back, although an allow rule matches", refused,
                 "guest-file-open", path=f"{files}/reports/keys/private")
    play.command("Write where only reading is allowed", refused,
                 "guest-file-open", path=f"{files}/reports/today.txt", mode="a")
    play.command("Run a program: no rule allows any, so there is no such command", "CommandNotFound",
                 "guest-exec", path="/bin/sh")


def what_nonsense_does(play):
    heading("What nonsense does")
    play.step("A stretch of garbage: one error, up to the end of the line", b"GET / HTTP/1.1 {{{[[\x01\n", "JSON parse error")
    play.step("Half a request, abandoned; 0xFF starts afresh, without a word",
              b'{"execute":"guest-file-open","argum\xff{"execute":"guest-sync","arguments":{"id":12}}\n', "12")
    play.command("... and all is as before", "{}", "guest-ping")


def what_is_held(agent):
    heading("What each process holds, as the kernel shows it in /proc")
    for pid, name in agent.processes():
        held = talk.held_by(pid)
        print(f"\n    {ink('bold', name)} (process {pid})")
        for label, text in describe(held):
            print(f"        {label:<18} {text}")


def describe(held):
    hidden = "hidden from this user (the broker looked before it served)"
    sets = held["capabilities"]
    full = {name: bits for name, bits in sets.items() if bits}
    yield "user", held["uid"] + (" (root)" if held["uid"] == "0" else "")
    yield "capabilities", capability_text(full)
    yield "no new privileges", "yes" if held["no_new_privileges"] else "NO"
    mode, filters = held["seccomp"]
    yield "seccomp", f"mode {mode} (filter), {filters} filter(s)" if mode == "2" else f"MODE {mode}"
    own = held["own_namespaces"]
    yield "own namespaces", hidden if own is None else " ".join(own) or "none"
    if held["root"] is None:
        yield "root directory", hidden
    else:
        is_ours, names = held["root"]
        yield "root directory", "the system's; Landlock opens only the folders above the policy's" if is_ours else (
            "its own, empty" if not names else f"its own: {' '.join(names)}")
    descriptors = held["descriptors"]
    yield "descriptors", hidden if descriptors is None else shortened(" ".join(
        d.replace("/memfd:", "memfd:") for d in descriptors if d != "/dev/null"))


def capability_text(full):
    if not full:
        return "none, in all five sets"
    if list(full) == ["CapBnd"]:
        return "none (the bounding set is only a ceiling, which an ordinary user cannot lower)"
    return "; ".join(f"{name[3:].lower()}: {counted(bits)}" for name, bits in full.items())


def counted(bits):
    names = talk.capability_names(bits)
    return " ".join(names) if len(names) <= 4 else f"{len(names)} capabilities"


def perform(build, scratch):
    prepare(scratch)
    policy = POLICY.format(scratch=scratch, uid=os.getuid())
    heading("The admin's policy (DEMO is a scratch folder)")
    print("\n".join("    " + line for line in policy.replace(str(scratch), "DEMO").splitlines()))
    agent = talk.Agent(build, scratch, policy)
    try:
        told = agent.wait_until_ready()
        heading("The agent")
        print(f"    confined, proved, serving. It tells the service manager: {', '.join(told)}")
        agent.new_audit_lines()
        play = Play(agent, scratch)
        for part in (what_is_allowed, what_is_refused, what_nonsense_does):
            part(play)
        what_is_held(agent)
        play.host.close()
    except BaseException:
        agent.stop()
        raise
    status, left = agent.stop()
    heading("The end")
    print(f"    SIGTERM: the agent ended with status {status}; processes left: {len(left)}; the scratch folder is removed.")
    return play.surprises + (status != 0) + len(left)


def end_by_signal(number, _):
    sys.exit(128 + number)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    try:
        with tempfile.TemporaryDirectory(prefix="sallyport-demo-") as scratch:
            surprises = perform(build, pathlib.Path(scratch).resolve())
    except (RuntimeError, OSError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if surprises:
        print(ink("red", f"\n{surprises} thing(s) were not as announced; see above."))
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
