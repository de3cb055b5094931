"""A guest is suspended while something is frozen: the time until the guard's deadline goes on, and it thaws as soon as the guest wakes."""
import time

NEEDS = "guest-fsfreeze-freeze"
GUEST = "initramfs"
FROZEN_SECONDS = 60
MOST_SECONDS = 20  # until it thaws once awake, without acceleration; by a clock that stands still it would take twice as long
POLICY = f"""schema = 1
[[allow]]
id = "snapshots"
commands = ["@freeze"]
freeze = {{ mounts = ["/disk"], max_frozen = "{FROZEN_SECONDS}s" }}
"""


def play(guest):
    host, shell = guest.host, guest.shell
    shell.get("mkdir /disk; head -c 16000000 /dev/zero > /run/disk; mke2fs -F /run/disk; mount -t ext4 -o loop /run/disk /disk")
    shell.get("echo 0 > /sys/power/sync_on_suspend")
    assert host.get("guest-fsfreeze-freeze") == 1
    frozen = time.monotonic()
    guest.will_sleep(FROZEN_SECONDS + 1)
    shell.begin("echo mem > /sys/power/state")  # which ends when the guest is awake again
    guest.wait_until_asleep()
    asleep = time.monotonic() - frozen
    assert asleep < FROZEN_SECONDS - 2 * MOST_SECONDS, f"suspended only after {asleep:.0f} s"
    time.sleep(frozen + FROZEN_SECONDS + 1 - time.monotonic())
    guest.wake()
    woken = time.monotonic()
    while host.get("guest-fsfreeze-status") != "thawed":
        assert time.monotonic() < woken + MOST_SECONDS, "not thawed by the time that has passed asleep"
        time.sleep(0.2)
    assert shell.result() == ("", 0)
    shell.get("echo written > /disk/file", MOST_SECONDS)
    guest.note(f"suspended {asleep:.0f} s after the freeze, thawed {time.monotonic() - woken:.1f} s after the wake-up")
