"""Rules count in their hours by the guest's clock and by the latest time that the agent has seen: set into a window and back, it is closed."""
import datetime

GUEST = "initramfs"
HOUR = 3600 * 10**9
NOW = datetime.datetime.now(datetime.timezone.utc)


def hours(begin, end):
    """So many hours from now, every day."""
    first, last = (NOW + datetime.timedelta(hours=h) for h in (begin, end))
    return f'when = {{ hours = "{first:%H:%M}-{last:%H:%M}", tz = "UTC" }}'


# Each window is an hour at least from the times that are tried, however late in a run of all cases this one is played.
POLICY = f"""schema = 1
[[allow]]
id = "clock"
commands = ["guest-set-time", "guest-get-time", "guest-get-timezone"]
time = {{ max_step = "any" }}
[[allow]]
id = "now"
commands = ["@file"]
files = [{{ under = "/var/lib/reports", access = ["read"] }}]
{hours(-2, 3)}
[[allow]]
id = "always"
commands = ["@file"]
files = [{{ under = "/var/lib/others", access = ["read"] }}]
[[allow]]
id = "later"
commands = ["guest-get-load"]
{hours(4, 8)}
[[deny]]
id = "at-first"
commands = ["guest-get-timezone"]
{hours(-2, 3)}
"""


def is_allowed(host, command):
    reply = host.ask(command)
    assert "return" in reply or reply["error"]["class"] == "CommandNotFound", reply
    return "return" in reply


def play(guest):
    host, shell = guest.host, guest.shell
    shell.get("mkdir -p /var/lib/reports /var/lib/others; echo text > /var/lib/reports/file")
    # The directory of a rule is looked for at the start. An agent that ends still answers the sync; the next can open the port once it has gone.
    shell.get("old=$(pidof sallyport-broker); kill $old; until new=$(pidof sallyport-broker) && [ $new != $old ]; do sleep 0.1; done")
    host.sync()

    def set_by(step):
        assert host.get("guest-set-time", time=host.get("guest-get-time") + step * HOUR) == {}

    def seen():
        return is_allowed(host, "guest-get-load"), is_allowed(host, "guest-get-timezone")

    handle = host.get("guest-file-open", path="/var/lib/reports/file")
    host.get("guest-file-read", handle=handle, count=1)
    assert seen() == (False, False), "before its hours a rule allows, or within them one does not deny"
    set_by(6)
    assert seen() == (True, True), "a clock that is set forward is believed"
    gone = host.error_of("guest-file-read", handle=handle, count=1)["desc"]
    assert gone == f"handle '{handle}' has not been found", gone
    set_by(-6)
    assert seen() == (False, False), "what the clock was set to once still counts"
    host.error_of("guest-file-open", path="/var/lib/reports/file")
    set_by(6)
    assert seen() == (True, True)
    guest.note("six hours forward, back and forward: allowed, refused, allowed")
