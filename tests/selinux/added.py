"""What the module adds to a system, as a text that can be read: the rules of the linked policy that are not there without it."""
import collections
import subprocess

from linked import is_ours

MANY = 12  # more types than so are counted


def version():
    return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "selinux-policy-default"],
                          check=True, capture_output=True, text=True).stdout


def rules(policy):
    """(kind, source, class, permissions, switch) and the target of each rule."""
    for rule in policy.setools.terules():
        what = str(rule.ruletype)
        if what == "dontaudit":
            continue
        try:
            switch = f" [{rule.conditional} {'on' if rule.conditional_block else 'off'}]"
        except Exception:
            switch = ""
        if what.startswith("type_"):
            end = str(rule.default)
        else:
            end = str(rule.perms) if what.endswith("xperm") else " ".join(sorted(rule.perms))
        yield (what, str(rule.source), str(rule.tclass), end, switch), str(rule.target)


def attributes(policy):
    for one in policy.setools.types():
        if is_ours(str(one)):
            yield f"type {one}: {' '.join(sorted(map(str, one.attributes())))}"


def text_of(policy, without):
    groups = collections.defaultdict(set)
    for rule, target in set(rules(policy)) - set(rules(without)):
        groups[rule].add(target)
    lines = []
    for (what, start, kind, end, switch), targets in groups.items():
        named = " ".join(sorted(targets)) if len(targets) <= MANY else f"<{len(targets)} types>"
        lines.append(f"{what} {start} {named}:{kind} {end}{switch}")
    booleans = [f"boolean {one} {'on' if one.state else 'off'}" for one in policy.setools.bools() if is_ours(str(one))]
    head = [f"# What sallyport.pp adds to Debian's selinux-policy-default {version()}; written by tests/selinux/check.py BUILD --write.",
            "# Rules that only keep a refusal out of the log are left out."]
    return "\n".join([*head, *sorted(booleans), *sorted(attributes(policy)), *sorted(lines)]) + "\n"
