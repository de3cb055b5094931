"""guest-set-time sets the guest's clock and its hardware clock as far as the rule says, in both directions, and brings no expired rule back."""
import datetime

GUEST = {"kernel": "initramfs", "systemd": "debian"}  # without and with the shipped unit
HOUR = 3600 * 10**9
SLACK = 20  # seconds that a guest on a processor without acceleration may be late
# Two hours ahead it has not come, four hours ahead it has, whenever in a run of all cases this one is played.
EXPIRY = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=3)
POLICY = f"""schema = 1
[[allow]]
id = "clock"
commands = ["guest-set-time", "guest-get-time"]
time = {{ max_step = "150m" }}
[[allow]]
id = "load"
commands = ["guest-get-load"]
expires = {EXPIRY:%Y-%m-%dT%H:%M:%SZ}
"""
NOT_PERMITTED = "Failed to set time to guest: Operation not permitted (denial "


def seconds(guest):
    return int(guest.shell.get("date +%s"))


def hardware(guest):
    return int(guest.shell.get("cat /sys/class/rtc/rtc0/since_epoch"))


def set_by(guest, step):
    """Sets the clock by so much; both clocks have it afterwards."""
    wanted = guest.host.get("guest-get-time") + step
    assert guest.host.get("guest-set-time", time=wanted) == {}
    for name, read in (("clock", seconds), ("hardware clock", hardware)):
        late = read(guest) - wanted // 10**9
        assert -2 <= late <= SLACK, f"{name}: {late} s from what was set"


def restart(guest):
    find = "grep -lE '^([^ ]*/)?sallyport-broker' /proc/[0-9]*/cmdline | cut -d/ -f3"
    before = guest.shell.get(find)
    guest.shell.get(f"kill {before}; until p=$({find}) && [ $p != {before} ]; do sleep 0.1; done")
    guest.host.sync()


def play(guest):
    host, shell = guest.host, guest.shell
    set_by(guest, 2 * HOUR)
    set_by(guest, -2 * HOUR)
    now = host.get("guest-get-time")
    for step in (3 * HOUR, -3 * HOUR):
        assert host.error_of("guest-set-time", time=now + step)["desc"].startswith(NOT_PERMITTED)
    assert abs(seconds(guest) - now // 10**9) <= SLACK, "a refused step was taken"

    # As after a pause: the hardware clock went on.
    shell.get(f"date -s @{seconds(guest) - 300}")
    assert host.get("guest-set-time") == {}
    apart = seconds(guest) - hardware(guest)
    assert abs(apart) <= 2, f"{apart} s from the hardware clock"
    shell.get(f"date -s @{seconds(guest) - 4 * 3600}")
    assert host.error_of("guest-set-time")["desc"].startswith(NOT_PERMITTED), "four hours by the hardware clock"
    shell.get(f"date -s @{hardware(guest)}")

    # Forwards, so that a rule expires, and back.
    host.get("guest-get-load")
    set_by(guest, 2 * HOUR)
    set_by(guest, 2 * HOUR)
    assert host.error_of("guest-get-load")["class"] == "CommandNotFound", "the rule has expired"
    set_by(guest, -2 * HOUR)
    assert host.error_of("guest-get-load")["class"] == "CommandNotFound", "and comes back"
    restart(guest)
    assert host.error_of("guest-get-load")["class"] == "CommandNotFound", "and comes back for the next agent"
    assert host.error_of("guest-set-time", time=host.get("guest-get-time") - 2 * HOUR)["desc"].startswith(NOT_PERMITTED), \
        "steps back add up"

    # Without a hardware clock.
    shell.get("mv /dev/rtc0 /dev/away; [ ! -e /dev/rtc ] || mv /dev/rtc /dev/away1")
    assert host.get("guest-set-time", time=host.get("guest-get-time")) == {}
    assert '"first":"NO_RTC"' in guest.audit()
    desc = host.error_of("guest-set-time")["desc"]
    assert desc == "child process has failed to set hardware clock to system time: No such file or directory", desc
    guest.note("forwards, back, by the hardware clock; 5 refusals")
