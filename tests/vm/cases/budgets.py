"""What is left of a rule's budget is no more after the clock was set, the agent restarted, or the guest reset."""
from guest import BOOT_PATIENCE

GUEST = "debian"
DAY = 86400 * 10**9
# With this one every boot begins. Its bucket takes a day to fill; that of the other, seconds.
POLICY = """schema = 1
[[allow]]
id = "clock"
commands = ["guest-set-time", "guest-get-time"]
time = { max_step = "any" }
[[allow]]
id = "look"
commands = ["guest-get-host-name"]
rate = "4/day"
"""


def play(guest):
    host = guest.host

    def is_spent():
        desc = host.error_of("guest-get-host-name")["desc"]
        return "Resource temporarily unavailable" in desc

    def left():
        return [line for line in guest.shell.get("sallyport-policy status").splitlines() if "look" in line]

    assert is_spent(), "a guest boots with something in its buckets"
    guest.use_policy(POLICY.replace("4/day", "86400/day burst 4"))
    guest.shell.get("until sallyport-policy status | grep -q '4 of 4 left'; do sleep 0.2; done", 60)
    guest.use_policy(POLICY)
    host.get("guest-get-host-name")
    host.get("guest-get-host-name")
    guest.shell.get("systemctl restart sallyport", 120)
    host.sync()
    host.get("guest-get-host-name")
    host.get("guest-get-host-name")
    assert is_spent(), "a restart gives something back"
    now = host.get("guest-get-time")
    host.get("guest-set-time", time=now + 7 * DAY)
    assert is_spent(), "a clock that is set forward fills the bucket"
    before = guest.main_process()
    guest.shell.run("pkill -KILL -f '^([^ ]*/)?sallyport'")
    guest.wait_for_next_agent(before)
    host.sync()
    assert is_spent(), "an agent that is killed forgets what was taken"
    host.get("guest-set-time", time=now)
    assert is_spent()
    assert left(), "status says nothing of it"
    guest.note("; ".join(left()).strip())
    boot = guest.boot_id()
    guest.qmp.ask("system_reset")
    host.sync(BOOT_PATIENCE)
    assert guest.boot_id() != boot
    assert is_spent(), "a reset fills the bucket"
    guest.note("spent after a restart, steps of the clock, a kill and a reset")
