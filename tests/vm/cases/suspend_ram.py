"""guest-suspend-ram puts the guest to sleep, the host wakes it, the agent answers."""
import time

GUEST = {"kernel": "initramfs", "systemd": "debian"}  # who carries it out
POLICY = """schema = 1
[[allow]]
id = "sleep"
commands = ["guest-suspend-ram"]
"""


def play(guest):
    boot = guest.boot_id()
    guest.will_sleep(15)
    guest.host.send("guest-suspend-ram")
    guest.wait_until_asleep()
    started = time.monotonic()
    guest.wake()
    guest.host.sync()
    guest.note(f"slept, was woken; the agent answers {time.monotonic() - started:.1f} s after that began")
    assert guest.boot_id() == boot, "not the same boot"
    guest.shell.get("i=0; until grep -q launch-ended /var/lib/sallyport/audit.jsonl; do sleep 1; i=$((i+1)); [ $i -lt 60 ]; done", 90)
    assert '"outcome":"DONE"' in guest.audit(), guest.audit()
