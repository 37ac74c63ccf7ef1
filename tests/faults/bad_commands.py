"""Command lines in which something is wrong, by what it is: strategies of hypothesis.

Each gives the arguments, and names of which one must stand in the answer. They are bad by how they are made, of
what README and docs say of the grammar; none is judged by the program.
"""

import itertools

from hypothesis import strategies as st


def choose(*values):
    """One of them."""
    return st.sampled_from(values)


WORDS = st.text("bcfghjkqvwxyz", min_size=1, max_size=12).map(lambda word: f"zz{word}")
"""Names that nothing has."""

FLOATS = {
    "learning_rate": ("0", "-1", "-1e-9"),
    "momentum": ("1", "-0.1", "7"),
    "dropout": ("1", "-1", "1e9"),
}
"""Fields of `vectors` that are numbers, and values outside their intervals."""
WHOLES = {
    "seed": ("-1", "2147483648"),
    "batch_size": ("0", "-3"),
    "total_steps": ("0", "2000000001", "3e9", "-1"),
}

NO_NUMBERS = choose(
    *("", " ", "0x10", "½", "1e", "e5", "--1", "+-1", "1 2", "1..2", "1_", "_1", "1__0", "one", "1/2", "1%"),
    *(
        "nan",
        "-nan",
        "inf",
        "-inf",
        "infinity",
        "1e999",
        "-1e999",
        "1e39",
        "-1e39",
        "9" * 400,
        "-" + "9" * 400,
    ),
    *("9" * 5000, "1" + "0" * 300, "1;2", "1:2", "[1]", "{1}", "'1'", "True", "none", "1j", "=", "==1", "²"),
)
"""What is no number that 32 bits hold."""

NOT_WHOLE = choose("0.5", "1e-3", "2.0001", "-1.5", ".1")

NO_TEXTS = st.builds(
    lambda before, one, after: before + one + after,
    st.text("ab ", max_size=3),
    st.one_of(*(st.integers(*part).map(chr) for part in ((0, 8), (11, 31), (127, 159), (0xD800, 0xDFFF)))),
    st.text("ab[31m", min_size=1, max_size=4),
)
"""Texts with a control character, or with half a character, as undecodable bytes become."""


@st.composite
def numbers(draw):
    fields = {**FLOATS, **WHOLES}
    name = draw(choose(*fields))
    value = draw(st.one_of(choose(*fields[name]), NO_NUMBERS, *([NOT_WHOLE] if name in WHOLES else [])))
    listed = draw(choose("{}", "1,{}", "{},1", "choice(1,{})", "1,2,{},3"))
    return ["--exp=vectors", f"{name}={listed.format(value)}"], [name]


@st.composite
def grids(draw):
    name = draw(choose("learning_rate", "weight_decay"))
    call = draw(choose("lin", "log", "uniform", "loguniform"))
    low, high = draw(choose(("0.1", "0.5"), ("1", "2"), ("1e-4", "1e-2")))
    count = [] if "uniform" in call else ["4"]
    wrong = draw(choose("order", "equal", "few", "many", "word", "huge", "open", "count", "beside"))
    parts = {
        "order": [high, low, *count],
        "equal": [low, low, *count],
        "few": [low],
        "many": [low, high, *count, "5"],
        "word": [low, draw(WORDS), *count],
        "huge": [low, "1e999", *count],
    }.get(wrong, [low, high, *count])
    if wrong == "count":
        parts = [*parts[:2], draw(choose("0", "1", "-4", "4.5", "x", "", "10001", "9" * 30, "1e3"))]
    text = f"{call}({','.join(parts)}" + ("" if wrong == "open" else ")")
    if wrong == "beside":
        text = draw(choose("{},uniform(1,2)", "loguniform(1,2),{}", "choice(1,2),{}")).format(text)
    return ["--exp=vectors", f"{name}={text}", "--trials=2"], [name, "--trials"]


@st.composite
def tuples(draw):
    inner = draw(choose("1", "1,2", "32,64,"))
    wrong = choose("({}", "{})", "(({})", "[{}]", "{}", "(,{})", "({},,1)").map(
        lambda text: text.format(inner)
    )
    values = st.one_of(NOT_WHOLE, NO_NUMBERS.filter(str.strip), choose("0", "-1")).map(lambda v: f"(1,{v},2)")
    deep = st.integers(2, 3000).map(lambda n: "(" * n + "1" * draw(choose(0, 1)) + ")" * n)
    return ["--exp=vectors", f"hidden={draw(st.one_of(wrong, values, deep, deep.map(lambda t: t[:-1])))}"], [
        "hidden"
    ]


