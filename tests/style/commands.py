"""Every command is complete: messages, answer, documentation, hostile test."""
import pathlib
import re

import tree

PROTO = tree.text(pathlib.Path("schema/guest_agent.proto"))


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
    for name, wire, _ in rows():
        for message in (name, name + "Reply"):
            if not re.search(rf"^message {message} \{{", PROTO, re.M):
                yield f"{wire}: guest_agent.proto has no message {message}"


def check_every_message_belongs_to_a_command():
    names = {name for name, _, _ in rows()}
    for message in re.findall(r"^message (\w+)Reply \{", PROTO, re.M):
        if message not in names:
            yield f"{message}Reply belongs to no row of commands.hpp"


def check_every_command_has_an_answer():
    broker, worker = all_text("broker/answer"), all_text("worker/commands")
    inspector, dispatch = all_text("inspector/queries"), all_text("broker/dispatch")
    for name, wire, process in rows():
        if process == "Broker" and not re.search(rf"\banswer_{snake(name)}\(", broker):
            yield f"{wire}: no answer_{snake(name)}() in broker/"
        if process == "Inspector" and not (f"Query{{Op::k{name}," in inspector and f"Operation{{Op::k{name}," in dispatch):
            yield f"{wire}: no row in inspector/queries.cpp or broker/dispatch.cpp"
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
