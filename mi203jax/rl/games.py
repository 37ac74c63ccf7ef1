"""Games and graphs as finite processes (slides "Agent", "Apprentissage", "le plus court chemin…")."""

import itertools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from mi203jax.rl.finite_mdp import FiniteMDP
from mi203jax.rl.shortest_path import distances_to, edges

MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))  # as in FrozenLake: left, down, right, up
MOVE_NAMES = ("left", "down", "right", "up")
WIN, GAME_OVER = {"sparse": 100.0, "dense": 100_000.0}, {"sparse": -100.0, "dense": -100_000.0}
WALL, FLOOR, START, GOAL, HOLE = "#.SGX"
MAPS = {
    "rooms": (
        "S...#....",
        "....#....",
        ".........",
        "....#..X.",
        "#.####.##",
        "....#....",
        ".X..#....",
        ".........",
        "....#...G",
    ),
    "cliff": (
        "............",
        "............",
        "............",
        "SXXXXXXXXXXG",
    ),
    "treasures": (
        "S..1..",
        "##X##.",
        "3...2.",
        ".#####",
        "...4..",
        "#####.",
        "G..5..",
    ),
    "lure": (
        "9.9#......",
        "...#.####.",
        "...S....#G",
        "9.9######X",
    ),
}
"""Maps for `grid_world`, by name."""


class GridWorld(NamedTuple):
    """A game on a map, with what says how to draw and to begin it."""

    mdp: FiniteMDP
    cells: np.ndarray  # the map, [height, width], one character each
    position: np.ndarray  # row and column of each state, [S, 2], int
    score: np.ndarray  # the game's score in each state, [S], float
    treasures: list[tuple[int, int]]  # where they lie
    taken: np.ndarray  # which of them are, in each state, [S, treasures], bool
    start: np.ndarray  # probability that the game begins in each state, [S]


def grid_world(
    map_: Sequence[str],
    score: Literal["sparse", "dense"] = "sparse",
    slip: float = 0.0,
    discount: float = 0.99,
    start: tuple[int, int] | None = None,
) -> GridWorld:
    """A game in which one walks a map to its goal, with the slide's numbers as rewards.

    Sparse: +100 on winning, −100 when the game is over, else 0. Dense: +100,000, −100,000, else the score
    that the game shows after the move: the sum of the treasures found so far. Both play the same game. Its
    state is the cell and which treasures were taken, since the score depends on them.

    Args:
        map_: rows of as many characters: `#` wall, `.` floor, `S` where the game may begin (anywhere on the
            floor if there is none), `G` goal, `X` hole, `1` to `9` a treasure of so many points, once.
        score: which rewards.
        slip: probability of moving to the left or to the right of where one wants to, half of it each.
        discount: γ.
        start: row and column where the game begins, instead of where the map says.

    Returns:
        The game, of four actions, `MOVE_NAMES`. Against a wall, or the edge, one stays.

    Raises:
        ValueError: if rows differ in length, a character is unknown, no state can be begun in, there are more
            than 10 treasures, a number is out of its range, or the start is no floor: a wall, say.
    """
    cells = _read(map_)
    if score not in WIN:
        raise ValueError(f"grid_world: expected score to be sparse or dense, got {score!r}.")
    if not 0 <= slip <= 1:
        raise ValueError(f"grid_world: expected slip in [0, 1], got {slip}.")
    position, taken, successor = _walks(cells)
    treasures = _treasures(cells)
    points = taken @ np.array([float(cells[t]) for t in treasures]) if treasures else np.zeros(len(taken))
    kind = cells[tuple(position.T)]
    outcome = np.select([kind == GOAL, kind == HOLE], [WIN[score], GAME_OVER[score]], 0.0)
    if score == "dense":
        outcome = np.where(np.isin(kind, (GOAL, HOLE)), outcome, points)
    # One moves as wanted, or to either side of that.
    turns = successor[:, (np.arange(4)[:, None] + (0, -1, 1)) % 4]
    probability = np.broadcast_to((1 - slip, slip / 2, slip / 2), turns.shape).copy()
    if not slip:
        turns, probability = turns[..., :1], probability[..., :1]
    mdp = FiniteMDP(probability, outcome[turns], discount, np.isin(kind, (GOAL, HOLE)), turns)
    begins = _begins(cells, start)[tuple(position.T)] & ~taken.any(1)
    return GridWorld(mdp, cells, position, points, treasures, taken, begins / begins.sum())


