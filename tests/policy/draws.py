"""Random rules and requests, family by family: each request as a line of a host and in the tool's words, with what is found in the guest of the test.

What is allowed is carried out, so nothing here can do harm in a guest of own_guest.py: no rule ends the guest, what is frozen is no mount point, programs do nothing.
"""
import base64
import dataclasses
import json
import os
import pathlib
import random
import stat
import time

from own_guest import PROGRAMS

draw = random.Random()

LOOK = ["guest-get-time", "guest-get-host-name", "guest-get-timezone", "guest-get-osinfo", "guest-get-users", "guest-get-load"]
FREEZE = ["guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list", "guest-fstrim"]
PASSWORD, GET, ADD, REMOVE = ACCOUNTS = [
    "guest-set-user-password", "guest-ssh-get-authorized-keys", "guest-ssh-add-authorized-keys", "guest-ssh-remove-authorized-keys"]
TIME, VCPUS, MEMORY = HARDWARE = ["guest-set-time", "guest-set-vcpus", "guest-set-memory-blocks"]
KINDS = {stat.S_IFREG: "regular", stat.S_IFDIR: "directory", stat.S_IFIFO: "fifo"}
NAMES = ["alice", "bob", "toor", "root"]
TYPES = ["ssh-ed25519", "ssh-rsa"]
WORDS = ["--unit", "db", "web", "0", "1", "5", "10", "11", "01", "+3", "-1", "-v", "/srv/a", "/srv/a/", "/srv/a/x", "/srv/a/../b", "/srv/a/.", "/srv/ab", "a.b", ".",
         "..", "ninebytes", "two words", "", "\u00e4"]
NUMBERS = ["0-3", "1", "1-2", "0,3", "2-9", "1,3-4"]


@dataclasses.dataclass
class Asked:
    """A request. `is_recorded_first`: its line of the log says whether it is allowed, and not how it ends."""
    words: list
    line: dict
    path: pathlib.Path = None
    is_recorded_first: bool = False

    @property
    def command(self):
        return self.line["execute"]


def asked(command, words=(), arguments=None, **more):
    line = {"execute": command}
    if arguments is not None:
        line["arguments"] = arguments
    return Asked([command, *words], line, **more)


def some(words):
    return json.dumps(draw.sample(words, draw.randint(1, len(words))))


def few(words, most):
    return [draw.choice(words) for _ in range(draw.randint(0, most))]


def table(entries):
    return "{ " + ", ".join(entries) + " }"


# Whether there are rules that dry-run and budgets, too.
HAS_TRIALS = False


def rule(effect, number, *lines):
    """With HAS_TRIALS, now and then one that only dry-runs, which decides nothing, or that has a budget which nobody spends."""
    kind = draw.random() if HAS_TRIALS else 0.5
    more = []
    if kind < 0.1 and not any(line.startswith("expires") for line in lines):
        more = ["enforce = false", "expires = 2060-01-01T00:00:00Z"]
    elif kind > 0.9 and effect == "allow":
        more = ['rate = "1000/s burst 1000"']
    return f'[[{effect}]]\nid = "r{number}"\n' + "".join(line + "\n" for line in (*more, *lines))


def clock(seconds):
    return time.strftime("%H:%M", time.gmtime(seconds))


def times():
    """When a rule counts; mostly nothing is said. No border is near."""
    now = time.time()
    kind = draw.random()
    if kind < 0.8:
        return []
    if kind < 0.9:
        begin = draw.choice([now - 2 * 3600, now + 3 * 3600])
        return [f'when = {{ hours = "{clock(begin)}-{clock(begin + 4 * 3600)}", tz = "UTC" }}']
    return [f'expires = {draw.choice(["2026-01-01T00:00:00Z", "2060-01-01T00:00:00Z"])}']


class Files:
    """Opens below a directory in which files of every sort lie."""

    def __init__(self, top):
        self.top = top

    def entry(self, is_allow):
        top = self.top
        under = draw.choice([top, top / "a", top / "a/b", top / "c", top / "a/large"] if is_allow else [top / "a", top / "a/b", top / "c", top / "a/theirs"])
        access = draw.choice(['["read"]', '["read", "write"]', '["write"]', '["read", "write", "create"]', '["write", "create"]'])
        entry = [f'under = "{under}"']
        if is_allow or draw.random() < 0.5:
            entry.append(f"access = {access}")
        if is_allow:
            for key, values in (("max_size", ["500", '"1KiB"']), ("owner", ["[0]", "[1000]", "[0, 1000]"]), ("links", ['"any"']), ("setid", ['"any"']),
                                ("kinds", ['["regular", "directory"]', '["fifo"]', '["regular", "fifo"]'])):
                if draw.random() < 0.4:
                    entry.append(f"{key} = {draw.choice(values)}")
        return table(entry)

    def rules(self, numbers):
        for number in numbers:
            if draw.random() < 0.8:
                entries = ", ".join(self.entry(True) for _ in range(draw.randint(1, 2)))
                yield rule("allow", number, 'commands = ["@file"]', f"files = [{entries}]", *times())
            else:
                yield rule("deny", number, f"files = [{self.entry(False)}]", *times())

    def request(self):
        top = self.top
        path = draw.choice([top, top / "a", top / "a/b", top / "c"]) / draw.choice(["small", "large", "theirs", "setid", "twice", "pipe", "link", "new", "."])
        path = pathlib.Path(os.path.normpath(path))
        mode = draw.choice(["r", "r+", "a", "a+", "w", "w+"])
        words = ["new=yes"]
        if path.name == "new":
            mode = "w" if mode.startswith("r") else mode
        else:
            found = path.stat()
            if path.is_dir():
                mode = "r"  # nobody can write to one, whatever a policy says
            words = [f"kind={KINDS[stat.S_IFMT(found.st_mode)]}", f"owner={found.st_uid}", f"size={found.st_size if path.is_file() else 0}",
                     f"links={1 if path.is_dir() else found.st_nlink}", f"setid={'yes' if found.st_mode & 0o6000 else 'no'}",
                     f"link={'yes' if path.is_symlink() else 'no'}"]
        return asked("guest-file-open", [f"path={path}", f"mode={mode}", *words], {"path": str(path), "mode": mode}, path=path)


