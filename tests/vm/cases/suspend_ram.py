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
    guest.host.send("guest-suspend-ram")
    guest.qmp.wait_for("SUSPEND", 120)
    assert guest.qmp.ask("query-status")["status"] == "suspended"
    started = time.monotonic()
    guest.qmp.ask("system_wakeup")
    guest.qmp.wait_for("WAKEUP")
    guest.host.sync()
    guest.note(f"QMP: SUSPEND, WAKEUP; the agent answers {time.monotonic() - started:.1f} s after the wake-up")
    assert guest.boot_id() == boot, "not the same boot"
    guest.shell.get("i=0; until grep -q launch-ended /var/lib/sallyport/audit.jsonl; do sleep 1; i=$((i+1)); [ $i -lt 60 ]; done", 90)
    assert '"outcome":"DONE"' in guest.audit(), guest.audit()
