"""How well an agent plays an Atari game, on a scale from chance to a person.

Raw scores of two games cannot be compared, nor averaged. The scale is that of Mnih et al. 2015: 0 for buttons
pressed at random, 100 for a professional tester of games.
"""

from typing import NamedTuple, TypeVar

import jax
import numpy as np

from mi203jax.atari import PREFIX, games
from mi203jax.core.errors import UsageError, did_you_mean

Score = TypeVar("Score", float, np.ndarray, jax.Array)


class Reference(NamedTuple):
    """The two scores of a game that fix its scale, means over episodes.

    Attributes:
        random: of buttons pressed uniformly at random.
        human: of a professional tester.
    """

    random: float
    human: float


def human_normalized(game: str, score: Score) -> Score:
    """100 (score − random) / (human − random), in percent: 0 as by chance, 100 as the tester, without limits.

    Papers tell it in percent; where a library takes fractions, as rliable does, divide by 100. Over games
    report the median, or the interquartile mean (Agarwal et al. 2021), rather than the mean, which a few
    games decide: see `REFERENCE`.

    Args:
        game: a key of `REFERENCE`, "Pong", or what environments call it, "atari/Pong".
        score: sums of the game's own rewards over whole episodes, unclipped, `[...]`: a number, an array of
            numpy's, or one of JAX's, floating; it may be traced.

    Returns:
        `[...]`, of the kind of `score`, and of its dtype where that is floating.

    Raises:
        ValueError: if the game is not in the table.
    """
    key = game.removeprefix(PREFIX)
    if key not in REFERENCE:
        raise ValueError(f"human_normalized: {_why_unknown(key)}")
    random, human = REFERENCE[key]
    return 100.0 * (score - random) / (human - random)


def _why_unknown(game: str) -> str:
    try:
        exists = game in games()
    except UsageError:  # without ale-py one cannot know
        exists = False
    if exists:
        return f"there are no scores of {game} in the table, which has {len(REFERENCE)} games."
    return f"unknown game {game!r}. {did_you_mean(game, REFERENCE)}"


REFERENCE: dict[str, Reference] = {
    "Alien": Reference(227.8, 7127.7),
    "Amidar": Reference(5.8, 1719.5),
    "Assault": Reference(222.4, 742.0),
    "Asterix": Reference(210.0, 8503.3),
    "Asteroids": Reference(719.1, 47388.7),
    "Atlantis": Reference(12850.0, 29028.1),
    "BankHeist": Reference(14.2, 753.1),
    "BattleZone": Reference(2360.0, 37187.5),
    "BeamRider": Reference(363.9, 16926.5),
    "Berzerk": Reference(123.7, 2630.4),
    "Bowling": Reference(23.1, 160.7),
    "Boxing": Reference(0.1, 12.1),
    "Breakout": Reference(1.7, 30.5),
    "Centipede": Reference(2090.9, 12017.0),
    "ChopperCommand": Reference(811.0, 7387.8),
    "CrazyClimber": Reference(10780.5, 35829.4),
    "Defender": Reference(2874.5, 18688.9),
    "DemonAttack": Reference(152.1, 1971.0),
    "DoubleDunk": Reference(-18.6, -16.4),
    "Enduro": Reference(0.0, 860.5),
    "FishingDerby": Reference(-91.7, -38.7),
    "Freeway": Reference(0.0, 29.6),
    "Frostbite": Reference(65.2, 4334.7),
    "Gopher": Reference(257.6, 2412.5),
    "Gravitar": Reference(173.0, 3351.4),
    "Hero": Reference(1027.0, 30826.4),
    "IceHockey": Reference(-11.2, 0.9),
    "Jamesbond": Reference(29.0, 302.8),
    "Kangaroo": Reference(52.0, 3035.0),
    "Krull": Reference(1598.0, 2665.5),
    "KungFuMaster": Reference(258.5, 22736.3),
    "MontezumaRevenge": Reference(0.0, 4753.3),
    "MsPacman": Reference(307.3, 6951.6),
    "NameThisGame": Reference(2292.3, 8049.0),
    "Phoenix": Reference(761.4, 7242.6),
    "Pitfall": Reference(-229.4, 6463.7),
    "Pong": Reference(-20.7, 14.6),
    "PrivateEye": Reference(24.9, 69571.3),
    "Qbert": Reference(163.9, 13455.0),
    "Riverraid": Reference(1338.5, 17118.0),
    "RoadRunner": Reference(11.5, 7845.0),
    "Robotank": Reference(2.2, 11.9),
    "Seaquest": Reference(68.4, 42054.7),
    "Skiing": Reference(-17098.1, -4336.9),
    "Solaris": Reference(1236.3, 12326.7),
    "SpaceInvaders": Reference(148.0, 1668.7),
    "StarGunner": Reference(664.0, 10250.0),
    "Surround": Reference(-10.0, 6.5),
    "Tennis": Reference(-23.8, -8.3),
    "TimePilot": Reference(3568.0, 5229.2),
    "Tutankham": Reference(11.4, 167.6),
    "UpNDown": Reference(533.4, 11693.2),
    "Venture": Reference(0.0, 1187.5),
    "VideoPinball": Reference(16256.9, 17667.9),
    "WizardOfWor": Reference(563.5, 4756.5),
    "YarsRevenge": Reference(3092.9, 54576.9),
    "Zaxxon": Reference(32.5, 9173.3),
}
"""Scores of 57 games, by the names under which gymnasium registers them.

They are those of Wang et al. 2016 (Table 2), with up to 30 steps of no action at the start and 30 minutes
(108 000 frames) at most; Bellemare et al. 2017 (Figure 14) print the same. Two others are in use:

- Mnih et al. 2015 let the tester play for 5 minutes: of their 49 games the human score differs in 33
  (Breakout's is 31.8), the random one in none.
- For the random score of VideoPinball Badia et al. 2020 (Agent57) print 0, and so do tables made from theirs,
  rliable's for one. The means over games that Wang et al. and Bellemare et al. publish come out with 0 only,
  though they print 16256.9: of DQN 227.9 %, where the table as printed gives 432.6 %, since the tester is but
  1411 points above random buttons. The printed score stands here, as in DQN Zoo, for random buttons do score
  that much (five episodes of ale-py: 16 103, standard error 5300); medians are the same.
"""
