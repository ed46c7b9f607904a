"""One client library at work, and what it must see."""

import time
from dataclasses import dataclass

from driver import Ended, Hangs
from server import Server

# How long a call may take before the library counts as hanging, in seconds: more than its own timeout of thirty.
DEADLINE = 60
# For a call whose answer is an error.
SHORT = 4
# For other nodes to take over the keys of one.
TAKE_OVER = 60
TURNS = 4
BURST = 1000
LIVING = 6
DEAD = 3
# What is done with a key that lives, in this order.
TOUR = ("set", "get", "add", "replace", "append", "incr", "decr", "touch", "gat", "get", "cas", "delete", "get", "set")
# What leaves the value of a key as it is, or 1.
CALM = ("get", "set", "add", "replace", "touch", "gat", "delete")


class Lost(Exception):
    """It did not see what it was to see."""


@dataclass
class Keys:
    living: list
    dead: list

    def add(self, key, is_dead):
        those, wanted = (self.dead, DEAD) if is_dead else (self.living, LIVING + 1)
        if len(those) < wanted:
            those.append(key)

    def are_enough(self):
        return len(self.living) > LIVING and len(self.dead) == DEAD


class Client:
    def __init__(self, library, keys, said, log):
        self.library, self.keys, self.said = library, keys, said
        self.absent = keys.living.pop()
        self.adapter = library.start(Server(said).port, log)
        self.version, self.commands = self.adapter.version, self.adapter.commands
        self.verdicts, self.complaints = {}, []
        self.has_begun = False

    def stop(self):
        self.adapter.stop()

    # What it sees while all is well

    def learn(self, port):
        """What it makes of each command: for a living key, for one that is not there, and if its node failed."""
        defaults = self.said.defaults[self.library.protocol]
        self.failed = {
            command: self.ask(f"{command} bad.{defaults[command]}.{command}")
            for command in self.commands
            if command not in ("multi", "flush", "cas")
        }
        self.open(port)
        # It reads the token first, which a key that is not there has not; some then store without one.
        self.failed["cas"] = self.missing("cas")
        self.well = self.tour(self.keys.living[0])
        if self.well[:2] != ["true", "value 1"]:
            raise SystemExit(f"{self.library}: set and get give {self.well[:2]}, before anything failed")
        self.calm = {it: {self.present(it), self.missing(it)} for it in CALM if it in self.commands}

    def present(self, command):
        self.ask(f"set {self.absent}")
        return self.ask(f"{command} {self.absent}")

    def missing(self, command):
        self.ask(f"delete {self.absent}")
        return self.ask(f"{command} {self.absent}")

    def open(self, port):
        self.ask(f"open {port}")

    def ask(self, words, deadline=DEADLINE):
        if words.split(" ")[0] not in (*self.commands, "open"):
            return None
        answer = self.adapter.ask(words, deadline)
        # What a library says of a key is the same for any other.
        return answer.replace(words.split(" ")[-1], "KEY") if answer.startswith("raised") else answer

    def tour(self, key):
        return [self.ask(f"{command} {key}") for command in TOUR]

    # What it is to see while a node is in trouble

    def attempt(self, situation, step):
        """Takes a step of a situation, unless it has lost that already."""
        if self.verdicts.setdefault(situation, "passed") != "passed":
            return
        try:
            step()
        except (Lost, Ended, Hangs) as problem:
            kind = {Lost: "lost", Ended: "aborts", Hangs: "hangs"}[type(problem)]
            self.verdicts[situation] = kind
            self.complaints.append(f"{self.library.name} ({self.library.protocol}), {situation}: {kind} {problem}")
            if kind != "lost":
                self.adapter.start()

    def begin(self, situation, port):
        def step():
            self.has_begun = False
            self.open(port)
            self.use_living()

        self.attempt(situation, step)

    def work(self, situation, port):
        self.begin(situation, port)
        self.go_on(situation)

    def go_on(self, situation):
        def step():
            for turn in range(TURNS):
                dead = self.keys.dead[turn % DEAD]
                for command, wanted in self.failed.items():
                    self.expect(f"{command} {dead}", (wanted, "false") if command == "cas" else (wanted,))
                    self.use_one(turn)
                self.use_many(dead)
            self.use_living()

        self.attempt(situation, step)

    def flush(self, situation):
        """It may say that a node was not flushed; others flush at the same time."""
        self.attempt(situation, lambda: self.ask("flush"))

    def work_through(self, situation, broken):
        """Works before, while and after something breaks; until then dead keys live."""

        def step():
            turn = turns = 0
            while turns < TURNS:
                turns += broken.is_set()
                dead = self.keys.dead[turn % DEAD]
                for command, well in self.calm.items():
                    self.expect(f"{command} {dead}", (*well, self.failed[command]))
                    self.use_one(turn)
                self.has_begun = True
                turn += 1
            self.use_living()
            if situation == "rehash":
                self.take_over()

        self.attempt(situation, step)

    def take_over(self):
        """Waits until the other nodes have the dead keys."""
        end = time.monotonic() + TAKE_OVER
        for key in self.keys.dead:
            while self.ask(f"set {key}") != "true" or self.ask(f"get {key}") != "value 1":
                self.use_one(0)
                if time.monotonic() > end:
                    raise Lost(f"{key} was not taken over")

    def burst(self, deadline):
        """What is buffered is sent when much has gathered, and its answers are read when more has."""
        if "buffered" in self.library.name:
            for _ in range(BURST):
                self.ask(f"set {self.keys.dead[0]}", deadline)

    def use_one(self, turn):
        key = self.keys.living[turn % LIVING]
        self.expect(f"set {key}", self.well[:1])
        self.expect(f"get {key}", self.well[1:2])

    def use_many(self, dead):
        if "multi" in self.commands:
            first, last = self.keys.living[0], self.keys.living[-1]
            for key in (first, last):
                self.expect(f"set {key}", self.well[:1])
            self.expect(f"multi {first} {dead} {last}", ("values 1,1",))

    def use_living(self):
        for key in self.keys.living:
            for command, wanted in zip(TOUR, self.well):
                self.expect(f"{command} {key}", (wanted,))

    def expect(self, words, wanted):
        got = self.ask(words)
        if got not in wanted:
            raise Lost(f"{words}: {got}, not {' or '.join(map(str, wanted))}")

    # What errors do

    def suffer(self, situation, port):
        """Counts what fails of the other keys after each error."""
        failed = total = 0
        try:
            self.open(port)
            for turn, command in enumerate(command for command in self.commands if command != "flush"):
                dead, living = self.keys.dead[turn % DEAD], self.keys.living[turn % LIVING]
                self.ask(f"{command} {dead}" if command != "multi" else f"multi {living} {dead}", SHORT)
                for words, wanted in zip((f"set {living}", f"get {living}"), self.well):
                    failed += self.ask(words, SHORT) != wanted
                    total += 1
            self.burst(SHORT)
            self.verdicts[situation] = f"{failed} of {total} living fail" if failed else "passed"
        except Ended:
            self.verdicts[situation] = "aborts"
        except Hangs:
            self.verdicts[situation] = "hangs"
