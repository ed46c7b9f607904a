"""Django's cache framework, over whichever of its backends the script names."""

import django
from django.conf import settings

from checks import address, equal, key, tried
from tour import tour


class Cache:
    # It pickles all but numbers, and cannot count what is pickled.
    TEN = 10

    def __init__(self, cache):
        self.get = cache.get
        self.set = cache.set
        self.get_multi = cache.get_many
        self.incr = cache.incr
        self.decr = cache.decr
        self.touch = cache.touch
        self.delete = cache.delete


def framework(cache):
    """What Django builds on top: get_or_set, versions, several keys at once."""
    equal("get_or_set", cache.get_or_set(key("made"), lambda: {"a": [1, None]}), {"a": [1, None]})
    equal("get of what was made", cache.get(key("made")), {"a": [1, None]})
    cache.set(key("version"), "one", version=1)
    equal("incr_version", cache.incr_version(key("version")), 2)
    equal("get of a version", cache.get(key("version"), version=2), "one")
    wanted = {key(f"together:{i}"): i for i in range(50)}
    equal("set_many", cache.set_many(wanted), [])
    equal("get_many", cache.get_many(wanted), wanted)
    cache.delete_many(wanted)
    equal("get_many of the deleted", cache.get_many(wanted), {})
    equal("add of what is there", cache.add(key("made"), 1), False)
    tried("get_or_set", "versions", "set_many", "add")
    cache.clear()
    equal("get after clear", cache.get(key("made")), None)
    tried("flush")


def run(backend):
    """Takes the tour, and then what Django builds on top."""
    print("version", django.__version__)
    host, port = address()
    backend = f"django.core.cache.backends.memcached.{backend}"
    settings.configure(CACHES={"default": {"BACKEND": backend, "LOCATION": f"{host}:{port}"}})
    from django.core.cache import cache

    tour(Cache(cache))
    framework(cache)
