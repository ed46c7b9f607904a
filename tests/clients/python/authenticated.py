"""Clients that authenticate or encrypt, unmodified: HOST PORT of a listener with `auth`, TLS_PORT and CA of one with `tls`.

Each script of this folder takes an address; this one takes two, a user and a password.
"""

import ssl
import sys

import bmemcached
import pylibmc
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheClientError

from checks import BINARY, LARGE, equal, holds, key, tried

host, port, tls_port, ca, user, password = sys.argv[1:]

# bmemcached: SASL PLAIN, in pure Python.
cache = bmemcached.Client([f"{host}:{port}"], user, password, socket_timeout=10)
name = key("bmemcached")
holds("bmemcached stores", cache.set(name, "value"))
equal("bmemcached reads", cache.get(name), "value")
wrong = bmemcached.Client([f"{host}:{port}"], user, "wrong", socket_timeout=10)
try:
    got = wrong.get(name)
except bmemcached.exceptions.MemcachedException:
    got = None
equal("bmemcached with a wrong password", got, None)
tried("bmemcached-sasl")

# pylibmc: libmemcached with SASL.
holds("libmemcached knows SASL", pylibmc.support_sasl)
cache = pylibmc.Client([f"{host}:{port}"], binary=True, username=user, password=password)
name = key("pylibmc")
holds("pylibmc stores", cache.set(name, BINARY))
equal("pylibmc reads", cache.get(name), BINARY)
equal("pylibmc reads many", cache.get_multi([name, name + "x"]), {name: BINARY})
wrong = pylibmc.Client([f"{host}:{port}"], binary=True, username=user, password="wrong")
try:
    got = wrong.get(name)
except pylibmc.Error:
    got = None
equal("pylibmc with a wrong password", got, None)
tried("pylibmc-sasl")

# pymemcache over TLS, with memcached's own set as its first command.
context = ssl.create_default_context(cafile=ca)
cache = Client(("localhost", int(tls_port)), tls_context=context, timeout=10, default_noreply=False)
try:
    cache.get("k")
    sys.exit("pymemcache was let in without a password")
except MemcacheClientError as error:
    equal("pymemcache is refused", str(error), "b'unauthenticated'")
holds("pymemcache authenticates", cache.set("auth", f"{user} {password}"))
name = key("pymemcache")
holds("pymemcache stores", cache.set(name, LARGE))
equal("pymemcache reads", cache.get(name), LARGE)
tried("pymemcache-tls")
