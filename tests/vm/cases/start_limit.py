"""The agent is started again however often it fails, also where systemd gives up all others after two: a host cannot end it for good."""
GUEST = "debian"
POLICY = "schema = 1\n"
UNDER_SELINUX = None  # nothing here is refused or allowed by labels
FAILURES = 6
LIMIT = "/run/systemd/system.conf.d/limit.conf"
LIMITED = "/run/systemd/system/limited.service"
FAILING = "/run/systemd/system/sallyport.service.d/failing.conf"
UNTIL = "until {}; do sleep 0.2; done"


def play(guest):
    shell = guest.shell
    shell.get(f"mkdir -p {LIMIT.rpartition('/')[0]} {FAILING.rpartition('/')[0]}")
    guest.write(LIMIT, "[Manager]\nDefaultStartLimitIntervalSec=1h\nDefaultStartLimitBurst=2\n")
    guest.write(LIMITED, "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=100ms\n")
    shell.get("systemctl daemon-reload; systemctl --no-block start limited")
    shell.get(UNTIL.format("[ $(systemctl show limited -p ActiveState --value) = failed ]"))
    guest.write(FAILING, "[Service]\nExecStartPre=/bin/false\n")
    shell.run("systemctl daemon-reload; systemctl restart sallyport")
    shell.get(UNTIL.format(f"[ $(systemctl show sallyport -p NRestarts --value) -ge {FAILURES} ]"), 180)
    assert shell.get("systemctl show sallyport -p MainPID --value") == "0"
    # Nobody starts it but systemd itself.
    shell.get(f"rm {FAILING}; systemctl daemon-reload")
    guest.host.sync(180)
    guest.note(f"served after {shell.get('systemctl show sallyport -p NRestarts --value')} restarts; another unit was given up")
