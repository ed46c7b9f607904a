"""The answers that are tried: their names, how each protocol words them, and which commands they are tried with."""

READS = ("get", "multi", "gat")
STORES = ("set", "add", "replace", "append", "cas")
CHANGES = ("incr", "decr", "delete", "touch")
# In the order of the tables. `multi` asks for the key that fails and two that live.
COMMANDS = (*READS, *STORES, *CHANGES, "flush")

ERRORS = {
    "refused": b"SERVER_ERROR connection refused",
    "timeout": b"SERVER_ERROR timeout",
    "memory": b"SERVER_ERROR out of memory storing object",
    "too_large": b"SERVER_ERROR object too large for cache",
    "client_error": b"CLIENT_ERROR bad command line format",
    "error": b"ERROR",
}
CLASSIC = {
    **ERRORS,
    "miss": b"END",
    "not_stored": b"NOT_STORED",
    "not_found": b"NOT_FOUND",
    "exists": b"EXISTS",
}
META = {**ERRORS, "miss": b"EN", "not_stored": b"NS", "not_found": b"NF", "exists": b"EX"}
BINARY = {
    "0x01": (0x01, b"Not found"),
    "0x02": (0x02, b"Data exists for key."),
    "0x03": (0x03, b"Too large."),
    "0x04": (0x04, b"Invalid arguments"),
    "0x05": (0x05, b"Not stored."),
    "0x81": (0x81, b"Unknown command"),
    "0x82": (0x82, b"Out of memory"),
    "0x84": (0x84, b"Internal error"),
    "0x85": (0x85, b"Busy"),
    "0x86": (0x86, b"Temporary failure"),
}

# The columns of the table in docs/clients.md.
CLASSES = {
    "miss": ("miss", "0x01"),
    "not stored, not found, exists": ("not_stored", "not_found", "exists", "0x02", "0x05"),
    "server error": ("refused", "timeout", "0x84", "0x85", "0x86"),
    "out of memory": ("memory", "0x82"),
    "too large": ("too_large", "0x03"),
    "client error": ("client_error", "0x04"),
    "ERROR": ("error", "0x81"),
}

# What Ringway says by default of a failed request, see src/protocol/failed.rs. No client may take it for a bad server.
DEFAULTS = {
    **dict.fromkeys(READS, ("miss", "0x01")),
    **dict.fromkeys(("set", "append"), ("not_stored", "0x05")),
    "add": ("not_stored", "0x02"),
    "replace": ("not_stored", "0x01"),
    **dict.fromkeys(("cas", *CHANGES), ("not_found", "0x01")),
}


def answers(protocol, command):
    """The names of the answers that make sense for a command."""
    if protocol == "binary":
        unfit = ("0x02", "0x05") if command in READS else ("0x01", "0x02", "0x05") if command == "flush" else ()
        return [name for name in BINARY if name not in unfit]
    if command in READS:
        return ["miss", *ERRORS]
    if command == "flush":
        return list(ERRORS)
    return ["not_stored", "not_found", "exists", *ERRORS]


def of_class(answer, command):
    """The column that an answer belongs to. A binary 0x01 is a miss to a read only."""
    if answer == "0x01" and command not in READS:
        return "not stored, not found, exists"
    return next(name for name, members in CLASSES.items() if answer in members)
