#!/usr/bin/python3
"""Writes the manual page of the daemon: what its --help says, and a text that stands beside this file.

usage: make.py HELP TEXT VERSION OUTPUT
"""
import pathlib
import sys


def preformatted(text):
    lines = text.rstrip().replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join([".nf", *("\\&" + line if line[:1] in (".", "'") else line for line in lines), ".fi"])


def main():
    said, text, version, output = sys.argv[1:]
    options = ".SH OPTIONS\n" + preformatted(pathlib.Path(said).read_text())
    page = pathlib.Path(text).read_text().replace("@VERSION@", version)
    pathlib.Path(output).write_text(page.replace("@HELP@", options))


if __name__ == "__main__":
    main()