def _read(map_: Sequence[str]) -> np.ndarray:
    is_map = isinstance(map_, list | tuple) and map_ and all(isinstance(row, str) for row in map_)
    if not is_map or len({len(row) for row in map_}) != 1 or not map_[0]:
        raise ValueError(f"grid_world: expected a list of texts of the same length, got {map_!r}.")
    cells = np.array([list(row) for row in map_])
    known = [WALL, FLOOR, START, GOAL, HOLE, *"123456789"]
    for row, column in np.argwhere(~np.isin(cells, known)):
        raise ValueError(
            f"grid_world: unknown character {str(cells[row, column])!r} in row {row}, column {column}: "
            f"expected one of {' '.join(known)}."
        )
    if not np.isin(cells, (START, FLOOR)).any():
        raise ValueError("grid_world: nowhere to begin: expected an S, or some floor.")
    return cells


def _begins(cells: np.ndarray, start: tuple[int, int] | None) -> np.ndarray:
    """Where a game may begin, `[height, width]`, bool."""
    if start is None:
        return cells == (START if (cells == START).any() else FLOOR)
    places = np.argwhere(np.isin(cells, (FLOOR, START))).tolist()
    if list(start) not in places:
        kinds = {WALL: "a wall", GOAL: "the goal", HOLE: "a hole"}
        inside = len(start) == 2 and all(0 <= i < n for i, n in zip(start, cells.shape, strict=True))
        what = kinds.get(str(cells[tuple(start)]), "a treasure") if inside else "not on the map"
        raise ValueError(
            f"grid_world: start={tuple(start)} is {what}: expected row and column of some floor."
        )
    found = np.zeros(cells.shape, bool)
    found[tuple(start)] = True
    return found


def _treasures(cells: np.ndarray) -> list[tuple[int, int]]:
    found = [(int(row), int(column)) for row, column in np.argwhere(np.char.isdigit(cells))]
    if len(found) > 10:
        raise ValueError(
            f"grid_world: {len(found)} treasures make 2^{len(found)} states of each cell: at most 10."
        )
    return found


