"""Under the unit as it is shipped, which shows the agent nothing of /proc but processes, a budget outlasts a restart and what an earlier agent
left frozen is thawed: both hold for one boot, and the unit says which this is."""
from guest import DROP_INS

GUEST = "debian"
POLICY = """schema = 1
[[allow]]
id = "sleep"
commands = ["guest-suspend-hybrid"]
rate = "4/day"
"""
STATE = "/var/lib/sallyport"
# A file system of its own, where there was swap.
SET_UP = """swapoff /dev/vdb
mkfs.ext4 -q -F /dev/vdb
mkdir -p /mnt/held
mount /dev/vdb /mnt/held"""


def was_frozen(shell):
    """Whether it was until now."""
    return shell.run("fsfreeze -u /mnt/held")[1] == 0


def freeze_and_mark(shell, boot):
    """As an agent would leave it that ends before it has thawed."""
    shell.get(f"fsfreeze -f /mnt/held && echo {boot} > {STATE}/sallyport.frozen")


def keep_a_budget(guest):
    # Its bucket takes a day to fill; that of the other, seconds.
    guest.use_policy(POLICY.replace("4/day", "86400/day burst 4"))
    guest.shell.get("until sallyport-policy status | grep -q '4 of 4 left'; do sleep 0.2; done", 60)
    guest.use_policy(POLICY)
    left = [line.strip() for line in guest.shell.get("sallyport-policy status").splitlines() if "sleep" in line]
    assert left == ["'sleep': 4 of 4 left, rate 4/day"], left


def thaw_what_is_left(guest, boot):
    """Who finds the mark: the unit, when an agent ends; else the next start."""
    shell, log = guest.shell, "journalctl -u sallyport -o cat --no-pager"
    freeze_and_mark(shell, boot)
    shell.get("systemctl restart sallyport", 120)
    guest.host.sync()
    assert not was_frozen(shell), shell.get(log)
    assert "guard: thawed 1 file systems" in shell.get(log), shell.get(log)
    shell.get("systemctl stop sallyport", 120)
    freeze_and_mark(shell, boot)
    shell.get("systemctl start sallyport", 120)
    guest.host.sync()
    assert not was_frozen(shell), shell.get(log)
    assert shell.get(f"cat {STATE}/sallyport.frozen") == "", "the mark stays"


def leave_what_another_boot_left(guest):
    other = "00000000-0000-4000-8000-000000000000"
    guest.shell.get("systemctl stop sallyport", 120)
    freeze_and_mark(guest.shell, other)
    guest.shell.get("systemctl start sallyport", 120)
    guest.host.sync()
    assert was_frozen(guest.shell), "thawed by the mark of another boot"


def play(guest):
    shell = guest.shell
    assert shell.get(f"ls {DROP_INS}") == "" and shell.get("systemctl show sallyport -p ProcSubset --value") == "pid"
    for line in SET_UP.splitlines():
        shell.get(line, 60)
    keep_a_budget(guest)
    thaw_what_is_left(guest, guest.boot_id())
    leave_what_another_boot_left(guest)
    guest.note("a bucket is as full as it was; thawed by the unit, thawed by the next start; another boot's mark is none")
