"""A file of 48 MiB comes over the port in one reply, and in many, byte for byte."""
import base64
import hashlib
import time

GUEST = "initramfs"
POLICY = """schema = 1
[[allow]]
id = "reports"
commands = ["@file"]
files = [{ under = "/var/lib/reports", access = ["read"] }]
"""
SIZE = 48 << 20


def read_all(host, piece):
    handle = host.get("guest-file-open", path="/var/lib/reports/large")
    text, eof = [], False
    while not eof:
        reply = host.get("guest-file-read", patience=400, handle=handle, count=piece)
        text.append(base64.b64decode(reply["buf-b64"]))
        assert len(text[-1]) == reply["count"]
        eof = reply["eof"] or not reply["count"]
    host.get("guest-file-close", handle=handle)
    return b"".join(text)


def play(guest):
    guest.shell.get("mkdir -p /var/lib/reports")
    # The directory of a rule is opened at the start.
    guest.shell.get(f"head -c {SIZE} /dev/urandom > /var/lib/reports/large", 200)
    guest.shell.get("kill $(pidof sallyport-broker)")
    guest.host.sync()
    wanted = guest.shell.get("sha256sum /var/lib/reports/large", 200).split()[0]
    for piece in (SIZE, 1 << 20):
        started = time.monotonic()
        assert hashlib.sha256(read_all(guest.host, piece)).hexdigest() == wanted
        guest.note(f"48 MiB in pieces of {piece >> 20} MiB in {time.monotonic() - started:.1f} s")
    peak = guest.shell.get("for p in $(pidof sallyport-broker sallyport-worker); do grep VmHWM /proc/$p/status; done")
    assert all(int(line.split()[1]) < 16384 for line in peak.splitlines()), peak
