"""A memcached that stores nothing and answers by the key, in the classic, meta and binary protocols.

A key `live.17` always holds 17, so that a reply that belongs to another request is seen. A key `bad.ANSWER.COMMAND`
gives ANSWER, a name of its `Wording`, to COMMAND, and holds 7 for all others. The key `connection` holds the number
of the connection that asks. A read of `bad.ANSWER.flush` chooses what `flush_all` is answered from then on.

It is run in a thread of its own: `Server(wording).port`.
"""

import asyncio
import itertools
import re
import struct
import threading

from wording import ERRORS

BAD = re.compile(rb"bad\.(\w+)\.(\w+)")
STORES = {b"set", b"add", b"replace", b"append", b"prepend", b"cas"}
META_MODES = {b"E": "add", b"A": "append", b"P": "append", b"R": "replace", b"S": "set"}
# Binary operations: what each does; quiet ones have numbers of their own.
BINARY = {
    0x00: "get", 0x09: "get", 0x0C: "get", 0x0D: "get", 0x1D: "gat", 0x1E: "gat", 0x23: "gat", 0x24: "gat",
    0x01: "set", 0x11: "set", 0x02: "add", 0x12: "add", 0x03: "replace", 0x13: "replace",
    0x0E: "append", 0x19: "append", 0x0F: "append", 0x1A: "append", 0x04: "delete", 0x14: "delete",
    0x05: "incr", 0x15: "incr", 0x06: "decr", 0x16: "decr", 0x08: "flush", 0x18: "flush", 0x1C: "touch",
}  # fmt: skip
QUIET = {0x09, 0x0D, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x18, 0x19, 0x1A, 0x1E, 0x24}
WITH_KEY = {0x0C, 0x0D, 0x23, 0x24}


