"""With SELinux enforcing and no refusal silenced: every process is in its domain, and does what the policy allows without one
refusal; who takes over the worker is refused by its domain, too, and that is logged."""
import base64
import json
import re
import time

import labels
from denials import attack, by_selinux as denials
from enforcing import KERNEL_OPTIONS  # noqa: F401
from run import HERE, load

GUEST = "debian"
IS_ABOUT_DENIALS = True
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcd"
POLICY = """schema = 1
[peers]
cids = [1]
[[allow]]
id = "look"
commands = ["@inspect"]
[[allow]]
id = "power"
commands = ["guest-shutdown", "guest-suspend-ram"]
modes = ["powerdown"]
[[allow]]
id = "snapshots"
commands = ["@freeze"]
freeze = { max_frozen = "60s", hooks = "/etc/sallyport/freeze.d" }
[[allow]]
id = "reports"
commands = ["@file"]
files = [{ under = "/srv/export", access = ["read"] }, { under = "/srv/import", access = ["read", "write", "create"] }]
[[deny]]
id = "not-this"
files = [{ under = "/srv/import/kept" }]
[[allow]]
id = "programs"
commands = ["guest-exec"]
[[allow.exec]]
program = "/usr/bin/cat"
args = ["/proc/self/attr/current"]
run_as = "nobody"
confine = { no_new_privileges = true, memory = "64MiB", tasks = 8 }
[[allow.exec]]
program = "/usr/local/bin/labelled"
args = ["/proc/self/attr/current"]
run_as = "root"
[[allow]]
id = "users"
commands = ["@accounts"]
users = "any"
crypted = "any"
key_types = ["ssh-ed25519"]
reset = true
[[allow]]
id = "clock"
commands = ["guest-set-time"]
time = { max_step = "10m" }
[[allow]]
id = "processors"
commands = ["guest-set-vcpus"]
vcpus = { min_online = 1, cpus = "1" }
"""
PROCESSORS = 2
PREPARE = 'cp /bin/busybox "$1/root/busybox"'
# What an admin does: files for the host, hooks, and a program that has a domain of its own.
SET_UP = """mkdir -p /srv/export /srv/import /etc/sallyport/freeze.d
echo report > /srv/export/report
echo kept > /srv/import/kept
printf '#!/bin/sh\\n[ "$1" = freeze ] || [ "$1" = thaw ]\\n' > /etc/sallyport/freeze.d/note
chmod 755 /etc/sallyport/freeze.d/note
restorecon -R /etc/sallyport
chcon -R -t sallyport_export_t /srv/export
chcon -R -t sallyport_import_t /srv/import
cp /usr/bin/cat /usr/local/bin/labelled
chcon -t sallyport_hook_exec_t /usr/local/bin/labelled
setsebool sallyport_read_exports=1 sallyport_write_imports=1
mkdir -p -m 700 /run/sallyport /var/lib/sallyport/second
restorecon -R /run/sallyport /var/lib/sallyport
modprobe vsock_loopback
useradd -m -s /bin/sh alice
restorecon -R /home
chcon -t sallyport_nursery_exec_t /root/busybox"""
# A second agent, on a channel that hosts connect to: its options, and how a host connects.
# Without a control group of its own it would ask for a mark that only CAP_SYS_ADMIN may read.
SECOND = "systemd-run --unit=second --service-type=notify -p 'Delegate=memory pids' sallyportd --policy /etc/sallyport/policy.toml -t /var/lib/sallyport/second"
UNIX = ("-m unix-listen -p /run/sallyport/socket", "UNIX-CONNECT:/run/sallyport/socket")
# Where else hooks lie: qemu-ga's folder, and where an admin has programs. Theirs has a label of its own, as has each hook in it.
HOOKS = ("/etc/qemu/fsfreeze-hook.d", "/usr/local/bin/hooks")
HOOKED_POLICY = """schema = 1
[[allow]]
id = "snapshots"
commands = ["@freeze"]
freeze = {{ max_frozen = "60s", hooks = "{}" }}
"""
VSOCK = ("-m vsock-listen -p 4294967295:5123", "VSOCK-CONNECT:1:5123")

