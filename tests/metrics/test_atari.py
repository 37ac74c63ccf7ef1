"""Human-normalised scores of Atari games against tables, means and medians that papers print, and the ALE."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.core.errors import UsageError
from mi203jax.metrics.atari import REFERENCE, Reference, human_normalized

pytestmark = pytest.mark.usefixtures("strict")


def column(numbers):
    """One of a paper's table, by game. Papers sort the games by name."""
    return dict(zip(sorted(REFERENCE), map(float, numbers.split()), strict=True))


# Bellemare et al. 2017, Figure 14: another transcription than that behind the table under test.
RANDOM = column("""
    227.8 5.8 222.4 210 719.1 12850 14.2 2360 363.9 123.7 23.1 0.1 1.7 2090.9 811 10780.5 2874.5 152.1
    -18.6 0 -91.7 0 65.2 257.6 173 1027 -11.2 29 52 1598 258.5 0 307.3 2292.3 761.4 -229.4 -20.7 24.9
    163.9 1338.5 11.5 2.2 68.4 -17098.1 1236.3 148 664 -10 -23.8 3568 11.4 533.4 0 16256.9 563.5 3092.9
    32.5
""")
HUMAN = column("""
    7127.7 1719.5 742 8503.3 47388.7 29028.1 753.1 37187.5 16926.5 2630.4 160.7 12.1 30.5 12017 7387.8
    35829.4 18688.9 1971 -16.4 860.5 -38.7 29.6 4334.7 2412.5 3351.4 30826.4 0.9 302.8 3035 2665.5
    22736.3 4753.3 6951.6 8049 7242.6 6463.7 14.6 69571.3 13455 17118 7845 11.9 42054.7 -4336.9 12326.7
    1668.7 10250 6.5 -8.3 5229.2 167.6 11693.2 1187.5 17667.9 4756.5 54576.9 9173.3
""")
PRIORITIZED_DUELING = column("""
    3941 2296.8 11477 375080 1192.7 395762 1503.1 35520 30276.5 3409 46.7 98.9 366 7687.5 13185 162224
    41324.5 72878.6 -12.5 2306.4 41.3 33 7413 104368.2 238 21036.5 -0.4 812 1792 10374.4 48375 0 3327.3
    15572.5 70324.3 0 20.9 206 18760.3 20607.6 62151 27.5 931.6 -19949.9 133.4 15311.5 125117 1.2 0 7553
    245.9 33879.1 48 479197 12352 69618.1 13886
""")
C51 = column("""
    3166 1735 7203 406211 1516 841075 976 28742 14074 1645 81.8 97.8 748 9646 15600 179877 47092 130955
    2.5 3454 8.9 33.9 3965 33641 440 38874 -3.5 1909 12853 9735 48192 0 3415 12542 17490 0 20.9 15095
    23784 17322 55839 52.3 266434 -13901 8342 5747 49095 6.8 23.1 8329 280 15612 1520 949604 9300 35050
    10513
""")


def percents(scores):
    return [human_normalized(game, score) for game, score in scores.items()]


class TestReference:
    def test_equals_another_transcription(self):
        expected = {game: Reference(RANDOM[game], HUMAN[game]) for game in RANDOM}
        assert expected == REFERENCE

    @pytest.mark.parametrize(
        ("scores", "mean", "median", "decimals"),
        [(PRIORITIZED_DUELING, 591.9, 172.1, 1), (C51, 701, 178, 0)],
        ids=["Wang et al. 2016", "Bellemare et al. 2017"],
    )
    def test_published_mean_and_median(self, monkeypatch, scores, mean, median, decimals):
        assert round(np.median(percents(scores)), decimals) == median
        assert np.mean(percents(scores)) > 1.5 * mean  # as the docstring warns
        monkeypatch.setitem(REFERENCE, "VideoPinball", REFERENCE["VideoPinball"]._replace(random=0.0))
        assert round(np.mean(percents(scores)), decimals) == mean

    def test_names_are_those_of_gymnasium(self):
        pytest.importorskip("ale_py")
        registry = pytest.importorskip("gymnasium").registry
        assert not [game for game in REFERENCE if f"ALE/{game}-v5" not in registry]


class TestHumanNormalized:
    @pytest.mark.parametrize("game", ["Breakout", "Skiing", "FishingDerby", "Venture"])
    def test_closed_form(self, game):
        random, human = REFERENCE[game]
        scores = [random, (random + human) / 2, human, 3 * human - 2 * random]
        assert [human_normalized(game, score) for score in scores] == pytest.approx([0, 50, 100, 300])

    def test_below_chance(self):
        assert human_normalized("Pong", -21) == pytest.approx(-30 / 35.3)

    @pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
    def test_arrays(self, array):
        scores = array(np.float32([[1.7, 30.5, 400], [0, 16.1, 864]]))
        values = human_normalized("Breakout", scores)
        assert type(values) is type(scores)
        assert values.dtype == np.float32
        expected = [[0, 100, 39830 / 28.8], [-170 / 28.8, 50, 86230 / 28.8]]
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-5)

    def test_traced(self):
        value = jax.jit(lambda score: human_normalized("Skiing", score))(jnp.float32(-10717.5))
        assert value == pytest.approx(50, abs=1e-3)

    @pytest.mark.parametrize(
        ("game", "near"),
        [("space_invaders", "SpaceInvaders"), ("BreakoutNoFrameskip-v4", "Breakout"), ("QBert", "Qbert")],
    )
    def test_unknown_game(self, game, near):
        message = rf"human_normalized: unknown game '{game}'\. Did you mean '{near}'\?"
        with pytest.raises(ValueError, match=message):
            human_normalized(game, 0.0)

    def test_a_game_without_scores(self):
        pytest.importorskip("ale_py")
        with pytest.raises(ValueError, match="there are no scores of Adventure in the table, which has 57"):
            human_normalized("atari/Adventure", 0.0)

    def test_without_ale_py(self, monkeypatch):
        def missing():
            raise UsageError("needs a package")

        monkeypatch.setattr("mi203jax.metrics.atari.games", missing)
        with pytest.raises(ValueError, match="unknown game 'Pnog'. Did you mean 'Pong'"):
            human_normalized("Pnog", 0.0)

    def test_by_the_name_of_the_environment(self):
        assert human_normalized("atari/Pong", 14.6) == pytest.approx(100)
