"""In which domain of SELinux, or profile of AppArmor, each process of the agent is, and in which it should be."""
import re

NAMES = ("broker", "files", "guard", "inspector", "launcher", "nursery", "recorder", "worker")
# Nursery and workers are in one.
DOMAINS = {f"sallyport-{name}": f"system_u:system_r:sallyport_{'worker' if name == 'nursery' else name}_t:s0" for name in NAMES}
PROFILES = {f"sallyport-{name}": f"{'sallyport-nursery//&sallyport-worker' if name in ('nursery', 'worker') else f'sallyport-{name}'} (enforce)"
            for name in NAMES}
# There under every policy.
ALWAYS = {"sallyport-broker", "sallyport-nursery", "sallyport-worker", "sallyport-recorder"}


def check(shell, expected, names=ALWAYS):
    """That each process is where it should be, and those of `names`, at least, are there; how many there are."""
    listed = re.findall(r"^(\S+ \(\S+\)|\S+)\s+(sallyport-\w+)", shell.get("ps -ewwo label,args --no-headers"), re.M)
    wrong = [(label, name) for label, name in listed if label != expected.get(name)]
    assert not wrong, wrong
    assert names <= {name for _, name in listed}, listed
    return len(listed)