def _walks(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each state: the cell, which treasures are taken, and where each move leads."""
    treasures = _treasures(cells)
    places = [(int(row), int(column)) for row, column in np.argwhere(cells != WALL)]
    subsets = list(itertools.product((False, True), repeat=len(treasures)))
    # A treasure under one's feet is taken: other states of its cell do not exist.
    states = [
        (place, taken)
        for taken in subsets
        for place in places
        if place not in treasures or taken[treasures.index(place)]
    ]
    number = {state: i for i, state in enumerate(states)}

    def after(place, taken, move):
        to = place[0] + move[0], place[1] + move[1]
        to = to if (to, taken) in number or to in treasures else place
        taken = tuple(t or to == treasure for t, treasure in zip(taken, treasures, strict=True))
        return number[to, taken]

    successor = [[after(place, taken, move) for move in MOVES] for place, taken in states]
    position = np.array([place for place, _ in states])
    return (
        position,
        np.array([taken for _, taken in states], bool).reshape(len(states), -1),
        np.array(successor),
    )


def from_gymnasium(env: Any, discount: float = 0.99) -> FiniteMDP:
    """The table of one of gymnasium's toy-text games: FrozenLake, CliffWalking, Taxi, or one like them.

    Args:
        env: the environment, wrapped or not, whose `P[s][a]` lists (probability, s', reward, terminated).
        discount: γ, which gymnasium does not name.

    Returns:
        Its states in their order. A state is terminal if whatever enters it ends the episode. Where one is
        entered in both ways, as Taxi's are, or begun in, one more state stands for the end, the last one.

    Raises:
        ValueError: if it has no such table, or as `FiniteMDP` does.
    """
    table = getattr(getattr(env, "unwrapped", env), "P", None)
    if not table:
        raise ValueError(
            f"from_gymnasium: {env} has no table P of its transitions: expected FrozenLake, CliffWalking, "
            "Taxi or one like them."
        )
    number = len(table)
    actions = len(table[0]) if 0 in table else 0
    if any(s not in table or set(table[s]) != set(range(actions)) for s in range(number)):
        raise ValueError(
            f"from_gymnasium: expected a table P of states from 0 to {number - 1}, each of the same actions "
            f"from 0 on, got {sorted(table, key=str)[:3]} … of {[len(of) for of in table.values()][:3]} …."
        )
    rows = [list(table[s][a]) for s in range(number) for a in range(actions)]
    begins = np.flatnonzero(
        getattr(getattr(env, "unwrapped", env), "initial_state_distrib", _something_happens(table))
    )
    ways: dict[bool, set[int]] = {True: set(), False: set(begins.tolist())}
    for s, a in itertools.product(range(number), range(actions)):
        for p, after, _, ends in table[s][a]:
            # What an absorbing state does to itself does not count.
            if p > 0 and after != s:
                ways[bool(ends)].add(int(after))
            elif p > 0 and ends:
                ways[True].add(int(after))
    needs_end = bool(ways[True] & ways[False])
    if needs_end:
        rows += [[(1.0, number, 0.0, True)]] * actions
    shape = len(rows), max(map(len, rows))
    probability, reward, successor = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int32)
    for i, row in enumerate(rows):
        for k, (p, after, r, ends) in enumerate(row):
            probability[i, k], reward[i, k] = p, r
            successor[i, k] = number if ends and needs_end else after
    terminal = np.zeros(len(rows) // actions, bool)
    terminal[[number] if needs_end else sorted(ways[True])] = True
    parts = [x.reshape(-1, actions, shape[1]) for x in (probability, reward, successor)]
    return FiniteMDP(parts[0], parts[1], discount, terminal, parts[2])


def _something_happens(table: Any) -> list[bool]:
    """In which states a game may begin if nobody says where: those that do not just stay, for nothing."""
    return [
        any(p > 0 and (after != s or r != 0) for of in table[s].values() for p, after, r, _ in of)
        for s in range(len(table))
    ]


def from_graph(weights: Any, target: int) -> FiniteMDP:
    """The shortest path to a node as a game: each step costs the length of its edge, and γ = 1.

    Args:
        weights: lengths d(A, B) of the edges, `[nodes, nodes]`, dense with ∞ where there is none, or
            `scipy.sparse`, whose entries are the edges.
        target: the node at which a game ends.

    Returns:
        One state a node, and as many actions as the node of most edges has: action k of A follows its k-th
        edge, in the order of the nodes that they lead to. Actions that A does not have cost ∞, and so does
        every action of a node that the target cannot be reached from: max_a Q*(A, a) is minus the distance
        of A, −∞ there.

    Raises:
        ValueError: if the weights are not a square of numbers, the target is no node, or a cycle that leads
            to it is of negative length, since every path through it could be shortened.
    """
    found = edges("from_graph", weights, target)
    reaches = np.isfinite(distances_to("from_graph", found, target))
    counts = np.bincount(found.start, minlength=found.nodes)
    place = np.arange(len(found.start)) - (np.cumsum(counts) - counts)[found.start]
    shape = found.nodes, max(1, int(counts.max(initial=0)))
    reward, successor = np.full(shape, -np.inf), np.full(shape, target, np.int32)
    useful = reaches[found.start] & reaches[found.end]
    at = found.start[useful], place[useful]
    reward[at], successor[at] = -found.length[useful], found.end[useful]
    terminal = np.arange(found.nodes) == target
    return FiniteMDP(np.ones((*shape, 1)), reward, 1.0, terminal, successor[..., None])
