"""Debian's qemu-ga and the agent, in one guest and asked the same, answer and do the same about shutdown, suspend and files, clock, processors and
memory, passwords, keys and programs."""
import base64
import json
import re

from channel import Host

GUEST = "debian"
PROCESSORS = 2
MEMORY = 1280
KERNEL_OPTIONS = "movablecore=512M"  # memory that the kernel itself does not use
# qemu-ga has no domain of its own on Debian: files that the agent's does not reach it opens.
UNDER_SELINUX = None
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
SECOND = 10**9
WANTED = 1800000000  # what the clock is set to
SLACK = 30  # seconds that a guest on a processor without acceleration may be late
KEY, OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcd one", "ssh-rsa AAAAB3NzaC1yc2EAAAAD two"
# What is done before each of the two is asked, what is asked, and what shows the effect.
CLOCKS = "date -s @1700000000"
BOTH_CLOCKS = (f"c() {{ r=$(($1 - {WANTED})); [ $r -ge 0 ] && [ $r -le {SLACK} ] && echo set || echo other; }}; "
               "c $(date +%s); c $(cat /sys/class/rtc/rtc0/since_epoch)")
ONLINE = "cat /sys/devices/system/cpu/online"
SHADOW = "getent shadow alice | sed 's/[$]y[$].*/HASHED/'"
FILE = "stat -c '%U %G %a' /home/alice/.ssh /home/alice/.ssh/authorized_keys; cat /home/alice/.ssh/authorized_keys"
FRESH = f"mkdir -p /home/alice/.ssh; echo '{OTHER}' > /home/alice/.ssh/authorized_keys; chown -R alice /home/alice/.ssh; chmod 700 /home/alice/.ssh"


def password(text, crypted):
    return "guest-set-user-password", {"username": "alice", "password": base64.b64encode(text.encode()).decode(), "crypted": crypted}


def processors(*entries):
    return "guest-set-vcpus", {"vcpus": [{"logical-id": number, "online": online} for number, online in entries]}


def keys(verb, *lines, **more):
    return f"guest-ssh-{verb}-authorized-keys", {"username": "alice", "keys": list(lines), **more}


CHANGES = (
    (CLOCKS, ("guest-set-time", {"time": WANTED * SECOND}), BOTH_CLOCKS),
    (CLOCKS, ("guest-set-time", {}), BOTH_CLOCKS),  # the hardware clock still has it
    (CLOCKS, ("guest-set-time", {"time": -SECOND}), BOTH_CLOCKS),
    (CLOCKS, ("guest-set-time", {"time": 4000000000 * SECOND}), BOTH_CLOCKS),
    (CLOCKS, ("guest-set-time", {"time": "now"}), BOTH_CLOCKS),
    ("true", processors((1, False)), ONLINE),
    ("true", processors((1, True)), ONLINE),
    ("true", processors((1, False), (0, False)), ONLINE),
    ("true", processors((1, True)), ONLINE),
    ("true", processors((0, False)), ONLINE),
    ("true", processors(), ONLINE),
    ("true", ("guest-set-memory-blocks", {"mem-blks": [{"phys-index": 0, "online": True}, {"phys-index": 63, "online": True}]}), ONLINE),
    ("usermod -p '*' alice", password("a secret", False), SHADOW),
    ("usermod -p '*' alice", password("$6$ab$hash", True), SHADOW),
    ("usermod -p '*' alice", password("a\nroot:b", False), SHADOW),
    ("rm -rf /home/alice/.ssh", keys("add", KEY), FILE),
    (FRESH, keys("add", KEY, OTHER), FILE),
    (FRESH, keys("add", KEY, reset=True), FILE),
    (FRESH, keys("remove", OTHER), FILE),
    (FRESH, ("guest-ssh-get-authorized-keys", {"username": "alice"}), FILE),
    (FRESH, ("guest-ssh-get-authorized-keys", {"username": "nosuchuser"}), FILE),
)
PROGRAMS = (
    {"path": "/bin/sh", "arg": ["-c", "id; umask; echo fault >&2; exit 3"], "capture-output": True},
    {"path": "sh", "arg": ["-c", "cat; kill -TERM $$"], "capture-output": True, "input-data": base64.b64encode(b"fed").decode()},
    {"path": "sh", "arg": ["-c", "echo $A-$B"], "env": ["A=1", "B=2"], "capture-output": True},
    {"path": "/bin/true"},
    {"path": "no-such-program"},
)


