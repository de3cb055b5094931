"""Each verb of virsh that asks the agent does in a real guest what it says, under the shipped unit and profile:compat; libvirt's time-outs leave the channel in step."""
import base64
import json
import os
import re
import struct
import time

GUEST = "debian"
BY_LIBVIRT = True
PROCESSORS = 2
POLICY = """schema = 1
include = ["profile:compat"]
"""
SLACK = 30  # seconds that a guest on a processor without acceleration may be late
KEYS = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcd one", "ssh-rsa AAAAB3NzaC1yc2EAAAAD two"]
FILE = "/home/alice/.ssh/authorized_keys"
FILLED = 32 << 20
# All that libvirt 9.0 can ask an agent, but for the suspends, which virsh_power.py plays.
ASKED = {"guest-ping", "guest-get-time", "guest-set-time", "guest-set-user-password", "guest-ssh-get-authorized-keys", "guest-ssh-add-authorized-keys",
         "guest-ssh-remove-authorized-keys", "guest-get-vcpus", "guest-set-vcpus", "guest-get-users", "guest-get-osinfo", "guest-get-timezone",
         "guest-get-host-name", "guest-get-fsinfo", "guest-get-disks", "guest-network-get-interfaces", "guest-fsfreeze-freeze",
         "guest-fsfreeze-freeze-list", "guest-fsfreeze-thaw", "guest-fsfreeze-status", "guest-fstrim", "guest-exec", "guest-exec-status", "guest-shutdown"}


def agent(guest, command, *options, **arguments):
    """virsh qemu-agent-command."""
    request = json.dumps({"execute": command, "arguments": arguments})
    return json.loads(guest.virsh("qemu-agent-command", "guest", *options, request))["return"]


def clock(guest):
    return int(guest.shell.get("date +%s"))


def play_time(guest):
    assert re.fullmatch(r"Time: \d+", guest.virsh("domtime", "guest"))
    # As after a pause: the hardware clock went on.
    guest.shell.get("date -s @1700000000")
    assert int(guest.virsh("domtime", "guest").split()[1]) - 1700000000 <= SLACK
    guest.virsh("domtime", "guest", "--sync")
    assert abs(clock(guest) - time.time()) <= SLACK
    ahead = int(time.time()) + 36000
    guest.virsh("domtime", "guest", "--time", str(ahead))
    for read in ("date +%s", "cat /sys/class/rtc/rtc0/since_epoch"):
        assert 0 <= int(guest.shell.get(read)) - ahead <= SLACK, read
    guest.virsh("domtime", "guest", "--now")
    assert abs(clock(guest) - time.time()) <= SLACK


def hash_of_alice(guest):
    return guest.shell.get("getent shadow alice").split(":")[1]


def play_accounts(guest):
    guest.shell.get("useradd -m -s /bin/sh alice")
    guest.virsh("set-user-password", "guest", "alice", "a secret")
    assert hash_of_alice(guest).startswith("$y$"), hash_of_alice(guest)
    guest.virsh("set-user-password", "guest", "alice", "$6$ab$hash", "--encrypted")
    assert hash_of_alice(guest) == "$6$ab$hash"
    assert "exit status 1" in guest.virsh_error("set-user-password", "guest", "nosuchuser", "a secret")
    both, first = guest.write("keys", "\n".join(KEYS) + "\n"), guest.write("key", KEYS[0] + "\n")

    def change(*words, left):
        guest.virsh("set-user-sshkeys", "guest", "alice", *words)
        assert guest.shell.get(f"cat {FILE}").splitlines() == left, words
        # virsh 9.0 puts no line end between two keys.
        assert guest.virsh("get-user-sshkeys", "guest", "alice").replace("\n", "") == "".join(reversed(left)), words

    change("--file", both, left=KEYS)
    change("--file", first, "--remove", left=KEYS[1:])
    change("--file", first, "--reset", left=KEYS[:1])
    change("--reset", left=[])
    assert guest.shell.get(f"stat -c '%U %a' {FILE}").split() == ["alice", "600"]


def play_processors(guest):
    def online():
        return guest.shell.get("cat /sys/devices/system/cpu/online")

    for words, left in ((("setvcpus", "guest", "1", "--guest"), "0"), (("setvcpus", "guest", "2", "--guest"), "0-1"),
                        (("guestvcpus", "guest", "--disable", "--cpulist", "1"), "0"), (("guestvcpus", "guest", "--enable", "--cpulist", "1"), "0-1")):
        guest.virsh(*words)
        assert online() == left, (words, online())
    assert re.findall(r": (\S+)", guest.virsh("guestvcpus", "guest")) == ["0-1", "0-1", "1"]


def log_in(guest, name, when):
    """An entry in utmp as login(1) makes it."""
    entry = struct.pack("<hhi32s4s32s256shhiii4i20x", 7, 0, 1, b"tty1", b"1", name.encode(), b"", 0, 0, 0, when, 0, 0, 0, 0, 0)
    guest.shell.get(f"echo {base64.b64encode(entry).decode()} | base64 -d > /run/utmp; chmod 644 /run/utmp")


