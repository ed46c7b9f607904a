"""bmemcached: SASL PLAIN in its binary protocol. HOST PORT USER PASSWORD."""

import sys

# This file has the name of the module.
sys.path.pop(0)

import bmemcached  # noqa: E402

host, port, user, password = sys.argv[1:]
good = bmemcached.Client([f"{host}:{port}"], user, password)
assert good.set("bmemcached", "value")
assert good.get("bmemcached") == "value"
try:
    got = bmemcached.Client([f"{host}:{port}"], user, "wrong").get("bmemcached")
except bmemcached.exceptions.MemcachedException:
    got = None
assert got is None, got