@st.composite
def fields(draw):
    """Names that are none, missing values, values given twice, and texts for choices."""
    name, word = draw(choose(*FLOATS, *WHOLES)), draw(WORDS)
    dashed = draw(choose(*FLOATS))  # seed is a flag too
    listed = draw(choose("loss", "optimizer", "normalization", "feed"))
    argument, told = draw(
        choose(
            ([f"{word}=1"], word), ([word], word), ([f"--{word}=1"], word), ([f"{word}={word}={word}"], word),
            (["=1"], "field"), (["="], "field"), ([""], "field"), (["-"], "field"), ([f" {name}=1"], name),
            ([name], name), ([f"{name}="], name), ([f"{name}=1,"], name), ([f"{name}=,1"], name),
            ([f"{name}=0.5", f"{name}=0.25"], name), ([f"{name}=1", f"{name}=1"], name),
            ([f"{name}=1,1"], name), ([f"{name.upper()}=1"], name.upper()), ([f"--{dashed}=1"], dashed),
            ([f"-{dashed}=1"], dashed), ([f"{name}==1"], name), ([f"{name}:1"], name), ([f"{listed}={word}"], listed),
            (["standardize=", "loss="], "standardize"), (["seeds=3"], "seeds"), (["exp=dqn"], "exp"), (["out=x"], "out"),
        )
    )  # fmt: skip
    return ["--exp=vectors", *argument], [told]


FLAGS = {
    "seeds": ("0", "-1", "x", "1.5", "1e3", "", "½", "nan", "9" * 400, "9" * 4400, "1001", "100001"),
    "seed": ("-1", "x", "2147483648", "9" * 400, "1e3", "", "inf"),
    "trials": ("0", "-1", "x", "", "9" * 30, "3"),
    "at-once": ("0", "x", "-5", "", "9" * 30),
    "checkpoint-every": ("0", "-1", "nan", "inf", "1e999", "x", ""),
    "max-memory": ("0", "-1", "nan", "inf", "1e300", "1e9", "x", ""),
    "devices": ("0", "-1", "x", "1.5", ""),
    "ray-cpus": ("0", "-1", "nan", "inf", "x", "1"),
    "ray-gpus": ("-1", "nan", "inf", "x", "1"),
    "ray-address": ("x", "localhost:1"),
    "search": ("grid", "", "SOBOL", "sobol"),
    "parallel": ("all", ""),
    "engine": ("slurm", "local,ray"),
    "quiet": ("maybe", "2", "-1"),
    "cache": ("maybe", "", "no thanks"),
    "exp": ("pqn",),  # a second one
    "sweep": ("zz", "", "LOSSES"),
    "resume": ("nowhere", ""),
    "report": ("nowhere", ""),
    "out": ("", "~no-such-user-here/x", "/proc/x", "a" * 300, "b/" * 3000),
    "flagfile": ("/etc/passwd", "nowhere", "/dev/zero", ""),
    "undefok": ("zz", "seeds", ""),
}


@st.composite
def flags(draw):
    """Flags with bad values, without one, given twice, or unknown."""
    name, word = draw(choose(*FLAGS)), draw(WORDS)
    value, dash = draw(choose(*FLAGS[name])), draw(choose("--", "-"))
    spelt = name if dash == "--" else name.replace("-", "_")
    argv, names = [f"{dash}{spelt}={value}"], [name, name.replace("-", "_")]
    wrong = draw(choose("value", "value", "value", "twice", "unknown", "bare", "no", "hidden"))
    if wrong == "twice":
        argv += argv
    elif wrong == "unknown":
        argv, names = [f"{dash}{word}={value}"], ["Unknown flag"]
    elif wrong == "bare" and name not in ("quiet", "cache"):
        argv = [f"{dash}{spelt}"]
    elif wrong == "no":
        argv, names = [draw(choose("--noquiet=3", "--no-cache=x", "--noyes=1"))], ["no"]
    elif wrong == "hidden":
        argv, names = [f"--{word}=3", f"--undefok={word}"], [word, "undefok"]
    return draw(st.permutations(["--exp=vectors", *argv])), names


@st.composite
def experiments(draw):
    word = st.one_of(
        WORDS,
        st.text("ABCD éß\u202e\u200f\n\t'\"<>$`;&", min_size=1, max_size=20),
        choose(
            "", "../vectors", "vectors.py", "__init__", "Vectors ", "os", "a" * 300, "z" * 19_000, "vectors/"
        ),
    )
    also = draw(choose((), ("--describe",), ("--dry-run",)))
    return [draw(choose("--exp={}", "-exp={}")).format(draw(word)), *also], ["Unknown experiment"]


