"""What benchmarks look at, without measuring."""

import experiments
from benchmarks import sweep


def test_the_registry_is_swept_but_for_series(monkeypatch):
    monkeypatch.setattr(
        sweep, "beside_one_by_one", lambda name, c, count, rounds: (name, c.total_steps, count)
    )
    looked_at = sweep.registry()
    single = [n for n in experiments.names() if not experiments.get(n).series]
    assert looked_at == [(n, sweep.SHORT.get(n, 2_000), count) for n in single for count in (2, 8)]
