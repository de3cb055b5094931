"""The unit keeps from the agent what its policy has no use for: a policy that needs more is refused with the drop-ins that it needs, and
served with them."""
import re

from guest import DROP_INS

GUEST = "debian"
BASE = 'schema = 1\ninclude = ["profile:minimal"]\n'
POLICY = BASE + """[[allow]]
id = "power"
commands = ["guest-shutdown"]
modes = ["powerdown"]
"""
# What is allowed besides: (the policy's text, a command that then works)
POLICIES = {
    "what a host may look at": ("""[[allow]]
id = "look"
commands = ["@inspect"]
""", "guest-network-get-interfaces"),
    "freezes": ("""[[allow]]
id = "snapshots"
commands = ["@freeze"]
freeze = { max_frozen = "60s" }
""", "guest-fsfreeze-freeze"),
    "everything": ("""[[allow]]
id = "all"
commands = ["@power"]
modes = ["halt", "powerdown", "reboot"]
method = "kernel"
[[allow]]
id = "look"
commands = ["@inspect"]
[[allow]]
id = "programs"
commands = ["guest-exec"]
[[allow.exec]]
program = "/usr/bin/true"
args = []
run_as = "root"
[[allow]]
id = "users"
commands = ["guest-set-user-password"]
users = "any"
crypted = "any"
[[allow]]
id = "clock"
commands = ["guest-set-time"]
time = { max_step = "any" }
""", "guest-get-host-name"),
}
MOST_EXPOSURE = 3.0


def exposure(shell):
    report = shell.get("systemd-analyze security --no-pager sallyport.service")
    return float(re.search(r"Overall exposure level for \S+: (\S+)", report)[1])


def restart(guest):
    _, status = guest.shell.run("systemctl daemon-reload; systemctl restart sallyport", 90)
    return status == 0


def play(guest):
    shell = guest.shell
    base = exposure(shell)
    assert base <= MOST_EXPOSURE, shell.get("systemd-analyze security --no-pager sallyport.service")
    assert shell.get(f"ls {DROP_INS}") == ""
    found = {"as it is": base}
    for what, (rules, command) in POLICIES.items():
        shell.get(f"rm -f {DROP_INS}/*")
        guest.write("/etc/sallyport/policy.toml", BASE + rules)
        needed = shell.get("sallyport-policy unit /etc/sallyport/policy.toml").split()
        assert needed, what
        assert not restart(guest), f"{what}: started without its drop-ins"
        said = shell.get("journalctl -u sallyport -n 20 -o cat --no-pager")
        assert f"sallyportd: {' '.join(needed)}: the policy needs these drop-ins of the unit" in said, said
        # An admin has to do something: it is not tried again and again.
        assert shell.get("systemctl show sallyport -p ActiveState,NRestarts --value").split() == ["0", "failed"], said
        shell.get(f"ln -s {' '.join(needed)} {DROP_INS}")
        assert restart(guest), shell.get("journalctl -u sallyport -n 20 -o cat --no-pager")
        guest.host.sync()
        guest.host.get(command)
        found[what] = exposure(shell)
    guest.host.close()
    # Where the memory can be read by the host the drop-in for confidential guests lets the agent not be started.
    shell.get(f"ln -s /usr/share/sallyport/unit/confidential.conf {DROP_INS}; systemctl daemon-reload; systemctl restart sallyport")
    assert shell.get("systemctl show sallyport -p ActiveState,ConditionResult --value").split() == ["inactive", "no"]
    guest.note("systemd-analyze security: " + ", ".join(f"{what} {figure}" for what, figure in found.items()))
