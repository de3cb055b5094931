"""On a guest's own hardware, udev, VLAN, bridge and device-mapper, the read-only commands answer as qemu-ga in that guest."""
from channel import Host

GUEST = "debian"
POLICY = """schema = 1
[[allow]]
id = "look"
commands = ["@inspect"]
"""
DISK = 64 << 20
# A partition table as of old: one partition of type Linux, from the first MiB on.
PARTITIONED = bytes(446) + bytes.fromhex("00fefffd83fefffd0008000000f00100") + bytes(48) + b"\x55\xaa"
# What is in front: (start of the image, device)
HARDWARE = (
    (PARTITIONED, "scsi-hd,bus=scsi.0,channel=0,scsi-id=3,lun=2,serial=SERIAL-SCSI"),
    (b"", "ide-hd,bus=ide.1,unit=1,serial=SERIAL-IDE"),
    (b"", "nvme,serial=SERIAL-NVME"),
    (b"", "virtio-blk-pci,bus=bridge,addr=5,serial=SERIAL-VIRTIO"),
)
CONTROLLERS = ("virtio-scsi-pci,id=scsi", "pci-bridge,id=bridge,chassis_nr=7")

# Each line is run in the guest. A mount on each kind of disk, one of them through device-mapper; names that are not plain.
PREPARATION = r"""
modprobe -a virtio_scsi sd_mod ata_piix 8021q veth bridge dm-mod
udevadm settle
mkdir -p /by /mnt/SCSI-part1 /mnt/IDE /mnt/VIRTIO '/mnt/a mapping'
for n in SCSI-part1 IDE NVME VIRTIO; do ln -s $(readlink -f $(ls /dev/disk/by-id/*SERIAL-$n | head -n 1)) /by/$n || exit 1; done
for n in SCSI-part1 IDE VIRTIO; do mke2fs -q -F -t ext4 $(readlink /by/$n) && mount $(readlink /by/$n) /mnt/$n || exit 1; done
dmsetup create test-mapping --table "0 131072 linear $(readlink /by/NVME) 0"
mke2fs -q -F -t ext4 /dev/mapper/test-mapping && mount /dev/mapper/test-mapping '/mnt/a mapping'
udevadm settle
ip link add v0 type veth peer name v1
ip link add link v0 name v0.42 type vlan id 42
ip link add b0 type bridge && ip link set v1 master b0
for l in lo v0 v1 v0.42 b0; do ip link set $l up; done
ip address add 192.0.2.1/24 dev v0 label v0:one && ip address add 192.0.2.129/26 dev v0.42
ip address add 2001:db8:42::1/64 dev v0.42 nodad && ip address add 198.51.100.7 peer 198.51.100.8/32 dev b0
ip route add 203.0.113.0/24 via 192.0.2.254 metric 7
"""
# Of what changes while it is asked for, the names alone are compared.
CHANGES = {"statistics", "stats", "used-bytes"}
# Reading what an NVMe disk says of its health takes the right to send commands to it; the other member came with 9.1.
NOT_IN_BOTH = {"smart", "total-bytes-privileged"}
NOT_IN_7_2 = {"guest-get-load", "guest-network-get-route"}
NOT_COMPARED = NOT_IN_7_2 | {"guest-get-time", "guest-get-cpustats"}


def devices(guest):
    words = [word for device in CONTROLLERS for word in ("-device", device)]
    for number, (start, device) in enumerate(HARDWARE):
        with open(guest.path(f"disk{number}"), "wb") as file:
            file.write(start)
            file.truncate(DISK)
        words += ["-drive", f"if=none,id=disk{number},format=raw,cache=unsafe,file={guest.path(f'disk{number}')}",
                  "-device", f"{device},drive=disk{number}"]
    return words


def comparable(value):
    if isinstance(value, list):
        return sorted((comparable(one) for one in value), key=repr)
    if not isinstance(value, dict):
        return value
    return {name: sorted(one) if name in CHANGES and isinstance(one, dict) else None if name in CHANGES else comparable(one)
            for name, one in value.items() if name not in NOT_IN_BOTH}


def differences(command, ours, theirs):
    if ours != theirs:
        yield f"{command}:\n  ours   {ours}\n  theirs {theirs}"


def play(guest):
    shell, host = guest.shell, guest.host
    for line in PREPARATION.strip().splitlines():
        shell.get(line, 120)
    shell.get("systemd-run --unit=compare qemu-ga -m virtio-serial -p /dev/virtio-ports/org.sallyport.compare -t /run", 90)
    theirs = Host(guest.path("compare"))
    theirs.sync()
    enabled = {c["name"] for c in host.get("guest-info")["supported_commands"] if c["enabled"]}
    looking = sorted(name for name in enabled if "-get-" in name)
    assert len(looking) == 15, looking
    found = [difference for command in looking if command not in NOT_COMPARED
             for difference in differences(command, comparable(host.get(command)), comparable(theirs.get(command)))]
    assert not found, "\n".join(found)
    check_times(host, theirs)
    check_members(guest)
    guest.note(f"{len(looking)} commands, as qemu-ga 7.2 on virtio, SCSI, IDE, NVMe, device-mapper, VLAN and bridge")


def check_times(host, theirs):
    before, between = theirs.get("guest-get-time"), host.get("guest-get-time")
    assert before < between < theirs.get("guest-get-time"), "the clock"
    mine, other = host.get("guest-get-cpustats"), theirs.get("guest-get-cpustats")
    assert [sorted(c) for c in mine] == [sorted(c) for c in other], (mine, other)
    # Milliseconds of the same clock: never less later, and not of another unit.
    for one, two in zip(mine, other):
        assert one["user"] <= two["user"] <= one["user"] + 60_000 and one["idle"] <= two["idle"] + 60_000, (one, two)


def check_members(guest):
    """What qemu-ga says as well is compared above; these are there at all, and as they were made."""
    mounts = {m["mountpoint"]: m for m in guest.host.get("guest-get-fsinfo")}
    serials = {point: [disk.get("serial", "") for disk in mounts[point]["disk"]] for point in mounts}
    for point, serial in (("/mnt/SCSI-part1", "SERIAL-SCSI"), ("/mnt/IDE", "SERIAL-IDE"), ("/mnt/a mapping", "SERIAL-NVME"),
                          ("/mnt/VIRTIO", "SERIAL-VIRTIO")):
        assert any(serial in one for one in serials[point]), serials
    scsi = mounts["/mnt/SCSI-part1"]["disk"][0]
    assert scsi["bus-type"] == "scsi" and scsi["unit"] == 2, scsi
    disks = {d["name"]: d for d in guest.host.get("guest-get-disks")}
    part = guest.shell.get("readlink /by/SCSI-part1")
    assert disks[part]["partition"] and disks[part]["dependencies"] == [part.removesuffix("1")], disks
    assert any(d.get("alias") == "test-mapping" for d in disks.values()), disks
    routes = guest.host.get("guest-network-get-route")
    assert any(r.get("destination") == "203.0.113.0" and r["metric"] == 7 and r["iface"] == "v0" for r in routes), routes
    load = guest.host.get("guest-get-load")
    assert sorted(load) == ["load15m", "load1m", "load5m"] and all(v >= 0 for v in load.values()), load
