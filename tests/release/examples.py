#!/usr/bin/python3
"""Has each example judged by the tool that it is for. What has no tool in Debian is parsed, and compared with what is known of its format.

usage: examples.py FOLDER
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

# Of Proxmox's guest files: what `agent:` may say.
PROXMOX_AGENT = {"enabled": r"[01]", "freeze-fs-on-backup": r"[01]", "fstrim_cloned_disks": r"[01]", "type": r"virtio|isa"}
BUTANE_KEYS = {"variant", "version", "storage", "systemd"}
BUTANE_FILE_KEYS = {"path", "mode", "user", "group", "contents"}
BUTANE_LINK_KEYS = {"path", "target"}
BUTANE_UNIT_KEYS = {"name", "enabled", "mask", "contents"}
DROP_INS = "/etc/systemd/system/sallyport.service.d"
# How a script links what the policy needs.
LINKING = re.compile(r"sallyport-policy unit /etc/sallyport/policy\.toml \| xargs -r (sudo )?ln -sft " + DROP_INS)


def tool(*words, folder=None):
    result = subprocess.run([str(w) for w in words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, f"{' '.join(map(str, words))}: {result.stdout}"
    return result.stdout


def check_policy(text):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        tool("sallyport-policy", "check", file.name)


def policy(folder):
    check_policy((folder / "policy.toml").read_text())


def cloud_init(folder):
    file = folder / "cloud-init/user-data.yaml"
    tool("cloud-init", "schema", "--config-file", file)
    written = yaml.safe_load(file.read_text())["write_files"]
    assert [f["path"] for f in written] == ["/etc/sallyport/policy.toml"], written
    check_policy(written[0]["content"])
    assert LINKING.search(file.read_text()), "the unit is not given what the policy needs"


def ansible(folder):
    place = folder / "ansible"
    tool("ansible-playbook", "-i", "inventory.ini", "--syntax-check", "site.yml", folder=place)
    tool("ansible-lint", "--offline", "site.yml", "roles", folder=place)
    tasks = yaml.safe_load((place / "roles/sallyport/tasks/main.yml").read_text())
    asked = next(t["register"] for t in tasks if t.get("ansible.builtin.command", "").startswith("sallyport-policy unit "))
    linked = next(t for t in tasks if t.get("loop") == "{{ " + asked + ".stdout.split() }}")
    assert linked["ansible.builtin.file"]["state"] == "link" and linked["ansible.builtin.file"]["dest"].startswith(DROP_INS), linked


def butane(folder):
    written = yaml.safe_load((folder / "butane/sallyport.bu").read_text())
    assert set(written) == BUTANE_KEYS and written["variant"] == "fcos", written
    for file in written["storage"]["files"]:
        assert set(file) <= BUTANE_FILE_KEYS, file
        assert (folder / file["contents"]["local"]).exists(), file
    needed = tool("sallyport-policy", "unit", folder / "policy.toml").split()
    links = written["storage"]["links"]
    assert all(set(link) == BUTANE_LINK_KEYS for link in links), links
    assert {link["path"]: link["target"] for link in links} == {f"{DROP_INS}/{pathlib.Path(n).name}": n for n in needed}, links
    for unit in written["systemd"]["units"]:
        assert set(unit) <= BUTANE_UNIT_KEYS, unit


def packer(folder):
    tool("packer", "validate", "-syntax-only", "sallyport.pkr.hcl", folder=folder / "packer")
    assert LINKING.search((folder / "packer/sallyport.pkr.hcl").read_text()), "the unit is not given what the policy needs"


def libvirt(folder):
    file = folder / "libvirt/guest.xml"
    tool("virt-xml-validate", file, "domain")
    assert "name='org.qemu.guest_agent.0'" in file.read_text()


def kubevirt(folder):
    machine = yaml.safe_load((folder / "kubevirt/virtual-machine.yaml").read_text())
    assert (machine["apiVersion"], machine["kind"]) == ("kubevirt.io/v1", "VirtualMachine"), machine
    spec = machine["spec"]["template"]["spec"]
    assert {d["name"] for d in spec["domain"]["devices"]["disks"]} == {v["name"] for v in spec["volumes"]}, spec
    assert {i["name"] for i in spec["domain"]["devices"]["interfaces"]} == {n["name"] for n in spec["networks"]}, spec


def proxmox(folder):
    line = re.search(r"^agent: (.+)$", (folder / "proxmox/guest.conf").read_text(), re.M)[1]
    for word in line.split(","):
        name, _, value = word.partition("=")
        assert name in PROXMOX_AGENT and re.fullmatch(PROXMOX_AGENT[name], value), word


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    for check in (policy, cloud_init, ansible, butane, packer, libvirt, kubevirt, proxmox):
        check(folder)
        print(f"ok {check.__name__}")


if __name__ == "__main__":
    main()
