"""What is done now and then."""

from mi203jax.core import sparingly


def test_it_takes_a_small_part_of_the_time(monkeypatch):
    now, done = [0.0], []
    monkeypatch.setattr(sparingly.time, "monotonic", lambda: now[0])

    def act():
        done.append(now[0])
        now[0] += 1.0  # it takes a second

    act_now_and_then = sparingly.Sparingly(act)
    for _ in range(1000):
        act_now_and_then()
        now[0] += 0.5
    assert done[0] == 0.0
    assert len(done) / now[0] < 0.05
    assert len(done) / now[0] > 0.04
