"""With AppArmor enforcing, as Debian has it: every process is in its profile, and does what the policy allows without one refusal; who takes
over the worker is refused by its profile, too, and that is logged."""
import labels
from denials import attack, by_apparmor
from run import HERE, load

WITH_SELINUX = load(HERE / "cases/selinux_enforcing.py")  # what is done is the same
GUEST = "debian"
IS_ABOUT_DENIALS = True
KERNEL_OPTIONS = "apparmor=1 security=apparmor loglevel=6"
POLICY, PROCESSORS, PREPARE = WITH_SELINUX.POLICY, WITH_SELINUX.PROCESSORS, WITH_SELINUX.PREPARE
# What an admin does.
SET_UP = """mkdir -p /srv/export /srv/import /etc/sallyport/freeze.d
echo report > /srv/export/report
echo kept > /srv/import/kept
printf '#!/bin/sh\\n[ "$1" = freeze ] || [ "$1" = thaw ]\\n' > /etc/sallyport/freeze.d/note
chmod 755 /etc/sallyport/freeze.d/note
cp /usr/bin/cat /usr/local/bin/labelled
mkdir -p -m 700 /run/sallyport /var/lib/sallyport/second
modprobe vsock_loopback
useradd -m -s /bin/sh alice"""
# A program that the admin has given a profile of its own, and the way into it.
OF_A_PROGRAM = """profile labelled /usr/local/bin/labelled {
  include <abstractions/base>
  /usr/local/bin/labelled mr,
  @{PROC}/@{pid}/attr/current r,
}
"""
TO_THE_PROGRAM = "/usr/local/bin/labelled px -> labelled,\n"
# Whoever has taken over a worker has code there: busybox plays it.
TAKEN_OVER = "/root/busybox mrix,\n"
# Words of busybox, and what must be among what is refused.
ATTACKS = {
    "cat /etc/passwd": 'operation="open" .*name="/etc/passwd"',
    "cat /var/lib/sallyport/audit.jsonl": 'operation="open" .*name="/var/lib/sallyport/audit.jsonl"',
    "touch /tmp/mine": 'operation="(mknod|open)" .*name="/tmp/mine"',
    "sh -c /usr/bin/id": 'operation="exec" .*name="/usr/bin/id"',
    "mount -t tmpfs none /mnt": 'operation="(mount|capable)"',
    "kill -9 1": 'operation="(signal|capable)"',
    "nc 127.0.0.1 1": 'operation="create" .*family="inet"',
    "nslookup localhost 127.0.0.1": 'operation="create" .*family="inet"',
    "ls /root": 'operation="open" .*name="/root/"',
    "chown 1 /srv/export": 'operation="(chown|capable)"',
}


def play(guest):
    shell, host = guest.shell, guest.host
    assert shell.get("cat /sys/module/apparmor/parameters/enabled") == "Y"
    for line in SET_UP.splitlines():
        shell.get(line)
    guest.write("/etc/apparmor.d/labelled", "include <tunables/global>\n" + OF_A_PROGRAM)
    guest.write("/etc/apparmor.d/local/sallyport-launcher", TO_THE_PROGRAM)
    guest.write("/etc/apparmor.d/local/sallyport-worker", TAKEN_OVER)
    shell.get("apparmor_parser -r /etc/apparmor.d/labelled /etc/apparmor.d/sallyport", 120)
    # Started anew: its children's profiles are those that are loaded.
    shell.get("systemctl restart sallyport", 90)
    host.sync()
    count = labels.check(shell, labels.PROFILES, set(labels.PROFILES))
    WITH_SELINUX.look(host)
    WITH_SELINUX.use_files(host)
    for path, profile in (("/usr/bin/cat", "sallyport-launcher"), ("/usr/local/bin/labelled", "labelled")):
        context = WITH_SELINUX.context_of_program(host, path)
        assert context == f"{profile} (enforce)", context
    WITH_SELINUX.change_passwords_and_keys(host, shell)
    WITH_SELINUX.set_things(host, shell)
    for channel in (WITH_SELINUX.UNIX, WITH_SELINUX.VSOCK):
        WITH_SELINUX.serve_on(shell, channel)
    WITH_SELINUX.freeze_and_trim(host)
    labels.check(shell, labels.PROFILES, set(labels.PROFILES))
    refused = guest.denials()
    guest.note(f"enforcing, {count} processes in their profiles, {len(refused)} denials")
    assert not refused, "\n".join(refused)
    guest.note(f"{attack(guest, 'aa-exec -p sallyport-worker --', ATTACKS, by_apparmor)} denials of an attack from the worker's profile")