def play_information(guest):
    log_in(guest, "alice", 1790000000)
    guest.shell.get("ip address add 192.0.2.13/24 dev $(ls /sys/class/net | grep -v lo)")
    said = dict(re.findall(r"^(\S+) *: (.*)$", guest.virsh("guestinfo", "guest"), re.M))
    expected = {"user.count": "1", "user.0.name": "alice", "user.0.login-time": "1790000000000", "os.id": "debian", "os.machine": "x86_64",
                "os.kernel-release": guest.shell.get("uname -r"), "timezone.offset": "0", "hostname": "guest", "fs.count": "1", "fs.0.mountpoint": "/",
                "fs.0.fstype": "ext4", "fs.0.disk.0.alias": "vda", "disk.count": "2", "disk.0.alias": "vda", "if.count": "2",
                "if.1.hwaddr": "52:54:00:00:00:13", "if.1.addr.0.addr": "192.0.2.13", "if.1.addr.0.prefix": "24"}
    assert expected.items() <= said.items(), said
    for kind in ("user", "os", "timezone", "hostname", "filesystem", "disk", "interface"):
        guest.virsh("guestinfo", "guest", f"--{kind}")  # which is an error where the agent has no answer
    assert re.search(r"^ /\s+vda\s+ext4\s+vda$", guest.virsh("domfsinfo", "guest"), re.M)
    assert guest.virsh("domhostname", "guest", "--source", "agent") == "guest"
    assert "192.0.2.13/24" in guest.virsh("domifaddr", "guest", "--source", "agent", "--full")


def play_programs(guest):
    pid = agent(guest, "guest-exec", path="/bin/sh", arg=["-c", "id -u; exit 5"], **{"capture-output": True})["pid"]
    while not (ended := agent(guest, "guest-exec-status", "--pretty", pid=pid))["exited"]:
        pass
    assert (ended["exitcode"], base64.b64decode(ended["out-data"])) == (5, b"0\n"), ended


def play_freeze(guest):
    shell = guest.shell
    assert guest.virsh("domfsfreeze", "guest") == "Froze 1 filesystem(s)"
    assert agent(guest, "guest-fsfreeze-status") == "frozen"
    # A writer hangs in the kernel until the thaw.
    shell.get("sh -c 'echo $$ > /run/writer; echo x > /root/late; : > /run/written' > /dev/null 2>&1 & "
              "until grep -q 'State:.D' /proc/$(cat /run/writer)/status; do sleep 0.1; done")
    assert shell.run("test -e /run/written")[1] != 0
    assert guest.virsh("domfsthaw", "guest") == "Thawed 1 filesystem(s)"
    shell.get("until test -e /run/written; do sleep 0.1; done; rm /root/late")
    assert guest.virsh("domfsfreeze", "guest", "--mountpoint", "/") == "Froze 1 filesystem(s)"
    assert guest.virsh("domfsthaw", "guest") == "Thawed 1 filesystem(s)"
    # What the guest no longer uses goes back to the host.
    shell.get(f"head -c {FILLED} /dev/zero > /root/filled; sync; rm /root/filled; sync")
    before = os.stat(guest.disks[0]).st_blocks * 512
    guest.virsh("domfstrim", "guest", "--minimum", "4096")
    assert before - os.stat(guest.disks[0]).st_blocks * 512 >= FILLED // 2


def play_snapshot(guest):
    frozen = guest.audit().count("guest-fsfreeze-freeze")
    guest.virsh("snapshot-create-as", "guest", "one", "--disk-only", "--quiesce", "--no-metadata", "--diskspec", f"vda,file={guest.path('overlay')}",
                "--diskspec", "vdb,snapshot=no")
    assert re.search(r"vda\s+\S+/overlay", guest.virsh("domblklist", "guest"))
    assert agent(guest, "guest-fsfreeze-status") == "thawed"
    assert guest.audit().count("guest-fsfreeze-freeze") > frozen, "libvirt froze for it"


def play_timeout(guest):
    """A command that outlasts libvirt's patience is given up; libvirt synchronises, is answered, and what comes late confuses nobody."""
    shell = guest.shell
    shell.get("mkfifo /run/go; cp /usr/sbin/chpasswd /root/real; "
              "printf '#!/bin/sh\\nread -r word < /run/go\\nexec /root/real \"$@\"\\n' > /root/slow; chmod 755 /root/slow; "
              "mount --bind /root/slow /usr/sbin/chpasswd")
    secret = base64.b64encode(b"later").decode()
    request = {"execute": "guest-set-user-password", "arguments": {"username": "alice", "password": secret, "crypted": False}}
    assert "not responding" in guest.virsh_error("qemu-agent-command", "guest", "--timeout", "1", json.dumps(request))
    guest.wait_for_agent()
    assert "the agent is busy with an earlier request" in guest.virsh_error("domtime", "guest")
    shell.get("echo word > /run/go; until getent shadow alice | grep -q ':[$]y[$]'; do sleep 0.1; done; umount /usr/sbin/chpasswd")
    guest.wait_until("domtime", "guest")
    assert guest.virsh("domhostname", "guest", "--source", "agent") == "guest"
    guest.virsh("guest-agent-timeout", "guest", "--timeout", "30")
    assert guest.virsh("domhostname", "guest", "--source", "agent") == "guest"


def play(guest):
    for part in (play_time, play_accounts, play_processors, play_information, play_programs, play_freeze, play_timeout, play_snapshot):
        part(guest)
    guest.virsh("shutdown", "guest", "--mode", "agent")
    guest.wait_for_event("Shutdown Finished after guest request")
    assert guest.commands_asked() == ASKED, guest.commands_asked() ^ ASKED
    guest.note(f"{len(ASKED)} commands, asked by libvirt {guest.virsh('--version')}")
