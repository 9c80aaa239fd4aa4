"""A board's way into its network is told once, its absence each minute. Both Pythons."""

from network_task import NetworkTask


class Radio:
    there = False

    def poll(self, _now_ms):
        return self.there


class Clock:
    ms = 0

    def __call__(self):
        return self.ms


def test_coming_and_going_are_told_once_and_absence_each_minute():
    radio, clock, said = Radio(), Clock(), []
    task = NetworkTask(radio, clock, said.append)
    for second in range(130):
        clock.ms = second * 1000
        task.look()
    assert len(said) == 2
    assert "not connected" in said[0]
    radio.there = True
    for _ in range(100):
        clock.ms += 1000
        task.look()
    assert said[2:] == ["wifi: connected"]
    radio.there = False
    task.look()
    task.look()
    assert len(said) == 4
