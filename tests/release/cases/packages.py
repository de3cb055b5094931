"""The packages take qemu-guest-agent's place in a guest and serve under the default policy; an upgrade leaves alone an agent that keeps
something frozen; removal thaws; Debian's own comes back; a purge leaves nothing."""
import time

GUEST = "debian"
MEMORY = 1024
POLICY = ""  # the one of the package
# What an admin adds to the default policy, and the drop-ins that it needs.
ADMIN_ADDS = r'printf "\n[[allow]]\nid = \"snapshots\"\ncommands = [\"@freeze\"]\nfreeze = { max_frozen = \"1h\" }\n" >> /etc/sallyport/policy.toml'
DROP_INS = "/etc/systemd/system/sallyport.service.d"
LINK_DROP_INS = f"mkdir -p {DROP_INS} && sallyport-policy unit /etc/sallyport/policy.toml | xargs -r ln -sft {DROP_INS} && systemctl daemon-reload"
# A second file system: while the first is frozen, dpkg waits like everyone who writes.
MAKE_SRV = "truncate -s 32M /root/srv.img; mkfs.ext4 -q /root/srv.img; mkdir -p /srv; mount -o loop /root/srv.img /srv"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -y -q -o APT::Sandbox::User=root"
# Without the module for SELinux, which takes a minute each time.
AGENT = "/packages/%d/sallyport*_amd64.deb"
# What the shipped policy lets a host do: the profile lifecycle.
LIFECYCLE = {"guest-sync-delimited", "guest-sync", "guest-ping", "guest-info", "guest-fsfreeze-status", "guest-fsfreeze-thaw", "guest-shutdown"}
QEMU_GA = "/usr/sbin/qemu-ga"
# But what is the test's own, and the copies that account tools keep of their files.
LEFT_BEHIND = ("find / -xdev \\( -path /packages -o -path /proc -o -path /var/log/journal \\) -prune -o -iname '*sallyport*' -print; "
               "grep -rIl sallyport /etc | grep -v -e '-$' -e test-shell; getent passwd sallyport; getent group sallyport; "
               "systemctl list-unit-files --no-legend 'sallyport*'; pgrep -l sallyport; ls -d /etc/alternatives/qemu-ga* /var/lib/dpkg/alternatives/qemu-ga 2> /dev/null")


def version(guest):
    guest.host.sync()
    return guest.host.get("guest-info")["version"]


def apt(guest, words):
    return guest.shell.get(f"{APT} {words}")


def state_of(guest, package):
    return guest.shell.run(f"dpkg-query -W -f '${{db:Status-Status}}' {package}")[0].strip()


def check_name_is_theirs(guest):
    said = guest.shell.get(f"[ -f {QEMU_GA} ] && [ ! -L {QEMU_GA} ] && dpkg -S {QEMU_GA} && qemu-ga --version && ! ls /etc/alternatives/qemu-ga")
    assert "qemu-guest-agent: " in said and "QEMU Guest Agent " in said, said


def check_name_is_ours(guest):
    """Scripts that call qemu-ga get sallyportd, which takes its options; it is no second agent beside the one that serves."""
    shell = guest.shell
    assert shell.get(f"readlink -f {QEMU_GA}") == "/usr/sbin/sallyportd"
    assert shell.get("qemu-ga --version").startswith("Sallyport Guest Agent "), "--version"
    assert "--block-rpcs=" in shell.get("qemu-ga --help")
    assert "path=/dev/virtio-ports/org.qemu.guest_agent.0" in shell.get("qemu-ga --dump-conf")
    before = guest.main_process()
    said, status = shell.run("qemu-ga --daemonize 2>&1")
    assert status == 1 and guest.main_process() == before, (status, said)
    guest.host.sync()
    return said


def theirs_and_ours(guest):
    """apt exchanges the two in one step, and what the default policy says is what the host can do."""
    theirs = version(guest)
    assert state_of(guest, "qemu-guest-agent") == "installed"
    check_name_is_theirs(guest)
    said = apt(guest, "install /packages/0/sallyport*.deb")
    for words in ("sallyport-policy check /etc/sallyport/policy.toml", 'include = ["profile:minimal"]', 'include = ["profile:compat"]'):
        assert words in said, said
    ours = version(guest)
    guest.note("a second one: " + check_name_is_ours(guest).splitlines()[-1])
    assert ours != theirs and state_of(guest, "qemu-guest-agent") == "config-files", (ours, theirs)
    checked = guest.shell.get("sallyport-policy check /etc/sallyport/policy.toml")
    by_policy = next(line for line in checked.splitlines() if line.startswith("enabled: ")).split()[1:]
    enabled = {c["name"] for c in guest.host.get("guest-info")["supported_commands"] if c["enabled"]}
    assert enabled == set(by_policy) == LIFECYCLE, (enabled, by_policy)
    assert guest.host.get("guest-ping") == {}
    guest.host.error_of("guest-file-open", path="/etc/passwd")
    guest.note(f"{theirs} became {ours} with {len(enabled)} commands")


def reboot(guest):
    """What the shipped policy allows works under the unit as it is shipped; the agent is there again by the port alone."""
    booted = guest.boot_id()
    guest.host.error_of("guest-shutdown", mode="halt")
    guest.host.send("guest-shutdown", mode="reboot")
    guest.wait_for_console("reboot: Restarting system", guest.host.patience)
    guest.host.sync()
    assert guest.boot_id() != booted
    assert guest.shell.get(f"ls {DROP_INS} 2> /dev/null || true") == ""


