"""Says where libmemcached places keys by an option string.

Arguments: the option string, then keys. A line for each key: host:port, or the path of a socket.
"""

import ctypes
import ctypes.util
import glob
import os
import sys

import pylibmc

# The wheel brings its own libmemcached.
beside = os.path.join(os.path.dirname(os.path.dirname(pylibmc.__file__)), "pylibmc.libs")
found = glob.glob(os.path.join(beside, "libmemcached-*.so*")) + ["libmemcached.so.11"]
library = ctypes.CDLL(found[0])
library.memcached.restype = ctypes.c_void_p
library.memcached.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
library.memcached_generate_hash.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
library.memcached_server_instance_by_position.restype = ctypes.c_void_p
library.memcached_server_instance_by_position.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
library.memcached_server_name.restype = ctypes.c_char_p
library.memcached_server_name.argtypes = [ctypes.c_void_p]
library.memcached_server_port.argtypes = [ctypes.c_void_p]

options = sys.argv[1].encode()
client = library.memcached(options, len(options))
if not client:
    sys.exit("libmemcached refuses " + sys.argv[1])
for key in sys.argv[2:]:
    key = key.encode()
    index = library.memcached_generate_hash(client, key, len(key))
    server = library.memcached_server_instance_by_position(client, index)
    name = library.memcached_server_name(server).decode()
    port = library.memcached_server_port(server)
    print(f"unix:{name}" if name.startswith("/") else f"{name}:{port}")
