"""The host's end of the agent's port, and the tests' own way into the guest."""
import json
import select
import socket
import time

SYNC_PATIENCE = 5  # at first; an agent that needs longer each time is to be heard, too
_next_sync = iter(range(1000, 1_000_000))


class Channel:
    patience = 60  # seconds, where a case does not say

    def __init__(self, path):
        self.path = path
        self.connect()

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(self.path)
        self.pending = bytearray()

    def close(self):
        self.socket.close()

    def read_line(self, patience):
        """Errors: TimeoutError; ConnectionError if QEMU has gone."""
        end = time.monotonic() + patience
        searched = 0
        while (at := self.pending.find(b"\n", searched)) < 0:
            searched = len(self.pending)
            ready, _, _ = select.select([self.socket], [], [], max(0, end - time.monotonic()))
            part = self.socket.recv(1 << 20) if ready else b""
            if not part:
                raise ConnectionError("the port is closed") if ready else TimeoutError(f"no line in {patience:.0f} s")
            self.pending += part
        line = bytes(self.pending[:at])
        del self.pending[:at + 1]
        return line


class Host(Channel):
    """Plays the host."""

    def sync(self, patience=None):
        """Waits until the agent answers, whatever came before. As libvirt does, it asks again: a request that an agent
        took before it was ended is lost."""
        patience, once = patience or self.patience, SYNC_PATIENCE
        end = time.monotonic() + patience
        while not self._sync_once(min(end, time.monotonic() + once)):
            once *= 2
            if time.monotonic() > end:
                raise TimeoutError(f"the agent does not answer a sync in {patience} s")

    def _sync_once(self, end):
        number = next(_next_sync)
        request = json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": number}})
        self.socket.sendall(b"\xff" + request.encode() + b"\n")
        try:
            while True:
                line = self.read_line(max(0, end - time.monotonic())).rpartition(b"\xff")[2]
                if line.strip() and json.loads(line).get("return") == number:
                    return True
        except TimeoutError:
            return False

    def send(self, command, **arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.socket.sendall(json.dumps(request).encode() + b"\n")

    def ask(self, command, patience=None, **arguments):
        """The whole reply."""
        self.send(command, **arguments)
        return json.loads(self.read_line(patience or self.patience))

    def get(self, command, patience=None, **arguments):
        """What a successful reply returns."""
        reply = self.ask(command, patience, **arguments)
        assert "return" in reply, f"{command}: {reply}"
        return reply["return"]

    def error_of(self, command, **arguments):
        reply = self.ask(command, **arguments)
        assert "error" in reply, f"{command}: {reply}"
        return reply["error"]

    def is_silent(self, seconds):
        ready, _, _ = select.select([self.socket], [], [], seconds)
        return not ready


class Shell(Channel):
    """A root shell in the guest, beside the agent."""

    def run(self, command, patience=None):
        """(output, status) of one line."""
        self.begin(command)
        return self.result(patience)

    def begin(self, command):
        self.socket.sendall(command.encode() + b"\n")

    def result(self, patience=None):
        """(output, status) of the line that was begun."""
        lines = []
        while True:
            line = self.read_line(patience or self.patience).decode(errors="replace")
            if line.startswith("DONE "):
                return "\n".join(lines).strip(), int(line[5:])
            lines.append(line)

    def get(self, command, patience=None):
        output, status = self.run(command, patience)
        assert status == 0, f"{command}: status {status}: {output}"
        return output
