"""One client library, unmodified, while one of the nodes behind HOST PORT is in trouble: `outage.py LIBRARY HOST PORT`.

Keys come as a line of JSON: `living`, whose nodes work, `absent`, which nobody ever stores there, and `dead`, whose node
is to fail. It stores the living ones, prints `ready`, waits for a line `go`, and then works with all of them. It prints
`ok` and what it saw where no operation on a living key failed and each on a dead one read as for a key that is not
there; or it says what differed and exits 1. After `go rehash` it goes on until other nodes have taken the dead keys over.
"""

import json
import sys
import time

ROUNDS = 30
# For other nodes to take over, in seconds.
DEADLINE = 60


class Pylibmc:
    def __init__(self, address, binary=False):
        import pylibmc

        self.client = client = pylibmc.Client([address], binary=binary, behaviors={"cas": True})
        self.get, self.set, self.add = client.get, client.set, client.add
        self.replace, self.append = client.replace, client.append
        self.delete, self.incr = client.delete, client.incr
        self.get_many, self.flush = client.get_multi, client.flush_all
        self.set_many = client.set_multi
        self.operations = {
            "prepend": lambda key: client.prepend(key, "x"),
            "decr": client.decr,
            "touch": lambda key: client.touch(key, 60),
            "cas": lambda key: client.cas(key, "x", 7),
            "gets": client.gets,
            "delete_many": lambda key: client.delete_multi([key]),
        }


class PythonMemcached:
    def __init__(self, address):
        import memcache

        self.client = client = memcache.Client([address], cache_cas=True)
        self.get, self.set, self.add = client.get, client.set, client.add
        self.replace, self.append = client.replace, client.append
        self.delete, self.incr = client.delete, client.incr
        self.get_many, self.flush = client.get_multi, client.flush_all
        self.set_many = client.set_multi

        def cas(key):
            client.cas_ids[key.encode()] = 7
            return client.cas(key, "x")

        self.operations = {
            "prepend": lambda key: client.prepend(key, "x"),
            "decr": client.decr,
            "touch": lambda key: client.touch(key, 60),
            "cas": cas,
            "delete_many": lambda key: client.delete_multi([key]),
        }


class Pymemcache:
    def __init__(self, address):
        from pymemcache.client.base import Client
        from pymemcache.serde import pickle_serde

        client = Client(address, default_noreply=False, serde=pickle_serde)
        self.get, self.set, self.add = client.get, client.set, client.add
        self.replace, self.append = client.replace, client.append
        self.delete, self.flush = client.delete, client.flush_all
        self.incr = lambda key: client.incr(key, 1)
        self.get_many, self.set_many = client.get_many, client.set_many
        self.operations = {
            "prepend": lambda key: client.prepend(key, "x"),
            "decr": lambda key: client.decr(key, 1),
            "touch": lambda key: client.touch(key, 60),
            "cas": lambda key: client.cas(key, "x", b"7"),
            "gets": client.gets,
            "gat": lambda key: client.gat(key, 60),
            "delete_many": lambda key: client.delete_many([key]),
        }


class Django:
    def __init__(self, address, backend):
        from django.conf import settings

        settings.configure(
            CACHES={
                "default": {
                    "BACKEND": f"django.core.cache.backends.memcached.{backend}",
                    "LOCATION": address,
                    # Keys reach their nodes as they are.
                    "KEY_FUNCTION": lambda key, prefix, version: key,
                }
            }
        )
        from django.core.cache import cache

        self.get, self.add = cache.get, cache.add
        # It says nothing of a set, and deletes the key where the set failed.
        self.set = lambda key, value: cache.set(key, value) is None
        self.delete, self.incr = cache.delete, cache.incr
        self.get_many, self.set_many, self.flush = cache.get_many, cache.set_many, cache.clear
        self.operations = {
            "decr": cache.decr,
            "touch": lambda key: cache.touch(key, 60),
            "has_key": cache.has_key,
            "delete_many": lambda key: cache.delete_many([key]),
        }


LIBRARIES = {
    "pylibmc": Pylibmc,
    "pylibmc-binary": lambda address: Pylibmc(address, binary=True),
    "python-memcached": PythonMemcached,
    "pymemcache": Pymemcache,
    "django-pymemcache": lambda address: Django(address, "PyMemcacheCache"),
    "django-pylibmc": lambda address: Django(address, "PyLibMCCache"),
}


