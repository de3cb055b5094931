"""The policy module, linked with Debian's as an installation does it, and what that lets whom do. Neither root nor a kernel with
SELinux is needed."""
import bz2
import collections
import functools
import pathlib
import subprocess

import setools

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "selinux"
DEBIAN = pathlib.Path("/usr/share/selinux/default")
MAKEFILE = "/usr/share/selinux/devel/Makefile"


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    assert done.returncode == 0, f"{words[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def source(end):
    return (SOURCES / f"sallyport.{end}").read_text()


def compile_module(folder, texts):
    """The package of a module with these texts, by ending."""
    folder.mkdir()
    for end, text in texts.items():
        (folder / f"sallyport.{end}").write_text(text)
    package = folder / "module.pp"
    run(SOURCES / "build_module.sh", MAKEFILE, folder / "made", package, *(folder / f"sallyport.{end}" for end in texts))
    return package


def compile_by_interfaces(folder, name, text):
    """The package of another module, which uses the interfaces of ours."""
    folder.mkdir()
    (folder / "sallyport.if").write_text(source("if"))
    (folder / f"{name}.te").write_text(text)
    # Installed, it is found among the headers.
    run("make", "-s", "-C", folder, "-f", MAKEFILE, "NAME=default", f"detected_ifs={name}.if sallyport.if", f"{name}.pp")
    return folder / f"{name}.pp"


def link(scratch, modules, texts, names=None, is_sound=True):
    """The kernel's policy of these modules with Debian's: all of them, or those that are named. Rules against neverallow are held,
    as an installation on Debian does not, but where `is_sound` says that the module is meant to break some."""
    packages = []
    for name in names or [p.name.split(".")[0] for p in DEBIAN.glob("*.pp.bz2")]:
        package = scratch / f"{name}.pp"
        if not package.exists():
            package.write_bytes(bz2.decompress((DEBIAN / f"{name}.pp.bz2").read_bytes()))
        packages.append(package)
    packages.sort(key=lambda p: (p.name != "base.pp", p.name))
    run("semodule_link", "-o", scratch / "linked.pp", *packages, *modules)
    run("semodule_expand", *([] if is_sound else ["-a"]), scratch / "linked.pp", scratch / "policy.bin")
    return Policy(scratch / "policy.bin", texts)


class Grant(collections.namedtuple("Grant", "source target kind permission switch")):
    def __str__(self):
        return f"{self.source} {self.target}:{self.kind} {self.permission}" + (f" [{self.switch}]" if self.switch else "")


# What is looked for in the rules of other types about the agent's: what flows, and who comes in.
LOOKED_FOR = {"read", "write", "append", "transition", "dyntransition", "entrypoint", "ptrace"}


def is_ours(name):
    return name.startswith("sallyport_")


class Policy:
    def __init__(self, file, texts):
        self.texts = texts  # of the module, by ending
        self.setools = setools.SELinuxPolicy(str(file))
        self.grants = collections.defaultdict(set)  # allow rules of the agent's types, expanded, by source
        self.others = collections.defaultdict(set)  # those of other types about the agent's, by target
        self.transitions = set()                    # (source, target, class, default)
        self.xperms = set()                         # (source, target, class, which)
        for rule in self.setools.terules():
            self.take(rule)

    @functools.cached_property
    def names(self):
        """The types that a type or attribute stands for."""
        found = {str(one): frozenset([str(one)]) for one in self.setools.types()}
        found |= {str(one): frozenset(map(str, one.expand())) for one in self.setools.typeattributes()}
        return found

    @functools.cached_property
    def with_ours(self):
        return {name for name, types in self.names.items() if any(map(is_ours, types))}

    def having(self, *attributes):
        return frozenset().union(*(self.names.get(one, ()) for one in attributes))

    def take(self, rule):
        sources, targets, what = str(rule.source), str(rule.target), str(rule.ruletype)
        if what not in ("allow", "allowxperm", "type_transition"):
            return
        if not {sources, targets} & self.with_ours:
            return
        pairs = [(source, target) for source in self.names[sources] for target in self.names.get(targets, (source,))
                 if is_ours(source) or is_ours(target)]
        if what == "allow":
            self.add_grants(pairs, rule)
        elif what == "allowxperm":
            self.xperms |= {(source, target, str(rule.tclass), str(rule.perms)) for source, target in pairs}
        else:
            self.transitions |= {(source, target, str(rule.tclass), str(rule.default)) for source, target in pairs}

    def add_grants(self, pairs, rule):
        kind, permissions = str(rule.tclass), set(rule.perms)
        try:
            switch = str(rule.conditional) if rule.conditional_block else f"! {rule.conditional}"
        except setools.exception.RuleNotConditional:
            switch = ""
        for source, target in pairs:
            if is_ours(source):
                self.grants[source] |= {Grant(source, target, kind, one, switch) for one in permissions}
            else:
                self.others[target] |= {Grant(source, target, kind, one, switch) for one in permissions & LOOKED_FOR}

    def domains(self):
        return self.names["sallyport_domain"]

    def programs(self):
        return self.names["sallyport_program_domain"]

    def of(self, source, permissions=None, kinds=None, target=None):
        return sorted(one for one in self.grants[source]
                      if (permissions is None or one.permission in permissions) and (kinds is None or one.kind in kinds)
                      and target in (None, one.target))