class Looks:
    """Commands that only look."""

    def rules(self, numbers):
        for number in numbers:
            yield rule("allow" if draw.random() < 0.8 else "deny", number, f"commands = {some(LOOK)}", *times())

    def request(self):
        return asked(draw.choice(LOOK))


class Programs:
    """Programs that end at once, with typed places in their words."""

    def __init__(self):
        self.lines = []  # what the templates take

    def place(self):
        """One, and words that it takes."""
        word, few_words = draw.choice(WORDS), draw.sample(WORDS[:8], 3)
        return draw.choice([(json.dumps(word), [word]), (f"{{ one_of = {json.dumps(few_words)} }}", few_words), ("{ int = [-1, 5] }", ["-1", "0", "5"]),
                            ("{ int = [1, 10] }", ["1", "10"]), ('{ under = "/srv/a" }', ["/srv/a/x"]), ("{ name = 2 }", ["db", "5"]), ("{ name = 8 }", ["db", "web"])])

    def template(self):
        program = str(PROGRAMS / draw.choice(["one", "two"]))
        places = [self.place() for _ in range(draw.randint(0, 2))]
        self.lines.append([[program], *(words for _, words in places)])
        if draw.random() < 0.05:
            lines = ['program = "any"', 'args = "any"']
        else:
            lines = [f'program = "{program}"', f"args = [{', '.join(text for text, _ in places)}]" if draw.random() < 0.9 else 'args = "any"']
        if draw.random() < 0.4:
            lines.append(draw.choice(['host_env = "any"', f'host_env = {some(["LANG", "TERM"])}']))
        if draw.random() < 0.4:
            lines.append(f'input = "{draw.choice([1, 10])}B"')
        return ["[[allow.exec]]", *lines, f'run_as = "{draw.choice(["nobody", "alice"])}"', "concurrent = 32"]

    def rules(self, numbers):
        self.lines.clear()
        for number in numbers:
            if draw.random() < 0.1:
                yield rule("deny", number, 'commands = ["guest-exec"]', *times())
            else:
                tables = [line for _ in range(draw.randint(1, 2)) for line in self.template()]
                yield rule("allow", number, 'commands = ["@exec"]', *times(), *tables)

    def line(self):
        """A program and its words: as a template has them, with one word exchanged, or any."""
        if not self.lines or draw.random() < 0.1:
            return draw.choice([str(PROGRAMS / "two"), str(PROGRAMS / "none"), "true"]), few(WORDS, 2)
        program, *args = map(draw.choice, draw.choice(self.lines))
        if args and draw.random() < 0.5:
            args[draw.randrange(len(args))] = draw.choice(WORDS)
        return program, args

    def request(self):
        program, args = self.line()
        words, arguments = [f"program={program}", *(f"arg={one}" for one in args)], {"path": program}
        if args:
            arguments["arg"] = args
        if draw.random() < 0.2:
            arguments["env"] = few(["LANG=C", "TERM=dumb", "OTHER=1", "LANG=x=y", "LANG"], 2)
            words += [f"env={one}" for one in arguments["env"] or [""]]
        if draw.random() < 0.2:
            size = draw.choice([0, 1, 2, 10, 11])
            words.append(f"input={size}")
            arguments["input-data"] = base64.b64encode(b"x" * size).decode()
        return asked("guest-exec", words, arguments, is_recorded_first=True)


def blob(kind):
    return base64.b64encode(len(kind).to_bytes(4, "big") + kind.encode() + b"\0" * 33).decode()


def keys():
    """Mostly of one type, with the same options in front."""
    front = draw.choices(["", "restrict ", "no-pty ", "no-pty,restrict ", "  "], [12, 4, 2, 1, 1])[0]
    lines = []
    for _ in range(draw.choice([1, 1, 2, 3, 4])):
        kind = TYPES[0] if draw.random() < 0.7 else TYPES[1]
        lines.append(f"{front}{kind} {blob(kind if draw.random() < 0.95 else draw.choice(TYPES))}{draw.choice(['', ' who', ' who else'])}")
    return lines