def only_if_confidential(guest):
    """With the drop-in for confidential guests systemd accepts the unit, and in this guest, which is none, does not start the agent."""
    shell = guest.shell
    shell.get(f"mkdir {DROP_INS}; ln -s /usr/share/sallyport/unit/confidential.conf {DROP_INS}; systemctl daemon-reload")
    assert shell.get("systemd-analyze verify --man=no sallyport.service 2>&1") == ""
    shell.get("systemctl restart sallyport")
    assert shell.get("systemctl show sallyport -p ActiveState,ConditionResult --value").split() == ["inactive", "no"]
    # Since systemd 254, of which the condition is.
    said, _ = shell.run("systemd-detect-virt --cvm 2>&1")
    assert (said == "none") == (int(shell.get("systemctl --version").split()[1]) >= 254), said
    shell.get(f"rm -r {DROP_INS}; systemctl daemon-reload; systemctl start sallyport")
    guest.host.sync()
    guest.note(f"systemd-detect-virt --cvm: {said}")


def upgrade(guest):
    """The admin's policy stays, and the new agent reads it."""
    guest.shell.get(ADMIN_ADDS)
    guest.shell.get(LINK_DROP_INS)
    before = guest.main_process()
    apt(guest, "install /packages/1/sallyport*.deb")
    guest.wait_for_next_agent(before)
    guest.host.sync()
    assert guest.shell.get("dpkg-query -W -f '${Version}' sallyport").endswith("+1")
    assert guest.host.get("guest-fsfreeze-status") == "thawed"
    assert "snapshots" in guest.shell.get("cat /etc/sallyport/policy.toml")


def upgrade_while_something_is_frozen(guest):
    """The running agent stays, and with it what is frozen, until the host thaws; then the next one serves."""
    guest.shell.get(MAKE_SRV)
    before = guest.main_process()
    assert guest.host.get("guest-fsfreeze-freeze-list", mountpoints=["/srv"]) == 1
    said = apt(guest, f"install {AGENT % 2}")
    assert "file systems are frozen; the running agent stays" in said, said
    assert guest.main_process() == before
    guest.host.sync()
    assert guest.host.get("guest-fsfreeze-status") == "frozen"
    assert guest.host.get("guest-fsfreeze-thaw") == 1
    guest.wait_for_next_agent(before)
    guest.host.sync()
    assert guest.host.get("guest-fsfreeze-status") == "thawed"
    guest.shell.get("echo written > /srv/by-writer")


def upgrade_while_everything_is_frozen(guest):
    """dpkg waits for the thaw, and then goes on."""
    before = guest.main_process()
    assert guest.host.get("guest-fsfreeze-freeze") >= 2
    guest.shell.get(f"( dpkg -i {AGENT % 3} > /run/said 2>&1; echo $? > /run/status ) > /dev/null 2>&1 &")
    # It stands in the kernel until somebody thaws.
    guest.shell.get("until for p in $(pgrep dpkg); do cat /proc/$p/wchan; done 2> /dev/null | grep -q percpu_rwsem; do sleep 0.1; done; [ ! -e /run/status ]")
    assert guest.host.get("guest-fsfreeze-status") == "frozen"
    assert guest.host.get("guest-fsfreeze-thaw") >= 2
    guest.shell.get("until [ -s /run/status ]; do sleep 0.2; done; cat /run/said; [ $(cat /run/status) = 0 ]")
    guest.wait_for_next_agent(before)
    guest.host.sync()
    assert guest.shell.get("dpkg-query -W -f '${Version}' sallyport").endswith("+3")


def install_theirs(guest):
    """Debian's package starts by itself at the next boot, not when it is installed."""
    apt(guest, "install /packages/qemu/qemu-guest-agent*.deb")
    guest.shell.get("systemctl start qemu-guest-agent")


def back_and_forth(guest):
    """Debian's own takes the place again, and ours once more with the admin's policy."""
    install_theirs(guest)
    assert state_of(guest, "sallyport") == "config-files"
    assert version(guest).startswith(("7.", "10."))
    check_name_is_theirs(guest)
    apt(guest, f"install {AGENT % 3}")
    guest.host.sync()
    # What is left of the other goes, and takes no name with it.
    apt(guest, "purge qemu-guest-agent")
    check_name_is_ours(guest)
    assert guest.host.get("guest-fsfreeze-freeze-list", mountpoints=["/srv"]) == 1


def remove_while_something_is_frozen(guest):
    """Nobody is left who could thaw later, so it is done before."""
    apt(guest, "remove sallyport")
    guest.shell.get(f"[ ! -e {QEMU_GA} ] && [ ! -L {QEMU_GA} ]")
    guest.shell.get("echo written > /srv/after-removal")
    guest.host.send("guest-ping")
    assert guest.host.is_silent(5)


def purge(guest):
    guest.shell.get("umount /srv; rm /root/srv.img; rm -r " + DROP_INS)
    apt(guest, "purge sallyport sallyport-policy sallyport-selinux")
    left, _ = guest.shell.run(LEFT_BEHIND)
    assert not left.strip(), left
    install_theirs(guest)
    assert version(guest).startswith(("7.", "10."))


STEPS = (theirs_and_ours, reboot, only_if_confidential, upgrade, upgrade_while_something_is_frozen, upgrade_while_everything_is_frozen,
         back_and_forth, remove_while_something_is_frozen, purge)


def play(guest):
    for step in STEPS:
        started = time.monotonic()
        step(guest)
        guest.note(f"{step.__name__.replace('_', ' ')}: {time.monotonic() - started:.0f} s")
