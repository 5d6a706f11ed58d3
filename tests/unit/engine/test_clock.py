"""The node's clock: histories are ordered in time, and waits end, whatever is done to the machine's time."""

from argyll.engine.clock import Clock

S = 1_000_000_000


class Machine:
    """A wall clock that can be set, and one that only runs."""

    def __init__(self) -> None:
        self.wall = 1_000 * S
        self.steady = 5 * S

    def run(self, seconds: float) -> None:
        self.wall += int(seconds * S)
        self.steady += int(seconds * S)


def test_it_follows_the_wall_clock() -> None:
    machine = Machine()
    clock = Clock(lambda: machine.wall, lambda: machine.steady)
    machine.run(2.5)
    assert clock.now_us() == 1_002_500_000


def test_set_back_it_goes_on_at_the_same_pace() -> None:
    machine = Machine()
    clock = Clock(lambda: machine.wall, lambda: machine.steady)
    before = clock.now_us()
    machine.wall -= 60 * S
    assert clock.now_us() == before
    machine.run(3)
    assert clock.now_us() == before + 3_000_000


def test_set_forward_it_jumps_and_never_returns() -> None:
    machine = Machine()
    clock = Clock(lambda: machine.wall, lambda: machine.steady)
    machine.wall += 3_600 * S
    ahead = clock.now_us()
    assert ahead == 4_600_000_000
    machine.wall -= 3_600 * S
    machine.run(1)
    assert clock.now_us() == ahead + 1_000_000
