"""The clients of the board: pin factories, which claim lines, drive them and watch their edges."""

from __future__ import annotations

from collections import deque
from typing import Any

from observatory_common import arguments
from observatory_common.errors import Blocked, CommandFailed, InvalidArgument
from observatory_gpiod.simulator.board import Board, pin_number
from observatory_gpiod.simulator.lines import FUNCTIONS, PULLS
from observatory_gpiod.simulator.watch import EDGES, Report, Watch
from observatory_gpiod.simulator.wires import nanoseconds

#: What a client may ask for, by the key that names the line.
OPERATIONS = ("claim", "read", "write", "pwm", "watch", "unwatch", "release")


class Client:
    """One client. Its lines are its own; its events wait in a queue which drops the oldest when it is full."""

    def __init__(self, number: int, name: str, pid: int, queue: int) -> None:
        self.number = number
        self.label = f"{name} (process {pid}, client {number})"
        self.events: deque[Report] = deque(maxlen=queue)
        self.dropped = 0
        self.watches: dict[int, Watch] = {}
        self.edges: dict[int, int] = {}

    def report(self, report: Report) -> None:
        """Queue an event."""
        self.edges[report[0]] = report[3]
        self.dropped += len(self.events) == self.events.maxlen
        self.events.append(report)


class Faults:
    """The faults in force for clients: claims and writes refused, answers withheld."""

    def __init__(self) -> None:
        self.refused: dict[int, int] = {}
        self.refused_writes: dict[int, int] = {}
        self.silent_until_ns = 0

    def clear(self) -> None:
        """None any more."""
        self.refused.clear()
        self.refused_writes.clear()
        self.silent_until_ns = 0


#: Each fault, and what it does.
FAULTS = {
    "lose_edges": "the next `count` edges on line `pin` are not reported to those who watch it, and then said to be lost",
    "refuse_claim": "the next `count` claims of line `pin` fail as if another program had it",
    "refuse_write": "the next `count` writes of line `pin` fail, and change nothing",
    "silence": "no client is answered for `seconds`",
    "clear": "ends all faults",
}


class Clients:
    """All clients, and what they do to the board."""

    def __init__(self, board: Board, queue: int) -> None:
        self._board = board
        self._queue = queue
        self._count = 0
        self.clients: dict[int, Client] = {}
        self.faults = Faults()

    def join(self, name: str, pid: int) -> Client:
        """A new client."""
        self._count += 1
        client = self.clients[self._count] = Client(self._count, name, pid, self._queue)
        return client

    def leave(self, client: Client, now_ns: int) -> None:
        """It is gone, asked or not: the kernel frees its lines."""
        self.clients.pop(client.number, None)
        for watch in client.watches.values():
            watch.close()
        client.watches.clear()
        for line in [line for line in map(self._board.lines.__getitem__, range(28)) if line.owner == client.label]:
            self._board.lines.set_free(line.pin, self._board.holds_released, now_ns)

    def fault(self, wanted: dict[str, Any], now_ns: int) -> None:
        """Put a fault in force. Raises InvalidArgument."""
        name = arguments.choice("fault", wanted.get("fault"), FAULTS)
        if name == "clear":
            self.faults.clear()
            return
        if name == "silence":
            self.faults.silent_until_ns = now_ns + nanoseconds(arguments.number("seconds", wanted.get("seconds", 1), 0, 3600))
            return
        pin = pin_number("pin", wanted.get("pin"))
        count = arguments.whole_number("count", wanted.get("count", 1), 1, 1_000_000)
        if name == "refuse_claim":
            self.faults.refused[pin] = count
            return
        if name == "refuse_write":
            self.faults.refused_writes[pin] = count
            return
        watches = [client.watches[pin] for client in self.clients.values() if pin in client.watches]
        if not watches:
            raise InvalidArgument(f"nobody watches line {pin}", value=pin)
        for watch in watches:
            watch.lose(count)

    def operate(self, client: Client, wanted: dict[str, Any], now_ns: int) -> dict[str, Any]:
        """Do what a client asks. Raises Blocked, CommandFailed, InvalidArgument."""
        operation = next((key for key in OPERATIONS if key in wanted), None)
        if operation is None:
            raise InvalidArgument(f"a client asks for one of {', '.join(OPERATIONS)}, not {arguments.shown(sorted(wanted))}")
        pin = pin_number(operation, wanted[operation])
        line = self._board.lines[pin]
        if operation == "claim":
            self._claim(client, pin, wanted, now_ns)
        elif operation != "read" and line.owner != client.label:
            raise CommandFailed(f"line {pin} has not been claimed by {client.label}", value=pin)
        elif operation in ("write", "pwm"):
            if line.function != "output":
                raise CommandFailed(f"line {pin} is an input", value=pin)
            self._drive(pin, operation, wanted, now_ns)
        elif operation == "watch":
            self._watch(client, pin, wanted)
        elif operation in ("unwatch", "release"):
            self._unwatch(client, pin)
            if operation == "release":
                self._board.lines.set_free(pin, self._board.holds_released, now_ns)
        return line.shown()

    def _claim(self, client: Client, pin: int, wanted: dict[str, Any], now_ns: int) -> None:
        line = self._board.lines[pin]
        function = arguments.choice("function", wanted.get("function"), FUNCTIONS)
        level, pull = wanted.get("level"), wanted.get("pull")
        level = None if level is None else arguments.flag("level", level)
        pull = None if pull is None else arguments.choice("pull", pull, PULLS)
        if self.faults.refused.get(pin):
            self.faults.refused[pin] -= 1
            raise Blocked(f"line {pin} is used by another program", value=pin)
        if line.owner not in (None, client.label):
            raise Blocked(f"line {pin} is used by {line.owner}", value=pin)
        line.owner = client.label
        if function == "input":
            self._board.lines.set_input(pin, pull, now_ns)
        else:
            self._board.lines.set_output(pin, level, now_ns)

    def _drive(self, pin: int, operation: str, wanted: dict[str, Any], now_ns: int) -> None:
        if self.faults.refused_writes.get(pin):
            self.faults.refused_writes[pin] -= 1
            raise CommandFailed(f"line {pin} cannot be written", value=pin)
        if operation == "write":
            self._board.lines.set_output(pin, arguments.flag("level", wanted.get("level")), now_ns)
            return
        frequency_hz = wanted.get("frequency_hz")
        if frequency_hz is not None:
            frequency_hz = arguments.number("frequency_hz", frequency_hz, 0.1, 100_000)
        self._board.lines.set_pwm(pin, frequency_hz, arguments.number("duty", wanted.get("duty", 0.0), 0, 1), now_ns)

    def _watch(self, client: Client, pin: int, wanted: dict[str, Any]) -> None:
        edges = arguments.choice("edges", wanted.get("edges", "both"), EDGES)
        bounce_ns = nanoseconds(arguments.number("bounce_s", wanted.get("bounce_s", 0), 0, 60))
        self._unwatch(client, pin)
        reported = client.edges.get(pin, 0)  # numbers go on, so that what was queued before keeps its sense
        client.watches[pin] = Watch(self._board.lines, self._board.timeline, pin, edges, bounce_ns, client.report, reported)

    def _unwatch(self, client: Client, pin: int) -> None:
        watch = client.watches.pop(pin, None)
        if watch is not None:
            watch.close()
