"""The host closes the port and opens it again, also in the middle of a request: the agent stays, at rest."""
GUEST = "initramfs"
POLICY = "schema = 1\n"
TIMES = 10


def ticks(guest):
    """Processor time of all the agent's processes, and their ids."""
    lines = guest.shell.get("for p in $(pidof sallyport-broker sallyport-nursery sallyport-worker); do cat /proc/$p/stat; done")
    fields = [line.rpartition(")")[2].split() for line in lines.splitlines()]
    return sum(int(f[11]) + int(f[12]) for f in fields), guest.shell.get("pidof sallyport-broker")


def play(guest):
    _, broker = ticks(guest)
    for _ in range(TIMES):
        guest.host.socket.sendall(b'{"execute": "guest-ping"}\n{"execute": "gue')
        guest.host.close()
        guest.host.connect()
        guest.host.sync()
        assert guest.host.get("guest-ping") == {}
    guest.host.close()
    before, _ = ticks(guest)
    guest.shell.get("sleep 3")
    after, still = ticks(guest)
    guest.host.connect()
    guest.host.sync()
    assert still == broker, "the broker was restarted"
    assert after - before <= 2, f"{after - before} ticks while nobody listens"
    guest.note(f"{TIMES} times; {after - before} ticks of the processor in 3 s without a host")
