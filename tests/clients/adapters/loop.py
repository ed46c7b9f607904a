"""What an adapter says and understands, in Python; those in other languages do the same.

At its start it says `ready VERSION COMMAND,COMMAND…`, with `-` if the library does not know its version. Then each line is one of

    open [PORT]         a new client, to another port from then on if one is given; it says `ok`
    COMMAND KEY…        one call of the library: get, multi (of all keys), gat, set, add, replace, append, cas, incr,
                        decr, delete or touch; what is stored is 1
    flush

and it says in one line what the program got:

    value V             what a get gave; a multi-get gives `values V,V…`, of those that were found, in order of the keys
    true, false         as the library says; a null that is no miss is false
    miss                nothing was found
    raised NAME: TEXT   an exception, in languages that have none an error
"""

import importlib.metadata
import sys
from dataclasses import dataclass

READS = ("get", "gat")


@dataclass
class Server:
    host: str
    port: int

    @property
    def address(self):
        return f"{self.host}:{self.port}"


def serve(distribution, connect):
    server = Server(sys.argv[2], int(sys.argv[3]))
    calls = connect(server)
    say(f"ready {importlib.metadata.version(distribution)} {','.join(calls)}")
    for line in sys.stdin:
        command, *keys = line.split()
        try:
            if command == "open":
                server.port = int(keys[0]) if keys else server.port
                calls = connect(server)
                say("ok")
            else:
                say(told(command, keys, call(calls, command, keys)))
        except Exception as error:
            say(f"raised {type(error).__name__}: {' '.join(str(error).split())[:100]}")


def call(calls, command, keys):
    if command == "multi":
        return calls["multi"](keys)
    if command in ("set", "add", "replace", "append", "cas"):
        return calls[command](keys[0], "1")
    return calls[command](*keys)


def told(command, keys, result):
    if command == "multi":
        found = {text(key): value for key, value in (result or {}).items()}
        return "values " + ",".join(text(found[key]) for key in keys if found.get(key) is not None)
    if command in READS:
        return "miss" if result is None else f"value {text(result)}"
    if isinstance(result, (int, str)) and not isinstance(result, bool) and command in ("incr", "decr"):
        return f"value {result}"
    return "true" if result else "false"


def text(value):
    """What a library makes of the bytes of a value; some wrap them."""
    value = getattr(value, "value", value)
    return value.decode() if isinstance(value, bytes) else str(value)


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
