"""Stores or finds keys on many servers with pylibmc, placed by libmemcached's weighted ketama.

    python keys_of_pylibmc.py store|find PREFIX COUNT HOST:PORT:WEIGHT...

Key `PREFIX<i>` holds the text `PREFIX<i>'s value`, for each i below COUNT. Exits 1 at the first key that is not so.
"""

import sys

import pylibmc

BEHAVIORS = {"ketama_weighted": True, "hash": "md5", "receive_timeout": 10_000_000, "send_timeout": 10_000_000}


def main():
    what, prefix, count, *servers = sys.argv[1:]
    client = pylibmc.Client(servers, behaviors=BEHAVIORS)
    for i in range(int(count)):
        key = f"{prefix}{i}"
        value = f"{key}'s value".encode()
        if what == "store":
            held = client.set(key, value)
            wanted = True
        else:
            held = client.get(key)
            wanted = value
        if held != wanted:
            sys.exit(f"{what} {key}: got {held!r}, wanted {wanted!r}")


main()
