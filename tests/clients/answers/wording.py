"""The answers that are tried: their names, which commands they are tried with, and how each protocol words them.

What Ringway says itself is asked of a running one, so that what is measured is what clients read.
"""

import socket
import struct
import sys
import textwrap
from dataclasses import dataclass

from servers import Memcached, Ringway

READS = ("get", "multi", "gat")
STORES = ("set", "add", "replace", "append", "cas")
CHANGES = ("incr", "decr", "delete", "touch")
# In the order of the tables. `multi` asks for the key that fails and two that live.
COMMANDS = (*READS, *STORES, *CHANGES, "flush")

# Answers that are errors; those in text are alike in meta.
ERRORS = ("connect", "down", "timeout", "memory", "too_large", "client_error", "error")
# memcached's words, which Ringway passes on.
CLASSIC = {"miss": "END", "not_stored": "NOT_STORED", "not_found": "NOT_FOUND", "exists": "EXISTS"}
META = {"miss": "EN", "not_stored": "NS", "not_found": "NF", "exists": "EX"}
MEMORY = "SERVER_ERROR out of memory storing object"
BINARY = {
    "0x01": "Not found",
    "0x02": "Data exists for key.",
    "0x03": "Too large.",
    "0x04": "Invalid arguments",
    "0x05": "Not stored.",
    "0x81": "Unknown command",
    "0x82": "Out of memory",
    "0x84": "Internal error",
    "0x85": "Busy",
    "0x86": "Temporary failure",
}

# The columns of the table in docs/clients.md.
CLASSES = {
    "miss": ("miss", "0x01"),
    "not stored, not found, exists": ("not_stored", "not_found", "exists", "0x02", "0x05"),
    "server error": ("connect", "down", "timeout", "0x84", "0x85", "0x86"),
    "out of memory": ("memory", "0x82"),
    "too large": ("too_large", "0x03"),
    "client error": ("client_error", "not_flushed", "0x04"),
    "ERROR": ("error", "0x81"),
}

LONG = "k" * 300
# How each command is asked in text; `gat` and `cas` as a client would.
TEXT = {
    "get": "get {key}", "multi": "get {key} {key}", "gat": "gat 100 {key}", "set": "set {key} 0 0 1\r\n1",
    "add": "add {key} 0 0 1\r\n1", "replace": "replace {key} 0 0 1\r\n1", "append": "append {key} 0 0 1\r\n1",
    "cas": "cas {key} 0 0 1 5\r\n1", "incr": "incr {key} 1", "decr": "decr {key} 1", "delete": "delete {key}",
    "touch": "touch {key} 100",
}  # fmt: skip
IN_META = {
    "get": "mg {key} v", "multi": "mg {key} v", "gat": "mg {key} v T100", "set": "ms {key} 1\r\n1",
    "add": "ms {key} 1 ME\r\n1", "replace": "ms {key} 1 MR\r\n1", "append": "ms {key} 1 MA\r\n1",
    "cas": "ms {key} 1 C5\r\n1", "incr": "ma {key}", "decr": "ma {key} MD", "delete": "md {key}",
    "touch": "mg {key} T100",
}  # fmt: skip
# Operation, extras, whether a value goes with it, cas id.
IN_BINARY = {
    "get": (0x00, b"", False, 0), "multi": (0x00, b"", False, 0), "gat": (0x1D, bytes(4), False, 0),
    "set": (0x01, bytes(8), True, 0), "add": (0x02, bytes(8), True, 0), "replace": (0x03, bytes(8), True, 0),
    "append": (0x0E, b"", True, 0), "cas": (0x01, bytes(8), True, 5), "incr": (0x05, bytes(20), False, 0),
    "decr": (0x06, bytes(20), False, 0), "delete": (0x04, b"", False, 0), "touch": (0x1C, bytes(4), False, 0),
    "flush": (0x08, b"", False, 0),
}  # fmt: skip


@dataclass
class Wording:
    # Name of an answer: its line.
    classic: dict
    meta: dict
    # Name of an answer: status and text.
    binary: dict
    # Protocol: command: the name of what Ringway says by default of a request that failed.
    defaults: dict

    @staticmethod
    def of(binary, log):
        """What this Ringway says."""
        pools = textwrap.dedent("""
            pools:
              hidden: {nodes: ["DEAD"]}
              connect: {nodes: ["DEAD"], health: {down_after: 1000000}, ERROR}
              down: {nodes: ["DEAD"], health: {down_after: 1}, max_down: 100%, ERROR}
              timeout: {nodes: ["SILENT"], health: {down_after: 1000000}, request_timeout: 100ms, ERROR}
              large: {nodes: ["SILENT"], max_value_size: 1KiB}
            routes:
              default: {by_listener: {LISTENERS}, else: hidden}
        """).replace("ERROR", "on_read_error: error, on_write_error: error")
        names = ("hidden", "connect", "down", "timeout", "large")

        def yaml(ports):
            listeners = ", ".join(f'"127.0.0.1:{port}": {name}' for port, name in zip(ports, names))
            return pools.replace("LISTENERS", listeners).replace("DEAD", dead).replace("SILENT", silent.address)

        # Bound without listening: it refuses, and nobody else gets it.
        with socket.socket() as refusing, Memcached() as silent:
            refusing.bind(("127.0.0.1", 0))
            dead = f"127.0.0.1:{refusing.getsockname()[1]}"
            with Ringway(binary, len(names), yaml, log) as ringway:
                ports = dict(zip(names, ringway.ports))
                say(ports["timeout"], "get k")
                silent.stop()
                return heard(ports)


