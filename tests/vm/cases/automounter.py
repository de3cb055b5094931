"""An automounter that does not mount: who asks for what lies behind it is told so, all others are served meanwhile, and a deny rule behind it does
not set it off."""
GUEST = "initramfs"
D = "/var/lib"
POLICY = f"""schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{{ under = "{D}/work", access = ["read", "write", "create"] }}, {{ under = "{D}/slow", access = ["read"] }}]
[[deny]]
id = "keys"
files = [{{ under = "{D}/user/config/keys" }}]
"""
# Mounts on demand, by the kernel's protocol, and never does: notes only that it was asked. It leads its process group, for which the kernel
# asks nobody.
AUTOMOUNTER = """#!/bin/sh
rm -f /tmp/asks; mkfifo /tmp/asks; exec 5<> /tmp/asks
mount -t autofs -o "fd=5,pgrp=$$,minproto=5,maxproto=5,$2" dead "$1"
head -c 1 <&5 > /dev/null; touch /tmp/asked
head -c 1000000 <&5 > /dev/null
"""


class Automounter:
    def __init__(self, shell, point, kind):
        self.shell, self.point = shell, point
        shell.get(f"rm -f /tmp/asked; setsid sh /tmp/automounter {point} {kind} > /dev/null 2>&1 & "
                  f"until grep -q ' {point} .* - autofs ' /proc/self/mountinfo; do sleep 0.1; done", 60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shell.get(f"pkill -KILL -f /tmp/automounter; umount -l {self.point}")

    def has_been_asked(self):
        return self.shell.get("ls /tmp").split().count("asked") == 1


def ask_for_what_is_behind(guest, kind):
    host, shell = guest.host, guest.shell
    before = len(shell.get("pidof sallyport-files").split())
    with Automounter(shell, f"{D}/slow", kind) as automounter:
        host.error_of("guest-file-open", path=f"{D}/slow/there/file")
        assert automounter.has_been_asked(), f"{kind}: nothing was behind it"
        assert host.get("guest-fsfreeze-status") == "thawed"
        host.get("guest-file-close", handle=host.get("guest-file-open", path=f"{D}/work/file"))
    # The clerk that waited is gone, and another is in its place.
    shell.get(f"until set -- $(pidof sallyport-files) && [ $# = {before} ]; do sleep 0.1; done", 60)


def open_something_else(guest, place, kind):
    host = guest.host
    with Automounter(guest.shell, place, kind) as automounter:
        for words in ({"path": f"{D}/work/file"}, {"path": f"{D}/work/new", "mode": "w"}):
            host.get("guest-file-close", handle=host.get("guest-file-open", **words))
        assert not automounter.has_been_asked(), f"{kind} at {place} was set off"


def play(guest):
    host, shell = guest.host, guest.shell
    guest.write("/tmp/automounter", AUTOMOUNTER)
    shell.get(f"mkdir -p {D}/work {D}/slow {D}/user/config/keys; echo text > {D}/work/file")
    # Directories of rules are looked for at the start. An agent that ends still answers the sync; the next can open the port once it has gone.
    shell.get("old=$(pidof sallyport-broker); kill $old; until new=$(pidof sallyport-broker) && [ $new != $old ]; do sleep 0.1; done")
    host.sync()
    for kind in ("indirect", "direct"):
        ask_for_what_is_behind(guest, kind)
        for place in (f"{D}/user", f"{D}/user/config"):
            open_something_else(guest, place, kind)
    guest.note("indirect and direct")