class Accounts:
    """Passwords, which are not set in truth, and keys of users whose homes are the test's."""

    def rules(self, numbers):
        for number in numbers:
            if draw.random() < 0.1:
                yield rule("deny", number, f"commands = {some(ACCOUNTS)}", *times())
                continue
            commands = draw.sample(ACCOUNTS, draw.randint(1, 4))
            lines = [f"commands = {json.dumps(commands)}", "users = " + (some(NAMES) if draw.random() < 0.6 else '"any"')]
            if PASSWORD in commands:
                lines.append(f'crypted = "{draw.choice(["only", "any"])}"')
            if ADD in commands:
                lines.append("key_types = " + (some(TYPES) if draw.random() < 0.7 else '"any"'))
                for line in (f"max_keys = {draw.randint(1, 3)}", "reset = true", f'require = ["{draw.choice(["restrict", "no-pty"])}"]'):
                    if draw.random() < 0.4:
                        lines.append(line)
            yield rule("allow", number, *lines, *times())

    def request(self):
        command = draw.choice(ACCOUNTS)
        user, = draw.choices([*NAMES, "nosuch", "-x"], [4, 1, 1, 1, 1, 1])
        words, arguments = [f"user={user}"], {"username": user}
        if command == PASSWORD:
            arguments["crypted"] = draw.random() < 0.5
            arguments["password"] = base64.b64encode(b"$6$ab$hash" if arguments["crypted"] else b"secret").decode()
            words.append(f"crypted={'yes' if arguments['crypted'] else 'no'}")
        if command in (ADD, REMOVE):
            arguments["keys"] = keys()
            words += [f"key={one}" for one in arguments["keys"]]
        if command == ADD and draw.random() < 0.2:
            arguments["reset"] = True
            words.append("reset=yes")
        return asked(command, words, arguments, is_recorded_first=True)


class Freezes:
    """Freezes and trims of directories that are no mount points."""

    def __init__(self, top):
        self.top = top

    def rules(self, numbers):
        # Rules that let one command freeze in two ways are an error.
        freeze = f'freeze = {{ mounts = {some([str(self.top / name) for name in "abc"])}, max_frozen = "10s" }}'
        for number in numbers:
            if draw.random() < 0.8:
                yield rule("allow", number, f"commands = {some(FREEZE)}", freeze, *times())
            else:
                yield rule("deny", number, f"commands = {some(FREEZE)}", *times())

    def request(self):
        command = draw.choice(FREEZE)
        points = {"mountpoints": few([str(self.top / name) for name in "abcd"], 2)} if command == "guest-fsfreeze-freeze-list" else None
        return asked(command, [], points)


class Hardware:
    """The clock, which nothing here can set; processors and blocks that are files of the test."""

    def rules(self, numbers):
        for number in numbers:
            if draw.random() < 0.1:
                yield rule("deny", number, f"commands = {some(HARDWARE)}", *times())
                continue
            commands = draw.sample(HARDWARE, draw.randint(1, 3))
            tables = {TIME: f'time = {{ max_step = "{draw.choice(["5m", "1h", "any"])}" }}',
                      VCPUS: f'vcpus = {{ min_online = {draw.randint(1, 2)}, cpus = "{draw.choice([*NUMBERS, "any"])}" }}',
                      MEMORY: f'memory = {{ blocks = "{draw.choice([*NUMBERS, "any"])}" }}'}
            yield rule("allow", number, f"commands = {json.dumps(commands)}", *(tables[one] for one in commands), *times())

    def request(self):
        command, = draw.choices(HARDWARE, [1, 2, 2])
        if command == TIME:
            if draw.random() < 0.2:
                return asked(command, is_recorded_first=True)
            step = draw.choice([-7200, -1800, -120, 0, 120, 1800, 7200])
            return asked(command, [f"step={step}s"], {"time": time.time_ns() + step * 1_000_000_000}, is_recorded_first=True)
        name, number, word = ("vcpus", "logical-id", "cpus") if command == VCPUS else ("mem-blks", "phys-index", "blocks")
        numbers = few(range(6), 3)
        items = [{number: one, "online": draw.random() < 0.5} for one in numbers]
        return asked(command, [f"{word}={','.join(map(str, numbers))}"] if numbers else [], {name: items}, is_recorded_first=True)


def policy_of(families, most=6):
    """A policy with rules of these families, and now and then a denial that is about several."""
    count = draw.randint(1, most)
    parts = ["schema = 1\n"]
    numbers = iter(range(100))
    for family in families:
        parts += family.rules([next(numbers) for _ in range(max(1, count // len(families)))])
    if draw.random() < 0.1:
        parts.append(rule("deny", next(numbers), f"commands = {some([*LOOK, 'guest-file-open', 'guest-exec', *ACCOUNTS, *HARDWARE, *FREEZE])}", *times()))
    return "".join(parts)