@st.composite
def contradictions(draw):
    words = draw(
        choose(
            *itertools.permutations(["--resume=x", "--report=x", "--exp=dqn", "--list"], 2), ["gamma=1"],
            ["--describe", "--out=x"], ["--list", "gamma=1"], ["--resume=x", "--seeds=2"], ["--report=x", "--yes"],
            ["--dry-run", "--quiet"], ["--describe", "--devices=2"], ["--resume=x", "gamma=1"], ["--nolist", "--seed=1"],
            ["--search=sobol", "--seeds=2"], ["--exp=dqn", "--describe", "--tensorboard"],
        )
    )  # fmt: skip
    names = [word.partition("=")[0].lstrip("-") for word in words]
    return draw(st.permutations(words)), [*names, "Nothing to do"]


@st.composite
def texts(draw):
    """What no terminal and no file should get, anywhere in an argument."""
    names = ("data", "data_dir", "train_split", "prompt", "text", "--out", "--resume", "--exp", "--sweep")
    name = draw(choose(*names))
    experiment = "characters" if name in ("prompt", "text") else "vectors"
    own = [] if name in ("--resume", "--exp") else [f"--exp={experiment}"]
    return [*own, f"{name}={draw(NO_TEXTS)}"], [name.lstrip("-")]


@st.composite
def long_ones(draw):
    size = draw(choose(20_001, 60_000, 1_000_000))
    name = draw(choose("hidden", "data", "learning_rate", "--exp", "--out", "zz", "--zz"))
    value = draw(choose("a", "1,", "(", "9", "-", "a b ", "é", "\u202e", ",,", "1e9"))
    return ["--exp=vectors", f"{name}={(value * size)[:size]}"], [name]


@st.composite
def huge_sweeps(draw):
    """More trials than there may be, which would fill the memory if they were made before they are counted."""
    how = draw(
        choose(["--describe"], ["--dry-run"], ["--yes"], ["--describe", "--yes"], ["--dry-run", "--yes"])
    )
    count, seeds = draw(st.integers(100_001, 10**18)), draw(st.integers(11, 100_000))
    tens = ",".join(f"lin({i}0000,{i}9999,10000)" for i in range(1, 500))
    asked = draw(
        choose(
            [f"--seeds={count}"], ["learning_rate=uniform(1,2)", f"--trials={count}"],
            ["learning_rate=uniform(1,2)", "--trials=1000", "--seeds=1000"], [f"seed={tens}"],
            ["seed=lin(0,9999,10000)", "learning_rate=lin(1,2,10000)"], ["learning_rate=lin(1,2,10000)", f"--seeds={seeds}"],
            ["momentum=uniform(0,0.5)", f"--trials={count}", "--search=sobol"],
        )
    )  # fmt: skip
    return ["--exp=vectors", *how, *asked], ["seeds", "trials", "seed"]


@st.composite
def data_names(draw):
    """Sets and splits that are none, and folders that cannot be."""
    word = draw(WORDS)
    argument = draw(
        choose(
            *("data=../mnist_5k", "data=/etc/passwd", "data=*", "data=digits/*", "data=mnist_5k:newest", "data= "),
            *(f"data={word}", f"data=digits/{word}", f"data={'a' * 300}", f"data={word}/{'b' * 300}", "data=мнист"),
            *("data=digits", "data=a/b/c/d", "data=mnist_5k/", "data=\u202e", "data=\n", "data="),
            *(f"data_dir={word}", f"data_dir={'d' * 300}", "data_dir=~no-such-user-here/x", "data_dir=" + "e/" * 3000),
            *(f"train_split={word}", "train_split=train[:", "train_split=train[5:2]", "train_split=train[:0]"),
            *(f"train_split=train[:{'9' * 30}]", "eval_split=test[:1%", "eval_split=" + "[" * 900, "eval_split=+"),
        )
    )  # fmt: skip
    return ["--exp=image_classification", argument], [argument.partition("=")[0], "split"]


KINDS = {
    "numbers": (numbers(), 120),
    "grids": (grids(), 60),
    "tuples": (tuples(), 60),
    "fields": (fields(), 60),
    "flags": (flags(), 120),
    "experiments": (experiments(), 40),
    "contradictions": (contradictions(), 40),
    "texts": (texts(), 60),
    "long_ones": (long_ones(), 20),
    "huge_sweeps": (huge_sweeps(), 30),
    "data_names": (data_names(), 50),
}
"""What is wrong -> the command lines, and how many of them are tried."""