def heard(ports):
    set_of = "set k 0 0 {0}\r\n{1}".format
    say(ports["down"], "get k")
    errors = {
        **{name: say(ports[name], "get k") for name in ("connect", "down", "timeout")},
        "memory": MEMORY,
        "too_large": say(ports["large"], set_of(2000, "x" * 2000)),
        "client_error": say(ports["hidden"], f"get {LONG}"),
        "error": say(ports["hidden"], "no_command"),
    }
    statuses = dict(BINARY)
    # What Ringway says of a flush that not every node did, in text.
    own = {"not_flushed": say(ports["hidden"], "flush_all")}
    told = {"text": {"flush": "not_flushed"}, "meta": {"flush": "not_flushed"}, "binary": {}}
    for command in COMMANDS:
        status, text = packet(ports["hidden"], *IN_BINARY[command])
        told["binary"][command] = f"0x{status:02x}"
        statuses[told["binary"][command]] = text
        if command == "flush":
            continue
        told["text"][command] = name_of(CLASSIC, say(ports["hidden"], TEXT[command].format(key="k")))
        told["meta"][command] = name_of(META, say(ports["hidden"], IN_META[command].format(key="k")))
    status, text = packet(ports["down"], *IN_BINARY["set"])
    statuses[f"0x{status:02x}"] = text
    status, text = packet(ports["large"], 0x01, bytes(8), True, 0, b"x" * 2000)
    statuses[f"0x{status:02x}"] = text
    status, text = packet(ports["hidden"], 0x7F, b"", False, 0)
    statuses[f"0x{status:02x}"] = text
    assert statuses.keys() == BINARY.keys(), f"a status without a name: {statuses}"
    for name, (kind, line) in zip(ERRORS, ((it.split(" ")[0], it) for it in errors.values())):
        wanted = {"client_error": "CLIENT_ERROR", "error": "ERROR"}.get(name, "SERVER_ERROR")
        assert kind == wanted, f"Ringway says {line!r} where it was to say {wanted}"
    return Wording(
        {name: line.encode() for name, line in (CLASSIC | own | errors).items()},
        {name: line.encode() for name, line in (META | own | errors).items()},
        {name: (int(name, 16), text.encode()) for name, text in statuses.items()},
        told,
    )


def name_of(words, line):
    """The name of an answer, which must be one of memcached's words."""
    return next((name for name, word in words.items() if word == line), None) or sys.exit(f"Ringway says {line!r}")


def say(port, request):
    """The first line of the answer to a request in text."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request.encode() + b"\r\n")
        return connection.makefile("rb").readline().decode().rstrip("\r\n")


def packet(port, opcode, extras, has_value, cas, value=b"1"):
    """Status and text of the answer to a request in binary."""
    body = extras + (b"" if opcode in (0x08, 0x7F) else b"k") + (value if has_value else b"")
    keys = 0 if opcode in (0x08, 0x7F) else 1
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(struct.pack(">BBHBBHIIQ", 0x80, opcode, keys, len(extras), 0, 0, len(body), 0, cas) + body)
        stream = connection.makefile("rb")
        header = struct.unpack(">BBHBBHIIQ", stream.read(24))
        return header[5], stream.read(header[6])[header[3] + header[2] :].decode()


def answers(protocol, command):
    """The names of the answers that make sense for a command."""
    if protocol == "binary":
        unfit = ("0x02", "0x05") if command in READS else ()
        return [name for name in BINARY if name not in unfit]
    # In meta a touch is a read.
    if command in READS or (protocol, command) == ("meta", "touch"):
        return ["miss", *ERRORS]
    if command == "flush":
        return ["not_stored", "not_found", "exists", "not_flushed", *ERRORS]
    return ["not_stored", "not_found", "exists", *ERRORS]


def of_class(answer, command):
    """The column that an answer belongs to. A binary 0x01 is a miss to a read only."""
    if answer == "0x01" and command not in READS:
        return "not stored, not found, exists"
    return next(name for name, members in CLASSES.items() if answer in members)
