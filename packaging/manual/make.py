#!/usr/bin/python3
"""Writes a manual page: what a program's --help says, for each of its verbs, too, and a text that stands beside this file.

usage: make.py PROGRAM TEXT VERSION OUTPUT
"""
import pathlib
import re
import subprocess
import sys


def help_of(program, *words):
    return subprocess.run([program, *words, "--help"], check=True, capture_output=True, text=True).stdout


def verbs(text):
    """Of a program that lists them as CLI11 does."""
    listed = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.M)
    return re.findall(r"^  (\S+)", listed[1], re.M) if listed else []


def preformatted(text):
    lines = text.rstrip().replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join([".nf", *("\\&" + line if line[:1] in (".", "'") else line for line in lines), ".fi"])


def main():
    program, text, version, output = sys.argv[1:]
    general = help_of(program)
    parts = [".SH OPTIONS", preformatted(general)]
    for verb in verbs(general):
        parts += [f".SH \"{verb.upper()}\"", preformatted(help_of(program, verb))]
    page = pathlib.Path(text).read_text().replace("@VERSION@", version)
    pathlib.Path(output).write_text(page.replace("@HELP@", "\n".join(parts)))


if __name__ == "__main__":
    main()
