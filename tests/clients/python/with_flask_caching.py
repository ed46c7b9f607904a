"""Flask-Caching over cachelib and pylibmc, as its documentation has it."""

from flask import Flask
from flask_caching import Cache as FlaskCache

from checks import address, equal, key, tried, version
from tour import tour


class Cache:
    def __init__(self, cache):
        self.cache = cache
        self.get = cache.get
        self.delete = cache.delete

    def set(self, key, value, ttl):
        assert self.cache.set(key, value, timeout=ttl)

    def get_multi(self, keys):
        return {key: value for key, value in self.cache.get_dict(*keys).items() if value is not None}


version("Flask-Caching")
host, port = address()
app = Flask("tour")
cache = FlaskCache(app, config={"CACHE_TYPE": "MemcachedCache", "CACHE_MEMCACHED_SERVERS": [f"{host}:{port}"]})
tour(Cache(cache))


@cache.memoize(100)
def doubled(number):
    calls.append(number)
    return 2 * number


calls = []
with app.app_context():
    equal("what is memoized", [doubled(21), doubled(21)], [42, 42])
    equal("calls of what is memoized", calls, [21])
    cache.delete_memoized(doubled)
    equal("what is memoized anew", doubled(21), 42)
    equal("calls", calls, [21, 21])
    tried("memoize")
    equal("add", [cache.add(key("added"), 1), cache.add(key("added"), 2)], [True, False])
    equal("set_many", len(cache.set_many({key(f"many:{i}"): i for i in range(20)})), 20)
    tried("add", "set_many")
    cache.clear()
    equal("get after clear", cache.get(key("added")), None)
    tried("flush")
