"""Talks to an adapter, which is one client library in a process of its own; see adapters/loop.py for the words."""

import os
import select
import subprocess
import time


class Ended(Exception):
    """The process ended, as one that aborts does."""


class Hangs(Exception):
    """No answer in time."""


class Adapter:
    def __init__(self, command, port, protocol, log):
        self.arguments = [*command, "127.0.0.1", str(port), protocol]
        self.protocol = protocol
        self.log = log
        self.process = None
        self.start()

    def start(self):
        """Starts the process, again if it has ended."""
        self.stop()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0
            )
        self.unread = b""
        ready, self.version, commands = self.line(60).split(" ", 2)
        assert ready == "ready", ready
        self.commands = commands.split(",")

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()

    def ask(self, words, deadline):
        try:
            self.process.stdin.write(words.encode() + b"\n")
        except BrokenPipeError as error:
            raise Ended from error
        return self.line(deadline)

    def line(self, deadline):
        end = time.monotonic() + deadline
        while b"\n" not in self.unread:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise Hangs
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                raise Ended
            self.unread += part
        line, self.unread = self.unread.split(b"\n", 1)
        return line.decode(errors="replace")
