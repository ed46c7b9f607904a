"""memcached and Ringway as processes of their own, which end with this one or with their `with` block."""

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

# How long a program may take to listen, in seconds.
DEADLINE = 60


class Process:
    """A program that is killed at the end."""

    def __init__(self, *command, **settings):
        self.child = subprocess.Popen(command, **settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        self.child.kill()
        self.child.wait()

    def has_ended(self):
        return self.child.poll() is not None


class Memcached(Process):
    """A memcached on a `port` that it chose."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as directory:
            name = f"{directory}/port"
            command = ("memcached", "-l", "127.0.0.1", "-p", "-1", "-U", "0", "-m", "64", "-t", "1", "-u", user())
            super().__init__(*command, env={**os.environ, "MEMCACHED_PORT_FILENAME": name})
            told = wait_for("memcached to listen", lambda: told_in(name), self)
        self.port = int(told)
        self.address = f"127.0.0.1:{self.port}"

    def stop(self):
        """Lets it hang until it is killed; returns once no thread of it runs any more."""
        self.child.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.child.pid}/task")
        deadline = time.monotonic() + 20
        while any(state_of(thread) != "T" for thread in threads.iterdir()):
            assert time.monotonic() < deadline, "a stopped process still runs"
            time.sleep(0.01)


def state_of(thread):
    """The letter that /proc has for what a thread does."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


class Ringway(Process):
    """A Ringway whose configuration is made by `yaml(ports)`, with as many ports as it has listeners."""

    def __init__(self, binary, listeners, yaml, log):
        # It looks at its file now and then.
        self.directory = tempfile.TemporaryDirectory()
        name = f"{self.directory.name}/ringway.yaml"
        for _ in range(10):
            self.ports = list(itertools.islice(FREE_PORTS, listeners))
            self.admin = next(FREE_PORTS)
            binds = ", ".join(f'{{bind: "127.0.0.1:{port}"}}' for port in self.ports)
            with open(name, "w") as file:
                file.write(f'listeners: [{binds}]\nadmin: {{bind: "127.0.0.1:{self.admin}"}}\n{yaml(self.ports)}')
            with open(log, "ab") as stderr:
                super().__init__(binary, "--config", name, stderr=stderr)
            wait_for("Ringway to listen", lambda: self.has_ended() or listens(self.ports[-1]))
            if not self.has_ended():
                return
        raise SystemExit(f"Ringway does not start, see {log}")

    def kill(self):
        super().kill()
        self.directory.cleanup()


def told_in(name):
    """The port in the file that memcached writes."""
    with contextlib.suppress(FileNotFoundError), open(name) as file:
        for line in file:
            if line.startswith("TCP INET: ") and line.endswith("\n"):
                return line.split()[-1]
    return None


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def wait_for(what, look, process=None):
    """What `look` gives once that counts as true."""
    end = time.monotonic() + DEADLINE
    while not (found := look()):
        if time.monotonic() > end or process and process.has_ended():
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.02)
    return found


def user():
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def free_ports():
    """Ports below those of outgoing connections, in blocks as tests/it/support/ports.rs takes them."""
    blocks = list(range(12_000, 32_000, 50))
    random.shuffle(blocks)
    held = []
    for block in blocks:
        owner = socket.socket(socket.AF_UNIX)
        try:
            owner.bind(f"\0ringway-tests-ports-{block}")
        except OSError:
            continue
        held.append(owner)
        for port in range(block, block + 50):
            if is_free(port):
                yield port
    raise SystemExit("no port is free")


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


FREE_PORTS = free_ports()