def outcome(operation, *arguments):
    """What an operation returned, or the class of what it raised."""
    try:
        return repr(operation(*arguments))
    except Exception as error:  # Each library has its own.
        return f"{type(error).__name__} {'' if type(error).__module__ == 'builtins' else error}".strip()


def checks(cache):
    """By name, what reads the same for a dead key as for one that is not there."""
    operations = {"get": cache.get, "delete": cache.delete, "incr": cache.incr}
    for name in ("replace", "append"):
        if hasattr(cache, name):
            operations[name] = lambda key, method=getattr(cache, name): method(key, "x")
    return operations | {name: operation for name, operation in cache.operations.items() if name != "cas"}


class Tally:
    def __init__(self):
        self.living = self.dead = 0
        self.wrong = []

    def is_equal(self, what, got, wanted):
        if got != wanted:
            self.wrong.append(f"{what}: {got}, not {wanted}")


def use_living(cache, keys, turn, tally):
    for key in keys:
        tally.is_equal(f"set {key}", outcome(cache.set, key, f"{turn} of {key}"), "True")
        tally.is_equal(f"get {key}", outcome(cache.get, key), repr(f"{turn} of {key}"))
        tally.living += 2


def use_dead(cache, key, wanted, tally):
    """One dead key, while no other node has it."""
    for name, operation in checks(cache).items():
        tally.is_equal(f"{name} of dead {key}", plain(outcome(operation, key), key), wanted[name])
        tally.dead += 1
    # As if another client had been faster, which is not what a key reads that is not there.
    if "cas" in cache.operations:
        got = outcome(cache.operations["cas"], key)
        if got not in ("False", "0"):
            tally.wrong.append(f"cas of dead {key}: {got}")
        tally.dead += 1
    # A library that hides whether it stored says True; none may raise.
    for name in ("set", "add"):
        got = outcome(getattr(cache, name), key, "x")
        if got not in ("True", "False", "0"):
            tally.wrong.append(f"{name} of dead {key}: {got}")
        tally.dead += 1


def use_many(cache, living, dead, tally):
    """Living and dead keys in one call: the living ones are served."""
    values = {key: f"many of {key}" for key in living}
    failed = outcome(cache.set_many, values | {dead: "x"})
    tally.is_equal("set_many, which tells what failed", failed, repr([dead]))
    found = outcome(lambda: sorted(cache.get_many([*living, dead]).items()))
    tally.is_equal("get_many", found, repr(sorted(values.items())))


def plain(text, key):
    """Words that name the key, for any key."""
    return text.replace(key, "KEY")


def take_over(cache, keys, tally):
    """Waits until other nodes have the dead keys; living keys are served meanwhile."""
    end = time.monotonic() + DEADLINE
    for key in keys["dead"]:
        while outcome(cache.set, key, "moved") != "True" or outcome(cache.get, key) != "'moved'":
            use_living(cache, keys["living"], "while keys move", tally)
            if tally.wrong or time.monotonic() > end:
                tally.wrong.append(f"{key} was not taken over")
                return


def main():
    name, host, port = sys.argv[1:]
    keys = json.loads(sys.stdin.readline())
    cache = LIBRARIES[name](f"{host}:{port}")
    tally = Tally()
    use_living(cache, keys["living"], "before", tally)
    wanted = {
        check: plain(outcome(operation, key), key) for key in keys["absent"] for check, operation in checks(cache).items()
    }
    if tally.wrong:
        sys.exit(f"{name}, before anything failed: {tally.wrong[0]}")
    print("ready", flush=True)
    moves = sys.stdin.readline().split() == ["go", "rehash"]
    tally = Tally()
    for turn in range(ROUNDS):
        dead = keys["dead"][turn % len(keys["dead"])]
        if not moves:
            use_dead(cache, dead, wanted, tally)
            use_many(cache, keys["living"], dead, tally)
        else:
            outcome(cache.set, dead, "x")
            outcome(cache.delete, dead)
        use_living(cache, keys["living"], turn, tally)
    if moves:
        take_over(cache, keys, tally)
    # Each library flushes what all others have stored, so they wait for each other.
    print("used", flush=True)
    sys.stdin.readline()
    outcome(cache.flush)
    print("flushed", flush=True)
    sys.stdin.readline()
    # A node that was not flushed may be told, but not at the cost of what comes after it.
    use_living(cache, keys["living"], "after a flush", tally)
    if tally.wrong:
        sys.exit(f"{name}: {len(tally.wrong)} of {tally.living} and {tally.dead} operations, such as {tally.wrong[:5]}")
    print("ok", tally.living, tally.dead)


main()
