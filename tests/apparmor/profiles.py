"""The text of the profiles, read into lists of rules."""
import pathlib
import re

SHARED = "shared"
SOURCES = pathlib.Path(__file__).resolve().parents[2] / "apparmor"


class Profile:
    def __init__(self, attached_to, flags, body):
        self.attached_to, self.flags = attached_to, flags
        text = re.sub(r"^\s*#.*$", "", body, flags=re.M)
        self.rules = [" ".join(rule.split()) for rule in text.split(",\n") if rule.strip()]
        self.included = []
        for at, rule in enumerate(self.rules):
            while found := re.match(r"include (?:if exists )?<(\S+)> ?", rule):
                self.included.append(found[1])
                rule = rule[found.end():]
            self.rules[at] = rule
        self.rules = [rule for rule in self.rules if rule]

    def capabilities(self):
        return {rule.split()[1] for rule in self.rules if rule.startswith("capability ")}

    def files(self):
        """{path: access}, and where executing leads to."""
        return {found[1]: (found[2], found[3] or "") for rule in self.rules
                if (found := re.fullmatch(r"([/@]\S*) ([rwamklipPcCuUx]+)(?: -> (\S+))?", rule))}

    def of(self, kind):
        """The rules of a kind: mount, network, signal."""
        return [rule for rule in self.rules if rule.split()[0] == kind]


class Profiles(dict):
    def __init__(self, text):
        for name, attached, flags, body in re.findall(
                r"^profile (\S+)(?: (/\S+))?(?: flags=\((\S+)\))? \{\n(.*?)^\}", text, re.M | re.S):
            self[name] = Profile(attached, flags, body)
        self.shared = self.pop(SHARED)


def read():
    """The text of the profiles, and what they share as if it were one more."""
    shared = (SOURCES / "abstractions/sallyport").read_text()
    return f"{(SOURCES / 'sallyport').read_text()}\nprofile {SHARED} {{\n{shared}}}\n"