# What is tried from the worker's domain, by words of busybox, and a refusal that it must meet with.
ATTACKS = {
    "cat /etc/passwd": "sallyport_worker_t etc_t:file",
    "cat /var/lib/sallyport/audit.jsonl": "sallyport_worker_t (var_lib_t|sallyport_state_t):dir { search }",
    "touch /tmp/mine": "sallyport_worker_t tmp_t:dir",
    "sh -c /usr/bin/id": "sallyport_worker_t bin_t:(dir|file)",
    "mount -t tmpfs none /mnt": "sallyport_worker_t (sallyport_worker_t:capability|mnt_t:dir|fs_t|tmpfs_t)",
    "kill -9 1": "sallyport_worker_t init_t:process",
    "nc 127.0.0.1 1": "sallyport_worker_t sallyport_worker_t:tcp_socket { create }",
    "nslookup localhost 127.0.0.1": "sallyport_worker_t sallyport_worker_t:udp_socket { create }",
    "ls /root": "sallyport_worker_t user_home_dir_t:dir",
    "chown 1 /srv/export": "sallyport_worker_t sallyport_export_t:dir",
}


def look(host):
    for command in host.get("guest-info")["supported_commands"]:
        name = command["name"]
        if command["enabled"] and name.startswith(("guest-get-", "guest-network-")):
            host.get(name)


def use_files(host):
    handle = host.get("guest-file-open", path="/srv/export/report")
    assert base64.b64decode(host.get("guest-file-read", handle=handle)["buf-b64"]) == b"report\n"
    host.get("guest-file-close", handle=handle)
    handle = host.get("guest-file-open", path="/srv/import/new", mode="w+")
    host.get("guest-file-write", handle=handle, buf_b64=base64.b64encode(b"text").decode())
    host.get("guest-file-flush", handle=handle)
    host.get("guest-file-seek", handle=handle, offset=0, whence="set")
    assert base64.b64decode(host.get("guest-file-read", handle=handle)["buf-b64"]) == b"text"
    host.get("guest-file-close", handle=handle)


def context_of_program(host, path):
    program = host.get("guest-exec", path=path, arg=["/proc/self/attr/current"], capture_output=True)
    end = time.monotonic() + 60
    while not (status := host.get("guest-exec-status", **program))["exited"]:
        assert time.monotonic() < end, "the program does not end"
    return base64.b64decode(status["out-data"]).decode().strip("\0\n")


def change_passwords_and_keys(host, shell):
    password = base64.b64encode(b"a new one").decode()
    assert host.get("guest-set-user-password", username="alice", password=password, crypted=False) == {}
    assert shell.get("getent shadow alice").split(":")[1].startswith("$y$")
    for _ in range(2):
        assert host.get("guest-ssh-add-authorized-keys", username="alice", keys=[KEY]) == {}
    assert host.get("guest-ssh-get-authorized-keys", username="alice") == {"keys": [KEY]}


def check_labels_of_accounts(shell):
    assert "ssh_home_t" in shell.get("ls -Z /home/alice/.ssh/authorized_keys")
    assert shell.get("ls -Z /etc/shadow").split(":")[2] == "shadow_t"


def ask_with_switches_off(host, shell):
    """Each is refused, and by its domain; the denials."""
    password = base64.b64encode(b"not this").decode()
    for name, words, refused in (
            ("guest-set-time", {"time": host.get("guest-get-time")}, "setter_t sallyport_setter_t:capability { sys_time }"),
            ("guest-set-vcpus", {"vcpus": [{"logical-id": 1, "online": False}]}, "setter_t sysfs_t:(dir|file)"),
            ("guest-set-user-password", {"username": "alice", "password": password, "crypted": False}, "launcher_t etc_t:file"),
            ("guest-ssh-add-authorized-keys", {"username": "alice", "keys": [KEY]}, "launcher_t etc_t:file")):
        assert host.error_of(name, **words)
        found = denials(shell.get("dmesg"))
        assert any(re.search(refused, one) for one in found), f"{name}: {found}"
    return found


def serve_on(shell, channel):
    options, address = channel
    shell.get(f"{SECOND} {options}", 90)
    request = json.dumps({"execute": "guest-sync", "arguments": {"id": 7}})
    answer = shell.get(f"echo '{request}' | timeout 20 socat -t 10 - {address}")
    assert json.loads(answer) == {"return": 7}, answer
    shell.get("systemctl stop second")


def do_without_other_channels(shell):
    """The unix socket needs no switch; vsock is refused without; the denials."""
    before = denials(shell.get("dmesg"))
    serve_on(shell, UNIX)
    served = denials(shell.get("dmesg"))
    assert served == before, [one for one in served if one not in before]
    _, status = shell.run(f"{SECOND} {VSOCK[0]}", 90)
    assert status != 0, "served on vsock with the switch off"
    shell.run("systemctl reset-failed second")
    refused = [one for one in denials(shell.get("dmesg")) if one not in before]
    assert any("sallyport_starter_t:vsock_socket" in one for one in refused), refused
    return refused