class Server:
    """Listens on a port of its own until the process ends."""

    def __init__(self, wording):
        self.wording = wording
        self.flush_answer = None
        self.connections = itertools.count(1)
        started = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.run(started)), daemon=True).start()
        started.wait()

    async def run(self, started):
        listener = await asyncio.start_server(lambda *streams: Session(self, *streams).serve(), "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        started.set()
        await listener.serve_forever()


class Session:
    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer
        self.wording = server.wording
        self.number = next(server.connections)

    async def serve(self):
        try:
            first = await self.reader.readexactly(1)
            while first:
                await (self.packet(first) if first == b"\x80" else self.line(first))
                await self.writer.drain()
                first = await self.reader.readexactly(1)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writer.close()

    def bad(self, key, command):
        """The name of the answer to give, or None if the key is to live."""
        match = BAD.search(key)
        if not match:
            return None
        answer, wanted = (part.decode() for part in match.groups())
        if wanted == "flush" and command == "get":
            self.server.flush_answer = answer
        return answer if wanted.replace("multi", "get") == command else None

    def value(self, key):
        if key.endswith(b"connection"):
            return b"%d" % self.number
        number = re.search(rb"live\.(\d+)", key)
        return number[1] if number else b"7"

    # Text

    async def line(self, first):
        words = (first + await self.reader.readuntil(b"\n")).split()
        verb = words[0] if words else b""
        if verb == b"quit":
            raise ConnectionError
        if verb in (b"mg", b"ms", b"md", b"ma", b"mn"):
            return self.say(await self.meta(verb, words[1:]))
        reply = await self.classic(verb, words[1:])
        if words[-1] != b"noreply":
            self.say(reply)

    def say(self, reply):
        if reply:
            self.writer.write(reply + b"\r\n")

    async def classic(self, verb, words):
        if verb in (b"get", b"gets"):
            return self.values("get", words, verb == b"gets")
        if verb in (b"gat", b"gats"):
            return self.values("gat", words[1:], verb == b"gats")
        if verb in STORES:
            await self.reader.readexactly(int(words[3]) + 2)
            return self.worded(words[0], verb.decode().replace("prepend", "append"), b"STORED")
        if verb in (b"incr", b"decr"):
            return self.worded(words[0], verb.decode(), b"8")
        if verb == b"delete":
            return self.worded(words[0], "delete", b"DELETED")
        if verb == b"touch":
            return self.worded(words[0], "touch", b"TOUCHED")
        if verb == b"flush_all":
            return self.wording.classic.get(self.server.flush_answer, b"OK")
        if verb == b"version":
            return b"VERSION 1.6.40"
        return b"END" if verb == b"stats" else b"ERROR"

    def worded(self, key, command, good):
        return self.wording.classic.get(self.bad(key, command), good)

    def values(self, command, keys, with_cas):
        parts = []
        for key in keys:
            answer = self.bad(key, command)
            if answer is None:
                value = self.value(key)
                parts.append(b"VALUE %s 0 %d%s\r\n%s\r\n" % (key, len(value), b" 5" if with_cas else b"", value))
            elif answer != "miss":
                # An error ends the answer, as it does in memcached.
                return b"".join(parts) + self.wording.classic[answer]
        return b"".join(parts) + b"END"

    async def meta(self, verb, words):
        if verb == b"mn":
            return b"MN"
        key, flags = words[0], words[1:]
        if verb == b"ms":
            await self.reader.readexactly(int(words[1]) + 2)
            flags = words[2:]
        letters = {flag[:1]: flag[1:] for flag in flags}
        mode = letters.get(b"M", b"")[:1].upper()
        returned = b"".join(self.returned(flag, key) for flag in flags)
        if verb == b"mg":
            command = "get" if b"T" not in letters else "gat" if b"v" in letters else "touch"
            value = self.value(key)
            good = b"VA %d%s\r\n%s" % (len(value), returned, value) if b"v" in letters else b"HD" + returned
        elif verb == b"ms":
            command = "cas" if b"C" in letters else META_MODES.get(mode, "set")
            good = b"HD" + returned
        elif verb == b"md":
            command, good = "delete", b"HD" + returned
        else:
            command = "decr" if mode in (b"D", b"-") else "incr"
            good = b"VA 1%s\r\n8" % returned if b"v" in letters else b"HD" + returned
        answer = self.bad(key, command)
        if answer is None:
            # A quiet store or delete says nothing; a quiet get gives its value.
            return None if b"q" in letters and verb in (b"ms", b"md") else good
        if command in ("get", "gat", "touch") and answer in ("miss", "not_found") and b"q" in letters:
            return None
        echoed = b"".join(b" " + flag for flag in flags if flag[:1] == b"O")
        return self.wording.meta[answer] + (echoed if answer not in ERRORS else b"")

    def returned(self, flag, key):
        """What a good answer repeats of a flag."""
        shown = {b"f": b"f0", b"c": b"c5", b"t": b"t-1", b"s": b"s1", b"k": b"k" + key, b"h": b"h1", b"l": b"l1"}
        if flag[:1] == b"O":
            return b" " + flag
        return b" " + shown[flag] if flag in shown else b""

    # Binary

    async def packet(self, first):
        header = first + await self.reader.readexactly(23)
        _, opcode, key_length, extras_length, _, _, length, opaque, cas = struct.unpack(">BBHBBHIIQ", header)
        body = await self.reader.readexactly(length)
        key = body[extras_length : extras_length + key_length]
        command = BINARY.get(opcode)
        if command in ("set", "replace") and cas:
            command = "cas"
        answer = self.server.flush_answer if command == "flush" else self.bad(key, command)
        if answer in self.wording.binary:
            status, text = self.wording.binary[answer]
            if status == 1 and opcode in QUIET and command in ("get", "gat"):
                return
            return self.respond(opcode, opaque, status, b"", b"", text)
        reads = command in ("get", "gat")
        if opcode in QUIET and not reads:
            return
        repeated = key if opcode in WITH_KEY else b""
        if reads:
            self.respond(opcode, opaque, 0, b"\0\0\0\0", repeated, self.value(key))
        elif command in ("incr", "decr"):
            self.respond(opcode, opaque, 0, b"", b"", struct.pack(">Q", 8))
        elif opcode == 0x0B:
            self.respond(opcode, opaque, 0, b"", b"", b"1.6.40")
        elif command or opcode in (0x07, 0x0A, 0x10):
            self.respond(opcode, opaque, 0, b"", b"", b"")
        else:
            self.respond(opcode, opaque, 0x81, b"", b"", b"Unknown command")

    def respond(self, opcode, opaque, status, extras, key, value):
        length = len(extras) + len(key) + len(value)
        header = (0x81, opcode, len(key), len(extras), 0, status, length, opaque, 5 if status == 0 else 0)
        self.writer.write(struct.pack(">BBHBBHIIQ", *header) + extras + key + value)
