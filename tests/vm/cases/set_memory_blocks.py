"""guest-set-memory-blocks takes a real block of memory offline and brings it back; what the kernel refuses is told as qemu-ga tells it."""
GUEST = {"kernel": "initramfs", "systemd": "debian"}  # without and with the shipped unit
MEMORY = 1280
TAKES_MEMORY = True
POLICY = """schema = 1
[[allow]]
id = "blocks"
commands = ["guest-set-memory-blocks", "guest-get-memory-blocks"]
memory = { blocks = "1-63" }
"""
PATIENCE = 60


def state(guest, number):
    return guest.shell.get(f"cat /sys/devices/system/memory/memory{number}/state").strip()


def play(guest):
    host = guest.host

    def ask(*blocks):
        items = [{"phys-index": number, "online": online} for number, online in blocks]
        return host.get("guest-set-memory-blocks", PATIENCE, **{"mem-blks": items})

    numbers = sorted(one["phys-index"] for one in host.get("guest-get-memory-blocks"))
    assert len(numbers) > 5, numbers
    taken, kept = None, []
    for number in reversed([n for n in numbers if n > 0]):
        (result,) = ask((number, False))
        assert result["phys-index"] == number
        if result["response"] == "success":
            assert "error-code" not in result and state(guest, number) == "offline", result
            taken = number
            break
        assert result["response"] == "operation-failed" and result["error-code"] > 0, result
        assert state(guest, number) == "online"
        kept.append(number)
    assert taken is not None, f"the kernel lets go of none of {numbers}"
    assert ask((taken, False), (63, True), (taken, True)) == [
        {"response": "success", "phys-index": taken},
        {"response": "not-found", "error-code": 2, "phys-index": 63},
        {"response": "success", "phys-index": taken}]
    assert state(guest, taken) == "online"
    refused = host.error_of("guest-set-memory-blocks", **{"mem-blks": [{"phys-index": 0, "online": False}]})["desc"]
    assert refused.startswith("failed to set memory blocks: Operation not permitted (denial "), refused
    guest.note(f"block {taken} offline and back; the kernel kept {kept or 'none'} of those asked for before")