def answer(host, command, arguments):
    """The one line that comes, or nothing: a ping behind the request shows where its answers end."""
    host.send(command, **arguments)
    host.socket.sendall(b'{"execute": "guest-ping", "id": "end"}\n')
    lines = []
    while b'"end"' not in (line := host.read_line(60)):
        lines.append(line.decode())
    # 7.2 throws the status away, and puts the text of a failed start into another one; documented in docs/compatibility.md.
    return [re.sub(r"Guest agent command failed, error was '(.*)'", r"\1", line.replace(": exit status 4", "")) for line in lines]


def read_file(host, path):
    handle = host.get("guest-file-open", path=path)
    text = base64.b64decode(host.get("guest-file-read", handle=handle, count=4096)["buf-b64"])
    host.get("guest-file-close", handle=handle)
    return text


def enabled(host):
    """Each command that can be asked for, and whether its success has an answer."""
    return {one["name"]: one["success-response"] for one in host.get("guest-info")["supported_commands"] if one["enabled"]}


def run_program(host, arguments):
    """How it ended, or why it did not start."""
    (line,) = answer(host, "guest-exec", arguments)
    if "error" in (started := json.loads(line)):
        return started
    while not (ended := host.get("guest-exec-status", pid=started["return"]["pid"]))["exited"]:
        pass
    return ended


def play_blocks(shell, ours, theirs):
    """Each is asked about a block as the other has left it, until one has gone and come back; some have pages that were taken at boot."""
    def same_answer(number, online, hosts):
        entry = {"phys-index": number, "online": online}
        replies = [answer(host, "guest-set-memory-blocks", {"mem-blks": [entry]}) for host in hosts]
        assert replies[0] == replies[1], replies
        return "success" in replies[0][0]

    movable = shell.get("grep -lw Movable /sys/devices/system/memory/memory*/valid_zones")
    numbers = sorted(int(one) for one in re.findall(r"memory(\d+)/", movable))
    gone = next((number for number in numbers if same_answer(number, False, (ours, theirs))), None)
    assert gone is not None, f"the kernel lets go of none of {numbers}"
    state = f"cat /sys/devices/system/memory/memory{gone}/state"
    assert shell.get(state) == "offline"
    assert same_answer(gone, True, (theirs, ours)) and shell.get(state) == "online"


def play_changes(shell, ours, theirs):
    shell.get("useradd -m -s /bin/sh alice")
    differences = []
    for before, (command, arguments), seen in CHANGES:
        pair = []
        for host in (ours, theirs):
            shell.get(before)
            pair.append((answer(host, command, arguments), shell.run(seen)[0]))
        if pair[0] != pair[1]:
            differences.append(f"{command} {arguments}: ours {pair[0]}, theirs {pair[1]}")
    for arguments in PROGRAMS:
        ours_ended, theirs_ended = run_program(ours, arguments), run_program(theirs, arguments)
        if ours_ended != theirs_ended:
            differences.append(f"{arguments}: ours {ours_ended}, theirs {theirs_ended}")
    assert not differences, "\n".join(differences)
    play_blocks(shell, ours, theirs)


def play(guest):
    shell = guest.shell
    shell.get("systemd-run --unit=compare qemu-ga -m virtio-serial -p /dev/virtio-ports/org.sallyport.compare -t /run", 90)
    theirs = Host(guest.path("compare"))
    theirs.sync()
    shell.get(STANDIN % (3, 0) + "; mount --bind /root/systemctl /usr/bin/systemctl")
    missing = enabled(theirs).items() - enabled(guest.host).items()
    assert not missing, missing
    differences = []
    for (status, other), (command, arguments) in CONVERSATION:
        shell.get(STANDIN % (status, other))
        pair = [answer(host, command, arguments) for host in (guest.host, theirs)]
        if pair[0] != pair[1]:
            differences.append(f"{command} {arguments}, systemctl {status} {other}: ours {pair[0]}, theirs {pair[1]}")
    assert not differences, "\n".join(differences)
    assert read_file(guest.host, "/etc/passwd") == read_file(theirs, "/etc/passwd")
    play_changes(shell, guest.host, theirs)
    guest.note(f"{len(CONVERSATION) + len(CHANGES) + len(PROGRAMS)} requests, the same answers and effects as qemu-ga 7.2")
