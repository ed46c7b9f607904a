"""What the client scripts share: the address to talk to, keys of one's own, and checks that say what failed.

Each script is an unmodified client library against HOST PORT: `python SCRIPT 127.0.0.1 11211 text`.
It prints `version` and the library's, then `ok` and a name for each step that held, and exits 0; or it says
the first thing that differed and exits 1.
"""

import importlib.metadata
import os
import sys
import time
import uuid

NAMESPACE = "ringway-" + uuid.uuid4().hex[:12]

# Every byte, and what a text protocol could take for its own.
BINARY = bytes(range(256)) + b"\r\nEND\r\nVALUE x 0 1\r\nSERVER_ERROR\r\n\0"
# More than one read of any buffer, still below memcached's item limit of 1 MiB.
LARGE = os.urandom(900 * 1024)


def address():
    """HOST and PORT from the command line."""
    if len(sys.argv) not in (3, 4) or not sys.argv[2].isdigit():
        sys.exit(f"usage: {sys.argv[0]} HOST PORT [PROTOCOL]")
    return sys.argv[1], int(sys.argv[2])


def protocol():
    """The third argument, `text` where there is none."""
    return sys.argv[3] if len(sys.argv) > 3 else "text"


def version(distribution):
    """Says which version of the library this is."""
    print("version", importlib.metadata.version(distribution), flush=True)


def tried(*steps):
    """Says that these steps held."""
    for name in steps:
        print("ok", name, flush=True)


def key(name):
    """A key that no other run uses."""
    return f"{NAMESPACE}:{name}"


def equal(what, got, wanted):
    """Ends the script unless `got` is `wanted`."""
    if got != wanted:
        sys.exit(f"{sys.argv[0]}: {what}: got {shown(got)}, wanted {shown(wanted)}")


def holds(what, claim, got=None):
    """Ends the script unless `claim` is true."""
    if not claim:
        sys.exit(f"{sys.argv[0]}: {what}: does not hold, got {shown(got)}")


def becomes(what, look, wanted, deadline=10):
    """Looks again and again until `look()` is `wanted`; ends the script at the deadline, in seconds."""
    end = time.monotonic() + deadline
    got = look()
    while got != wanted and time.monotonic() < end:
        time.sleep(0.05)
        got = look()
    equal(what, got, wanted)


def shown(value):
    """`value` for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"
