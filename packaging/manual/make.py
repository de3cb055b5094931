#!/usr/bin/python3
"""Writes a manual page: what --help says, and a text that stands beside this file.

usage: make.py TOOL TEXT VERSION OUTPUT     TOOL is sallyport-policy, which also knows what `sallyportd --help` says
"""
import os
import pathlib
import re
import subprocess
import sys


def help_of(tool, *words, **options):
    return subprocess.run([tool, *words, "--help"], check=True, capture_output=True, text=True, **options).stdout


def help_of_daemon(tool):
    """sallyportd itself would look first at who may write to the folders that it was compiled in."""
    with open(os.devnull, "wb") as answer:
        return help_of(tool, "service", "--output-fd", str(answer.fileno()), "--", pass_fds=[answer.fileno()])


def verbs(text):
    """Of a program that lists them as CLI11 does."""
    listed = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.M)
    return re.findall(r"^  (\S+)", listed[1], re.M) if listed else []


def preformatted(text):
    lines = text.rstrip().replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join([".nf", *("\\&" + line if line[:1] in (".", "'") else line for line in lines), ".fi"])


def main():
    tool, text, version, output = sys.argv[1:]
    is_of_daemon = pathlib.Path(text).name.startswith("sallyportd.")
    general = help_of_daemon(tool) if is_of_daemon else help_of(tool)
    parts = [".SH OPTIONS", preformatted(general)]
    for verb in verbs(general):
        parts += [f".SH \"{verb.upper()}\"", preformatted(help_of(tool, verb))]
    page = pathlib.Path(text).read_text().replace("@VERSION@", version)
    pathlib.Path(output).write_text(page.replace("@HELP@", "\n".join(parts)))


if __name__ == "__main__":
    main()
