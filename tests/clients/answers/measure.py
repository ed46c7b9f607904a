"""Measures what one client makes of every answer to every command, and of its next requests.

    measure(adapter, commands) -> [Measured]

Each measurement has a client of its own: a get that shows it works, the command that gets the answer, and then
operations on other keys, which the server answers as ever. What becomes of those is the verdict.
"""

from dataclasses import dataclass

import wording
from driver import Ended, Hangs

# From harmless to worst. `raises`: an exception for the failed request alone.
VERDICTS = ("harmless", "raises", "reconnects", "shuts out", "mixes up", "hangs", "aborts")
DEADLINE = 4


@dataclass
class Measured:
    command: str
    answer: str
    got: str
    verdict: str
    failed: int = 0

    def told(self):
        """The verdict with what is known of it."""
        if self.verdict != "shuts out":
            return self.verdict
        return f"shuts out: {self.failed} of {len(NEXT)} that follow fail"


# What follows, and what it must give.
NEXT = (
    ("get live.21", "value 21"),
    ("set live.22", "true"),
    ("get live.23", "value 23"),
    ("multi live.24 live.25", "values 24,25"),
    ("get live.26", "value 26"),
    ("set live.27", "true"),
    ("get live.28", "value 28"),
)


def measure(adapter, commands):
    """What it makes of the answers to those of `commands` that it has."""
    return [
        one(adapter, command, answer)
        for command in commands
        if command in adapter.commands
        for answer in wording.answers(adapter.protocol, command)
    ]


def one(adapter, command, answer):
    got = "-"
    try:
        adapter.ask("open", DEADLINE)
        key = f"bad.{answer}.{command}"
        if command == "flush":
            adapter.ask(f"get {key}", DEADLINE)
        before = adapter.ask("get connection", DEADLINE)
        if not before.startswith("value"):
            raise SystemExit(f"{adapter.arguments}: the first get gave {before!r}, before {command} gets {answer}")
        # What opens a connection for each request does not open it because of an answer.
        if adapter.ask("get connection", DEADLINE) != before:
            before = None
        got = adapter.ask(words(command, key), DEADLINE)
        verdict, failed = aftermath(adapter, before)
    except Ended:
        verdict, failed = "aborts", 0
    except Hangs:
        verdict, failed = "hangs", 0
    if verdict in ("aborts", "hangs"):
        adapter.start()
    if verdict == "harmless" and got.startswith("raised"):
        verdict = "raises"
    return Measured(command, answer, got, verdict, failed)


def words(command, key):
    if command == "flush":
        return "flush"
    return f"multi live.12 {key} live.13" if command == "multi" else f"{command} {key}"


def aftermath(adapter, before):
    """The verdict over the operations that follow, and how many of them failed."""
    failed = 0
    for question, wanted in NEXT:
        if question.split(" ")[0] not in adapter.commands:
            continue
        answer = adapter.ask(question, DEADLINE)
        if answer.startswith("value") and not belongs(answer, wanted):
            return "mixes up", failed
        failed += answer != wanted
    if failed:
        return "shuts out", failed
    kept = before in (None, adapter.ask("get connection", DEADLINE))
    return ("harmless" if kept else "reconnects"), 0


def belongs(answer, wanted):
    """Whether what was found is part of what was asked for. A store must give no value at all."""
    if " " not in wanted:
        return False
    return set(answer.split(" ", 1)[1].split(",")) - {""} <= set(wanted.split(" ", 1)[1].split(","))
