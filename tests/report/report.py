#!/usr/bin/python3
"""The page of `sallyport-policy report`, looked at in a real browser: what is on it, that hostile names stay text, and that nothing lies
outside of a phone's width. Screenshots are left in the build folder's report/.

usage: report.py BUILD
"""
import html.parser
import pathlib
import re
import subprocess
import sys
import tempfile

import month

BUILD = pathlib.Path(sys.argv[1]).resolve()
HERE = pathlib.Path(__file__).resolve().parent
TOOL = BUILD / "policy/tool/verbs/sallyport-policy"
OUT = BUILD / "report"


def chromium(*words):
    with tempfile.TemporaryDirectory() as profile:
        return subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}", *words],
                              check=True, capture_output=True, text=True, timeout=120).stdout


class Page(html.parser.HTMLParser):
    """What a browser made of it: the tags, the texts by section, and what would act."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.acting, self.texts, self.section, self.commands = [], [], {}, "", []
        self.in_command = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        self.section = given.get("id", self.section) if tag == "section" else self.section
        self.in_command = given.get("class") == "command"
        if self.in_command:
            self.commands.append("")
        self.acting += [f"<{tag} {name}={value}>" for name, value in attributes
                        if name.startswith("on") or name in ("src", "href", "action", "formaction", "srcset", "data")]

    def handle_endtag(self, tag):
        self.in_command = False if tag == "code" else self.in_command

    def handle_data(self, data):
        self.texts[self.section] = self.texts.get(self.section, "") + data
        if self.in_command:
            self.commands[-1] += data


def check(page, folder):
    """The faults of the page, one sentence each."""
    text = page.texts
    wanted = {
        "": ("What the host asked of this guest", "2026-11-01 00:00 to 2026-11-30", "refused", "holds"),
        "course": ("Requests", "Of these refused or failed", "one column is 12 h"),
        "commands": ("guest-ping", "guest-file-open"),
        "rules": ("look", "export", "backup", "never-keys"),
        "refused": ("/etc/shadow", "no allow rule covers this path and mode", "rule never-keys", *month.HOSTILE[:3]),
        "freezes": ("30 freezes", "of 1 min", "ended by its limit", "ended by the host"),
        "unused": ("'reboot-by-panel'",),
        "lost": ("3 records were lost", "guest-exec: 240"),
        "chain": ("holds over",),
    }
    for section, parts in wanted.items():
        yield from (f"section '{section}' lacks {part!r}" for part in parts if part not in text.get(section, ""))
    # The tiles have the only bold numbers.
    yield from (f"there is a <{tag}>" for tag in ("script", "img", "iframe", "object", "form", "link", "base") if tag in page.tags)
    if page.tags.count("b") != 8:
        yield f"{page.tags.count('b')} bold texts"
    yield from (f"it acts: {one}" for one in page.acting)
    for command in page.commands[:3]:
        words = command.replace("sallyport-policy", str(TOOL), 1)
        done = subprocess.run(words, shell=True, cwd=folder, capture_output=True, text=True)
        if done.returncode != 3:
            yield f"{command!r} does not tell of a refusal: {done.stdout}{done.stderr}"


def width_of(text, width):
    """How far the page reaches to the right, as the browser lays it out at that width. The page itself runs no script, so a copy of it does."""
    with tempfile.NamedTemporaryFile("w", suffix=".html") as file:
        file.write(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace(
            "</body>", "<script>document.title = 'reaches ' + document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"))
        file.flush()
        dom = chromium(f"--window-size={width},800", "--dump-dom", f"file://{file.name}")
    return tuple(int(number) for number in re.search(r"<title>reaches (\d+) of (\d+)", dom).groups())


def main():
    OUT.mkdir(exist_ok=True)
    log, policy, page = OUT / "audit.jsonl", OUT / "policy.toml", OUT / "report.html"
    sys.argv = ["month.py", str(log)]
    month.main()
    policy.write_text((HERE / "policy.toml").read_text())
    subprocess.run([TOOL, "report", "--policy", policy.name, "--html", page.name, log.name], cwd=OUT, check=True)
    cases = {}
    dom = chromium("--dump-dom", f"file://{page}")
    cases["the page has everything and nothing acts"] = list(check(Page(dom), OUT))
    title = re.search(r"<title>(.*?)</title>", dom)[1]
    cases["no name became a script"] = [] if title == "Sallyport: what the host asked" else [title]
    for name, width, height, dark in (("wide", 1200, 3200, False), ("phone", 500, 4200, True)):
        scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
        picture = OUT / f"{name}.png"
        picture.unlink(missing_ok=True)
        chromium(f"--window-size={width},{height}", f"--screenshot={picture}", *scheme, f"file://{page}")
        cases[f"there is a picture of it, {name}"] = [] if picture.exists() and picture.stat().st_size > 20_000 else [str(picture)]
        reach, inner = width_of(page.read_text(), width)
        cases[f"nothing lies outside, {name}"] = [] if reach <= inner else [f"it reaches to {reach} of {inner}"]
    failed = 0
    for name, faults in cases.items():
        print(f"{'FAILED' if faults else 'ok'}: {name}")
        for fault in faults:
            print(f"    {fault}")
        failed += bool(faults)
    print(f"{len(cases) - failed} passed, {failed} failed; pictures in {OUT}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
