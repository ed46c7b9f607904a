"""pymemcache (text) or bmemcached (binary) over TLS. NAME HOST PORT CA."""

import ssl
import sys

name, host, port, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
values = {f"{name}:{number}": chr(97 + number % 26) * (number * 5003) for number in range(50)}


def pymemcache():
    from pymemcache.client.base import Client
    from pymemcache.serde import pickle_serde

    client = Client((host, int(port)), tls_context=context, timeout=10, serde=pickle_serde)
    assert client.set_many(values) == []
    for _ in range(3):
        assert client.get_many(list(values)) == values


def bmemcached():
    import bmemcached

    client = bmemcached.Client([f"{host}:{port}"], socket_timeout=10, tls_context=context)
    assert client.set_multi(values) == []
    for _ in range(3):
        assert client.get_multi(list(values)) == values


{"pymemcache": pymemcache, "bmemcached": bmemcached}[name]()
