"""A month of an audit log as the agent writes it: polls, a nightly backup that reads files and freezes, and a host that tries things.

usage: month.py FILE [DAYS]
"""
import datetime
import hashlib
import random
import sys

START = datetime.datetime(2026, 11, 1)
POLLS = ("guest-ping", "guest-get-fsinfo", "guest-network-get-interfaces", "guest-get-osinfo")
# What a hostile host would like a browser, a shell or a terminal to do.
HOSTILE = (
    "/etc/<script>document.title='broken'</script>",
    "/etc/\"><img src=x onerror=document.title='broken'>",
    "/etc/'; touch /tmp/owned; '",
    "/etc/\x1b[2J\u202egpj.exe",
    "/etc/&lt;b&gt;&amp;",
    "/" + "long/" * 120 + "name",
)


def escaped(text):
    return "".join(("\\" + c) if c in '"\\' else c if " " <= c <= "~" else "".join(f"\\u00{b:02x}" for b in c.encode()) for c in text)


def value(one):
    if isinstance(one, dict):
        return "{" + ",".join(f'"{name}":{value(inner)}' for name, inner in one.items()) + "}"
    return f'"{escaped(one)}"' if isinstance(one, str) else str(one)


class Log:
    def __init__(self, file):
        self.file = file
        self.previous = "0" * 64
        self.sequence = 0
        self.run = "1f3a5b7c"

    def write(self, time, verdict, what, **members):
        self.sequence += 1
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "boottime_us": int((time - START).total_seconds() * 1e6) + 5_000_000, "run": self.run,
                "seq": self.sequence, "session": 3, "verdict": verdict, "what": what, **members, "policy": "ad1df40512345678", "prev": self.previous}
        text = value(line)
        self.previous = hashlib.sha256(text.encode()).hexdigest()
        self.file.write(text + "\n")


def night(log, at, day):
    """The backup: it freezes, reads files, and thaws."""
    log.write(at, "allow", "guest-fsfreeze-freeze", arguments={"count": 3, "unsupported": 0, "already_frozen": 0, "left_out": 0, "window_us": 41_000}, rule="backup")
    length = random.uniform(1.5, 20) if day % 11 != 7 else 60.2
    at += datetime.timedelta(seconds=length)
    if day % 11 == 7:
        log.write(at, "note", "thawed", arguments={"cause": "DEADLINE", "count": 3}, reason="the guard thawed by itself")
    log.write(at, "allow", "guest-fsfreeze-thaw", **({} if day % 11 == 7 else {"arguments": {"count": 3}}))
    for file in range(40):
        at += datetime.timedelta(seconds=2)
        handle = 1000 + day * 100 + file
        log.write(at, "allow", "guest-file-open", arguments={"path": f"/srv/export/{at:%Y-%m-%d}/report-{file}.csv", "mode": "r", "handle": handle}, rule="export")
        log.write(at, "allow", "guest-file-read", arguments={"handle": handle, "count": 65536}, rule="export", bytes=random.randint(100, 65536))
        log.write(at, "allow", "guest-file-close", arguments={"handle": handle}, rule="export")


def attempts(log, at, day):
    """What the policy refuses, or what fails."""
    for path in random.sample(HOSTILE, 2) + ["/etc/shadow"]:
        at += datetime.timedelta(seconds=3)
        log.write(at, "refuse", "guest-file-open", arguments={"path": path, "mode": "r"}, reason="no allow rule covers this path and mode")
    log.write(at, "refuse", "guest-file-open", arguments={"path": "/srv/export/keys/id_ed25519", "mode": "r"}, rule="never-keys", reason="a deny rule matches")
    log.write(at, "refuse", "guest-exec", arguments={"path": "/bin/sh", "arg": "-c <b>id</b>", "args": 2}, reason="the command is not allowed", **({"unwritten": {"guest-exec": 240}} if day == 13 else {}))
    log.write(at, "fail", "guest-file-open", arguments={"path": "/srv/export/missing", "mode": "r"}, rule="export", reason="open", errno=2)
    if day == 19:
        log.write(at, "violation", "violation", reason="a frame that no honest worker sends", lost=3)


def day_of(log, day):
    midnight = START + datetime.timedelta(days=day)
    night(log, midnight + datetime.timedelta(hours=2, minutes=5), day)
    for minute in range(4 * 60, 24 * 60, 15):
        at = midnight + datetime.timedelta(minutes=minute, seconds=random.randint(0, 500))
        for poll in POLLS:
            log.write(at, "allow", poll, rule="look", duration_us=random.randint(20, 900))
    if day % 6 in (1, 4):
        attempts(log, midnight + datetime.timedelta(hours=23, minutes=30), day)


def main():
    random.seed(20261101)
    with open(sys.argv[1], "w") as file:
        log = Log(file)
        log.write(START, "note", "start", arguments={"version": "0.1.0", "policy": "/etc/sallyport/policy.toml"})
        for day in range(int(sys.argv[2]) if len(sys.argv) > 2 else 30):
            day_of(log, day)


if __name__ == "__main__":
    main()
