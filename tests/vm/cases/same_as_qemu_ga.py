"""Debian's qemu-ga and the agent, in one guest and asked the same, answer the same about shutdown, suspend and files."""
import base64

from channel import Host

GUEST = "debian"
POLICY = """schema = 1
include = ["profile:compat"]
"""
# systemctl, which /sbin/shutdown is a link to, as a script; no call reaches the real one.
STANDIN = """printf '#!/bin/sh\\n[ "$1" != status ] || exit %d\\nexit %d\\n' > /root/systemctl; chmod 755 /root/systemctl"""
HYBRID = ("guest-suspend-hybrid", {})
# (what systemctl says to `status`, and to anything else), what is asked
CONVERSATION = (
    ((3, 0), ("guest-shutdown", {"mode": "sideways"})),
    ((3, 0), ("guest-shutdown", {"mode": 5})),
    ((3, 0), ("guest-shutdown", {"when": 1})),
    ((3, 4), ("guest-shutdown", {})),
    ((3, 4), ("guest-shutdown", {"mode": "reboot"})),
    ((4, 0), HYBRID),
    ((0, 0), HYBRID),
    ((3, 0), HYBRID),
    ((3, 0), ("guest-shutdown", {"mode": "halt"})),
    ((3, 0), ("guest-suspend-ram", {"unexpected": True})),
    ((3, 0), ("guest-file-open", {"path": "/nonexistent"})),
    ((3, 0), ("guest-file-open", {"path": "/etc/hostname", "mode": "sideways"})),
    ((3, 0), ("guest-file-close", {"handle": 424242})),
    ((3, 0), ("guest-ping", {})),
)


def answer(host, command, arguments):
    """The one line that comes, or nothing: a ping behind the request shows where its answers end."""
    host.send(command, **arguments)
    host.socket.sendall(b'{"execute": "guest-ping", "id": "end"}\n')
    lines = []
    while b'"end"' not in (line := host.read_line(60)):
        lines.append(line.decode())
    # 7.2 throws the status away; documented in docs/compatibility.md.
    return [line.replace(": exit status 4", "") for line in lines]


def read_file(host, path):
    handle = host.get("guest-file-open", path=path)
    text = base64.b64decode(host.get("guest-file-read", handle=handle, count=4096)["buf-b64"])
    host.get("guest-file-close", handle=handle)
    return text


def play(guest):
    shell = guest.shell
    shell.get("systemd-run --unit=compare qemu-ga -m virtio-serial -p /dev/virtio-ports/org.sallyport.compare -t /run", 90)
    theirs = Host(guest.path("compare"))
    theirs.sync()
    shell.get(STANDIN % (3, 0) + "; mount --bind /root/systemctl /usr/bin/systemctl")
    differences = []
    for (status, other), (command, arguments) in CONVERSATION:
        shell.get(STANDIN % (status, other))
        pair = [answer(host, command, arguments) for host in (guest.host, theirs)]
        if pair[0] != pair[1]:
            differences.append(f"{command} {arguments}, systemctl {status} {other}: ours {pair[0]}, theirs {pair[1]}")
    assert not differences, "\n".join(differences)
    assert read_file(guest.host, "/etc/passwd") == read_file(theirs, "/etc/passwd")
    guest.note(f"{len(CONVERSATION)} requests, the same answers as qemu-ga 7.2")
