"""docs/admin.md as a test reads it: the lines that are typed with what they print, the files that are written, and what its host does meanwhile."""
import pathlib
import re

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs/admin.md").read_text()
# qemu-ga's file of the page's machine: programs are blocked, the rest is open.
QEMU_GA = "[general]\nblock-rpcs=guest-exec,guest-exec-status\n"


def blocks():
    """The kind and the text of each block of the page, in order."""
    return re.findall(r"^```(sh|toml)\n(.*?)^```", PAGE, re.M | re.S)


def typed():
    """Each line that is typed, and what it prints."""
    for kind, text in blocks():
        if kind == "sh":
            for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
                line, _, output = part.partition("\n")
                yield line, output.splitlines()


def files():
    """The files that the page has one write: the name stands before the block."""
    written = {}
    for match in re.finditer(r"^```toml\n(.*?)^```", PAGE, re.M | re.S):
        name = re.findall(r"`([a-z]+\.toml)`", PAGE[:match.start()])[-1]
        written.setdefault(name, match[1])
    return written


def faults_of_output(line, expected, printed):
    """What the page says is printed, line after line; … is anything."""
    pattern = ""
    for one in expected:
        pattern += "(?:.*\n)*?" if one == "…" else re.escape(one).replace("…", ".*") + "\n"
    if not re.fullmatch(pattern, printed):
        yield f"$ {line}"
        yield from (f"  the page: {one}" for one in expected)
        yield from (f"  printed:  {one}" for one in printed.splitlines())
