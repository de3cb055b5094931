"""Every command is complete: messages, answer, documentation, hostile test."""
import pathlib
import re

import tree

PROTO = tree.text(pathlib.Path("schema/guest_agent.proto"))
INSPECT_PROTO = tree.text(pathlib.Path("schema/inspect.proto"))


def rows():
    """(name as FileOpen, wire name, who answers) of each row of the command table."""
    table = tree.text(pathlib.Path("schema/commands.hpp"))
    found = re.findall(r'Command\{CommandId::k(\w+),\s*"([^"]+)",.*?AnsweredBy::k(\w+)', table)
    assert len(found) == len(re.findall(r"^    Command\{", table, re.M)), "a row that is not understood"
    return found


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def all_text(*places):
    chosen = [f for f in tree.files() if str(f).startswith(places) and f.suffix in tree.CPP]
    # A comment that names a command does nothing for it.
    return "".join(tree.without_comments(f) for f in chosen)


def check_every_command_is_named_by_its_messages():
    for name, wire, _ in rows():
        if "guest-" + snake(name).replace("_", "-") != wire:
            yield f"{wire}: the row says {name}"


def check_every_command_has_a_request_and_a_reply_message():
    """A command that only looks has no arguments: no request message, and its reply is one that the broker does not know."""
    for name, wire, process in rows():
        looks = process == "Inspector"
        for message in (name + "Reply",) if looks else (name, name + "Reply"):
            if not re.search(rf"^message {message} \{{", INSPECT_PROTO if looks else PROTO, re.M):
                yield f"{wire}: no message {message}"
        if looks and not re.search(rf"^        {name}Reply {snake(name)} = ", INSPECT_PROTO, re.M):
            yield f"{wire}: Inspected has no {snake(name)}"


def check_every_message_belongs_to_a_command():
    names = {name for name, _, _ in rows()}
    for message in re.findall(r"^message (\w+)Reply \{", PROTO + INSPECT_PROTO, re.M):
        if message not in names:
            yield f"{message}Reply belongs to no row of commands.hpp"


def check_every_command_has_an_answer():
    broker, worker = all_text("broker/serve/answer"), all_text("worker/commands")
    inspector = all_text("inspector/queries")
    for name, wire, process in rows():
        if process == "Broker" and not re.search(rf"\banswer_{snake(name)}\(", broker):
            yield f"{wire}: no answer_{snake(name)}() in broker/"
        if process == "Inspector" and f"Query{{CommandId::k{name}," not in inspector:
            yield f"{wire}: no row in inspector/queries.cpp"
        if process == "Worker" and not re.search(rf"\b(k{name}|answer_{snake(name)})\b", worker):
            yield f"{wire}: worker/commands does not name it"


def check_every_command_has_a_row_of_documentation():
    documented = tree.text(pathlib.Path("docs/commands.md"))
    for _, wire, _ in rows():
        if f"| `{wire}` |" not in documented:
            yield f"{wire}: no row in docs/commands.md"


def check_every_command_has_a_hostile_test():
    hostile = all_text("tests/hostile/")
    for name, wire, _ in rows():
        if not re.search(rf"\b{wire}(?![\w-])|\b(mutable_)?{snake(name)}\b|\bk{name}\b", hostile):
            yield f"{wire}: tests/hostile/ does not name it"
