"""What the kernel's audit says that SELinux and AppArmor have refused to the agent, or about it."""
import re

# Refused on purpose, and kept silent where such refusals are: `systemctl status` would show the unit's log.
MEANT = "sallyport_program_t systemd_journal_t:dir { read }"
SELINUX = re.compile(r"audit\((\S+)\): avc:  denied  (\{.*?\}) .*?scontext=\w+:\w+:(\w+):\S+ tcontext=\w+:\w+:(\w+):\S+ "
                     r"tclass=(\w+)")
APPARMOR = re.compile(r'audit\((\S+?)\): apparmor="DENIED" (.*)')
# What is in a line besides what was refused.
PASSING = re.compile(r'\b(?:pid|peer_pid|fsuid|ouid|fsuid|ouid|class)=\S+ ?')


def by_selinux(text):
    """By whom, of what, and which, for each refusal that concerns the agent but the one that is meant."""
    found = {}
    for number, what, source, target, kind in SELINUX.findall(text):
        if "sallyport_" in source + target:
            found[number, what, source, target, kind] = f"{source} {target}:{kind} {what}"
    return sorted(one for one in found.values() if one != MEANT)


def attack(guest, enter, attacks, denials):
    """Plays somebody who has taken over the worker: busybox, begun by `enter`, with each of the words. None of them may succeed, and what is refused must
    be among the new `denials`. How many there are."""
    before = denials(guest.shell.get("dmesg"))
    for words, refused in attacks.items():
        _, status = guest.shell.run(f"{enter} /root/busybox {words}")
        assert status != 0, f"{enter} lets it {words}"
        new = [one for one in denials(guest.shell.get("dmesg")) if one not in before]
        assert any(re.search(refused, one) for one in new), f"{words}: not among the denials: {new}"
    return len(new)


def by_apparmor(text):
    """The same: operation, profile, name and what was asked for."""
    found = {(number, PASSING.sub("", words).strip()) for number, words in APPARMOR.findall(text) if "sallyport" in words}
    return sorted(words for _, words in found)