def start_hooks_from_elsewhere(shell):
    """By a second agent for each folder: its start lists it, its freeze starts what is in it. Nothing is refused."""
    before = denials(shell.get("dmesg"))
    options, address = UNIX
    for hooks in HOOKS:
        shell.get(f"mkdir -p {hooks} && cp /etc/sallyport/freeze.d/note {hooks}/")
        written = HOOKED_POLICY.format(hooks).encode("unicode_escape").decode()
        shell.get(f"restorecon -R {hooks} && printf '%b' '{written}' > /etc/sallyport/hooked.toml")
        shell.get(f"{SECOND.replace('policy.toml', 'hooked.toml')} {options}", 90)
        for word in ("freeze", "thaw"):
            request = json.dumps({"execute": f"guest-fsfreeze-{word}"})
            answer = shell.get(f"echo '{request}' | timeout 60 socat -t 50 - {address}", 90)
            assert json.loads(answer) == {"return": 1}, answer
        shell.get("systemctl stop second")
        said = [json.loads(line) for line in shell.get("cat /var/lib/sallyport/second/audit.jsonl").splitlines()]
        ended = {(one["what"], one["arguments"]["outcome"]) for one in said if one.get("arguments", {}).get("program") == f"{hooks}/note"}
        assert ended == {("hooks-freeze", "DONE"), ("hooks-thaw", "DONE")}, ended
    refused = [one for one in denials(shell.get("dmesg")) if one not in before]
    assert not refused, "\n".join(refused)


def freeze_and_trim(host):
    assert host.get("guest-fsfreeze-freeze") == host.get("guest-fsfreeze-thaw") == 1
    # Hooks that clean up after the freeze are still running, or not.
    while "busy" in host.ask("guest-fstrim").get("error", {}).get("desc", ""):
        time.sleep(1)


def set_things(host, shell):
    assert host.get("guest-set-time", time=host.get("guest-get-time")) == {}
    assert host.get("guest-set-time") == {}
    for online, seen in ((False, "0"), (True, "0-1")):
        assert host.get("guest-set-vcpus", vcpus=[{"logical-id": 1, "online": online}]) == 1
        assert shell.get("cat /sys/devices/system/cpu/online").strip() == seen


def play(guest):
    shell, host = guest.shell, guest.host
    assert shell.get("getenforce") == "Enforcing"
    assert "sallyport_channel_t" in shell.get("ls -lZ $(readlink -f /dev/virtio-ports/org.qemu.guest_agent.0)")
    for line in SET_UP.splitlines():
        shell.get(line)
    off = ask_with_switches_off(host, shell) + do_without_other_channels(shell)
    shell.get("setsebool sallyport_change_accounts=1 sallyport_set_clock=1 sallyport_set_devices=1 sallyport_other_channels=1")
    serve_on(shell, VSOCK)
    count = labels.check(shell, labels.DOMAINS, set(labels.DOMAINS))
    look(host)
    use_files(host)
    assert context_of_program(host, "/usr/bin/cat") == "system_u:system_r:sallyport_program_t:s0"
    assert context_of_program(host, "/usr/local/bin/labelled") == "system_u:system_r:sallyport_hook_t:s0"
    assert "programs-without-control-group" not in guest.audit()
    change_passwords_and_keys(host, shell)
    check_labels_of_accounts(shell)
    set_things(host, shell)
    freeze_and_trim(host)
    start_hooks_from_elsewhere(shell)
    load(HERE / "cases/systemd_unit.py").check_service(guest)
    for name in ("suspend_ram", "freeze_killed", "systemd_killed"):
        load(HERE / f"cases/{name}.py").play(guest)
    labels.check(shell, labels.DOMAINS, set(labels.DOMAINS))
    # By an agent that was started when the file was there.
    assert "sallyport_denied_t" in shell.get("ls -Z /var/lib/sallyport/sallyport.denied")
    refused = [one for one in denials(shell.get("dmesg")) if one not in off]
    guest.note(f"enforcing, {count} processes in their domains, {len(refused)} denials")
    assert not refused, "\n".join(refused)
    guest.note(f"{attack(guest, 'runcon system_u:system_r:sallyport_worker_t:s0', ATTACKS, denials)} denials of an attack from the worker's domain")
    load(HERE / "cases/powerdown.py").play(guest)
    late = [one for one in denials(guest.console()) if not one.startswith("sallyport_worker_t") and one not in off]
    assert not late, "\n".join(late)
