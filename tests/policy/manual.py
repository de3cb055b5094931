#!/usr/bin/python3
"""The manual pages, whose examples are run as they stand there, and what makes shells complete words.

usage: manual.py TOOL
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import tap
from tap import ROOT, TOOL, tool

VERBS = re.findall(r"^  ([a-z][a-z-]+) +\S", tool("--help").stdout.partition("Subcommands:")[2], re.M)
PAGES = {verb: tool("manual", verb).stdout for verb in VERBS}
# Nobody types that: the agent does.
NOT_TYPED = {"service"}
EXAMPLE = re.compile(r"^\.EX\n\$ (.*)\n\.EE\n.*\nStatus (\d)\.$", re.M)
POLICY = """# What the host may do.
schema = 1
include = ["profile:minimal"]

[[allow]]
id = "export"
commands = ["@file"]
files = [{ under = "/srv/export", access = ["read"], max_size = "1MiB" }]
"""
FILES = {
    "policy.toml": POLICY,
    "old.toml": 'schema = 1\ninclude = ["profile:minimal"]\n',
    "broken.toml": "schema = 1\ninclde = 1\n",
    "cases.toml": '[[case]]\nrequest = "guest-file-open path=/srv/export/a"\nexpect = "allow"\nrule = "export"\n'
                  '[[case]]\nrequest = "guest-file-open path=/srv/export/a size=2MiB"\nexpect = "refuse"\n'
                  '[[case]]\nrequest = "guest-sync"\nexpect = "allow"\n[[case]]\nrequest = "guest-ping"\nexpect = "allow"\n',
    "50-load.toml": 'schema = 1\n[[allow]]\nid = "load"\ncommands = ["guest-get-load"]\n',
    "qemu-ga.conf": "[general]\nblock-rpcs=guest-exec\n",
    "audit.jsonl": '{"time":"2026-11-30T10:00:00.000001Z","what":"start","prev":"' + "0" * 64 + '"}\n',
}


class Folder:
    """A folder in which the tool is found by its name."""

    def __init__(self):
        self.scratch = tap.scratch()
        self.path = pathlib.Path(self.scratch.name)
        for name, text in FILES.items():
            (self.path / name).write_text(text)
        (self.path / "bin").mkdir()
        (self.path / "bin/sallyport-policy").symlink_to(TOOL)

    def run(self, line, shell="bash"):
        environment = os.environ | {"PATH": f"{self.path}/bin:{os.environ['PATH']}", "HOME": str(self.path), "MANPAGER": "cat", "TERM": "dumb"}
        return subprocess.run([shell, "-c", line], cwd=self.path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def plain(text):
    return text.replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")


def check_every_verb_has_a_page_with_examples():
    if len(VERBS) < 15:
        yield f"verbs: {VERBS}"
    for verb in set(VERBS) - NOT_TYPED:
        if not EXAMPLE.search(PAGES[verb]):
            yield f"{verb}: no example; they stand in policy/tool/verbs/examples.hpp"


def check_every_page_is_installed():
    listed = set(re.findall(r"'([a-z-]*)'", re.search(r"foreach verb : \[(.*?)\]", (ROOT / "policy/tool/verbs/meson.build").read_text(), re.S)[1]))
    yield from listed ^ (set(VERBS) - NOT_TYPED | {""})


def check_every_example_does_what_its_page_says():
    for verb, page in PAGES.items():
        for line, status in EXAMPLE.findall(page):
            folder = Folder()
            said = folder.run(plain(line))
            if said.returncode != int(status):
                yield f"{plain(line)}: {said.returncode} and not {status}: {said.stdout[-400:]}{said.stderr[-400:]}"


def objects_of(text):
    """One after the other, also over several lines."""
    while text := text.lstrip():
        one, end = json.JSONDecoder().raw_decode(text)
        text = text[end:]
        yield one


def check_every_verb_has_json_but_those_whose_output_is_for_programs_already():
    without = {"compile", "completion", "manual", "schema", *NOT_TYPED}
    yield from {verb for verb, page in PAGES.items() if "\n.B --json\n" not in plain(page)} ^ without
    for verb in PAGES.keys() - without:
        for line, status in EXAMPLE.findall(PAGES[verb]):
            words = plain(line)
            if any(word in words for word in ("--help", "--html", "--sarif", "--check", "> all-cases")):
                continue
            if "--json" not in words:
                words = words.replace(f"sallyport-policy {verb}", f"sallyport-policy {verb} --json", 1)
            said = Folder().run(words.partition(" > ")[0])
            found = list(objects_of(said.stdout))
            # One object for each thing that there is, and here there is none.
            is_none = verb in ("can", "freeze-plan") and not said.stdout
            if said.returncode != int(status) or not (found or is_none) or not all(isinstance(one, dict) for one in found):
                yield f"{words}: {said.returncode} and not {status}: {said.stdout[:300]}{said.stderr[:300]}"


def check_troff_has_nothing_to_say_about_a_page():
    for verb, page in [*PAGES.items(), ("all", tool("manual").stdout)]:
        said = subprocess.run(["groff", "-man", "-ww", "-Tutf8"], input=page, capture_output=True, text=True, check=True)
        if said.stderr or "EXIT STATUS" not in re.sub(r"\x1b\[\d*m|.\x08", "", said.stdout):
            yield f"{verb}: {said.stderr}"


def check_the_page_about_the_tool_names_every_verb():
    page = plain(tool("manual").stdout)
    yield from (verb for verb in VERBS if f"\n.B {verb}\n" not in page)
    if tool("manual", "nonsense").returncode != 2:
        yield "there is a page about nonsense"


def check_every_option_has_a_meaning():
    for verb, page in PAGES.items():
        yield from (f"{verb}: {name}" for name in re.findall(r"^\.TP\n\.B (.*)\n(?=\.|\n)", page, re.M))


def check_every_verb_and_status_stands_on_the_page_about_policies():
    page = (ROOT / "docs/policy.md").read_text()
    yield from (verb for verb in VERBS if not re.search(rf"^\| `sallyport-policy {verb}[ `]", page, re.M))
    table = re.search(r"^\| status \| means \|\n(.*?)\n\n", page, re.M | re.S)[1]
    for verb, text in PAGES.items():
        statuses = re.search(r"^\.SH EXIT STATUS\n(.*)\n", text, re.M)[1]
        for status in re.findall(r"(?:Status |\. )([34]):", statuses):
            row = re.search(rf"^\| {status} \|(.*)", table, re.M)[1]
            if f"`{verb}`" not in row:
                yield f"{verb}: status {status} does not stand in the table"


def check_bash_completes():
    folder = Folder()
    complete = ('source <(sallyport-policy completion bash); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); '
                '_sallyport_policy; echo "${{COMPREPLY[@]}}"')
    for words, expected in (("sallyport-policy dif", "diff"), ("sallyport-policy explain --den", "--denial"), ("sallyport-policy test --m", "--min --mutate"),
                            ("sallyport-policy check pol", "policy.toml"), ("sallyport-policy --ver", "--version")):
        said = folder.run(complete.format(words=words))
        if said.stdout.split() != expected.split() or said.stderr:
            yield f"{words}: {said.stdout}{said.stderr}"


def check_fish_completes():
    folder = Folder()
    for words, expected in (("sallyport-policy dif", "diff"), ("sallyport-policy explain --den", "--denial"), ("sallyport-policy test --m", "--min --mutate")):
        said = folder.run(f"sallyport-policy completion fish | source; complete -C '{words}'", shell=shutil.which("fish"))
        if [line.split("\t")[0] for line in said.stdout.splitlines()] != expected.split() or said.stderr:
            yield f"{words}: {said.stdout}{said.stderr}"


def check_zsh_reads_it_and_has_every_verb():
    folder = Folder()
    said = folder.run("""sallyport-policy completion zsh > _sallyport-policy
        _describe() { print -l $verbs }
        _arguments() { print -l -- $@ }
        words=(sallyport-policy d) CURRENT=2 source ./_sallyport-policy
        words=(sallyport-policy explain --d) CURRENT=3 source ./_sallyport-policy""", shell=shutil.which("zsh"))
    lines = said.stdout.splitlines()
    yield from (verb for verb in VERBS if not any(line.startswith(verb + ":") for line in lines))
    if not any(line.startswith("--denial[") and line.endswith("]:value:_files") for line in lines) or said.stderr:
        yield f"{said.stdout}{said.stderr}"


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
