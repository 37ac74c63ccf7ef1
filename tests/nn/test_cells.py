"""Recurrent cells against torch's, against their equations in 64 bits, and gate by gate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.nn import (
    CELLS,
    HiddenState,
    LSTMState,
    from_torch,
    gate_names,
    gru_cell,
    init_cell,
    lstm_cell,
    num_parameters,
    rnn_cell,
    zero_state,
)

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("strict")

INPUTS, HIDDEN, BATCH = 7, 4, 5
TORCH = {"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
each_cell = pytest.mark.parametrize("name", CELLS)


def torch_cell(name):
    torch.manual_seed(3)
    cell = TORCH[name](INPUTS, HIDDEN)
    for p in cell.parameters():
        torch.nn.init.uniform_(p, -1, 1)
    return cell


def params_of(name):
    return from_torch(CELLS[name], *(getattr(torch_cell(name), part).detach().numpy() for part in PARTS))


def step_of(name, batch=(BATCH,), seed=0):
    """A state and an input, in 32 bits."""
    rng = np.random.default_rng(seed)
    fields = zero_state(CELLS[name], batch, HIDDEN)._fields
    state = {f: jnp.asarray(rng.normal(size=(*batch, HIDDEN)), jnp.float32) for f in fields}
    return type(zero_state(CELLS[name], (), 1))(**state), jnp.asarray(
        rng.normal(size=(*batch, INPUTS)), jnp.float32
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn_by_hand(p, h, x):
    return (np.tanh(x @ p["w_input"] + h @ p["w_hidden"] + p["bias"]),)


def lstm_by_hand(p, h, c, x):
    i, f, g, o = np.split(x @ p["w_input"] + h @ p["w_hidden"] + p["bias"], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_by_hand(p, h, x):
    r, z, n = np.split(x @ p["w_input"] + p["bias"], 3, -1)
    u_r, u_z, u_n = np.split(p["w_hidden"], 3, -1)
    r, z = sigmoid(r + h @ u_r), sigmoid(z + h @ u_z)
    n = np.tanh(n + r * (h @ u_n + p["bias_hidden"]))
    return ((1 - z) * n + z * h,)


BY_HAND = {"rnn": rnn_by_hand, "lstm": lstm_by_hand, "gru": gru_by_hand}


class TestStep:
    @each_cell
    def test_equals_torch(self, name):
        state, x = step_of(name)
        *begin, x_ref = (torch.from_numpy(np.array(a)) for a in (*state, x))
        end = torch_cell(name)(x_ref, tuple(begin) if name == "lstm" else begin[0])
        new = jax.jit(CELLS[name])(params_of(name), state, x)
        assert type(new) is type(state)
        for a, b in zip(new, end if name == "lstm" else (end,), strict=True):
            np.testing.assert_allclose(a, b.detach(), atol=1e-6)

    @each_cell
    def test_equals_the_equations(self, name):
        (*state, x), p = (
            jax.tree.map(lambda v: np.asarray(v, np.float64), v)
            for v in ([*step_of(name)[0], step_of(name)[1]], params_of(name))
        )
        for a, b in zip(
            CELLS[name](params_of(name), *step_of(name)), BY_HAND[name](p, *state, x), strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-6)

    @each_cell
    @pytest.mark.parametrize("batch", [(), (2, 3)])
    def test_any_number_of_leading_axes(self, name, batch):
        state, x = step_of(name, batch)
        params = params_of(name)
        new = CELLS[name](params, state, x)
        flat = jax.tree.map(lambda v: v.reshape(-1, v.shape[-1]), (state, x))
        for index in range(len(flat[1])):
            alone = CELLS[name](params, *jax.tree.map(lambda v, i=index: v[i], flat))
            for a, b in zip(new, alone, strict=True):
                assert a.shape == (*batch, HIDDEN)
                np.testing.assert_allclose(a.reshape(-1, HIDDEN)[index], b, atol=1e-6)

    @each_cell
    def test_sums_that_are_large_have_finite_gradients(self, name):
        params = jax.tree.map(lambda v: 1e4 * v, params_of(name))
        grads = jax.grad(lambda p: CELLS[name](p, *step_of(name)).h.sum())(params)
        assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads))


def biased(function, params, **biases):
    """With numbers added to the biases of gates, by name."""
    bias = np.array(params["bias"])
    for gate, value in biases.items():
        at = gate_names(function).index(gate) * HIDDEN
        bias[at : at + HIDDEN] += value
    return params | {"bias": jnp.asarray(bias)}


class TestGates:
    """Each block of columns does what its name says, seen with gates that are wide open (50) or shut (-50)."""

    def test_the_lstms_forget_gate_keeps_the_memory_and_its_input_gate_lets_nothing_in(self):
        state, x = step_of("lstm")
        new = lstm_cell(biased(lstm_cell, params_of("lstm"), forget=50, input=-50), state, x)
        np.testing.assert_allclose(new.c, state.c, atol=1e-6)

    def test_the_lstms_forget_gate_shut_forgets(self):
        state, x = step_of("lstm")
        params = biased(lstm_cell, params_of("lstm"), forget=-50)
        ends = [lstm_cell(params, state._replace(c=c), x) for c in (state.c, -3 * state.c)]
        np.testing.assert_allclose(ends[0].c, ends[1].c, atol=1e-6)
        assert jnp.abs(ends[0].c).min() > 1e-3  # what came in stands there

    def test_the_lstms_cell_gate_is_what_comes_in(self):
        state, x = step_of("lstm")
        for sign in (-1, 1):
            params = biased(lstm_cell, params_of("lstm"), forget=-50, input=50, cell=50 * sign)
            np.testing.assert_allclose(lstm_cell(params, state, x).c, jnp.full_like(state.c, sign), atol=1e-6)

    def test_the_lstms_output_gate_shows_the_memory_or_hides_it(self):
        state, x = step_of("lstm")
        for bias, shown in ((50, 1), (-50, 0)):
            new = lstm_cell(biased(lstm_cell, params_of("lstm"), output=bias), state, x)
            np.testing.assert_allclose(new.h, shown * np.tanh(new.c), atol=1e-6)

    def test_the_grus_update_gate_open_keeps_the_past(self):
        state, x = step_of("gru")
        new = gru_cell(biased(gru_cell, params_of("gru"), update=50), state, x)
        np.testing.assert_allclose(new.h, state.h, atol=1e-6)

    def test_the_grus_update_gate_shut_leaves_what_is_new(self):
        state, x = step_of("gru")
        for sign in (-1, 1):
            new = gru_cell(biased(gru_cell, params_of("gru"), update=-50, new=50 * sign), state, x)
            np.testing.assert_allclose(new.h, jnp.full_like(state.h, sign), atol=1e-6)

    def test_the_grus_reset_gate_shut_hides_the_past_and_its_bias(self):
        state, x = step_of("gru")
        params = biased(gru_cell, params_of("gru"), update=-50, reset=-50)
        new = gru_cell(params, state, x)
        expected = np.tanh(x @ params["w_input"] + params["bias"][None])[:, 2 * HIDDEN :]
        np.testing.assert_allclose(new.h, expected, atol=1e-6)

    def test_each_column_has_a_name(self):
        assert {name: len(gate_names(cell)) for name, cell in CELLS.items()} == {
            "rnn": 1,
            "lstm": 4,
            "gru": 3,
        }


class TestNumParameters:
    @each_cell
    def test_is_torchs_without_the_biases_that_only_count_in_a_sum(self, name):
        ours = num_parameters(CELLS[name], INPUTS, HIDDEN)
        theirs = sum(p.numel() for p in torch_cell(name).parameters())
        # Each gate has two biases in torch; those of the GRU's last gate are told apart by the reset gate.
        redundant = {"rnn": 1, "lstm": 4, "gru": 2}[name] * HIDDEN
        assert ours == theirs - redundant

    @each_cell
    def test_is_what_is_stored(self, name, key):
        params = init_cell(CELLS[name], key, INPUTS, HIDDEN)
        assert num_parameters(CELLS[name], INPUTS, HIDDEN) == sum(v.size for v in params.values())

    def test_in_closed_form(self):
        assert num_parameters(rnn_cell, 3, 5) == 5 * (3 + 5 + 1)
        assert num_parameters(lstm_cell, 3, 5) == 4 * 5 * (3 + 5 + 1)
        assert num_parameters(gru_cell, 3, 5) == 3 * 5 * (3 + 5 + 1) + 5


class TestInitCell:
    @each_cell
    def test_each_gates_matrices_by_themselves(self, name, key):
        inputs, hidden = 90, 30
        gates = len(gate_names(CELLS[name]))
        params = init_cell(CELLS[name], key, inputs, hidden)
        assert {k: v.shape for k, v in params.items() if k != "bias_hidden"} == {
            "w_input": (inputs, gates * hidden), "w_hidden": (hidden, gates * hidden), "bias": (gates * hidden,),
        }  # fmt: skip
        bound = np.sqrt(6 / (inputs + hidden))  # of a gate's matrix, not of all gates' together
        matrices = np.split(np.asarray(params["w_input"]), gates, -1)
        for w in matrices:
            assert 0.99 * bound < np.abs(w).max() <= bound
            assert w.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
        rotations = np.split(np.asarray(params["w_hidden"]), gates, -1)
        for u in rotations:
            np.testing.assert_allclose(u.T @ u, np.eye(hidden), atol=1e-5)
        for those in (matrices, rotations):
            assert len({v.tobytes() for v in those}) == gates

    @pytest.mark.parametrize(("name", "keeps"), [("rnn", None), ("lstm", "forget"), ("gru", "update")])
    @pytest.mark.parametrize("forget_bias", [None, 2.5])
    def test_only_the_gate_that_keeps_the_past_has_a_bias(self, key, name, keeps, forget_bias):
        args = () if forget_bias is None else (forget_bias,)
        params = init_cell(CELLS[name], key, INPUTS, HIDDEN, *args)
        blocks = params["bias"].reshape(-1, HIDDEN)
        for gate, block in zip(gate_names(CELLS[name]), blocks, strict=True):
            expected = (forget_bias or 1.0) if gate == keeps else 0.0
            np.testing.assert_array_equal(block, jnp.full(HIDDEN, expected))
        assert ("bias_hidden" in params) == (name == "gru")
        np.testing.assert_array_equal(params.get("bias_hidden", jnp.zeros(HIDDEN)), jnp.zeros(HIDDEN))

    def test_the_bias_may_be_traced(self, key):
        init = jax.vmap(lambda k, b: init_cell(gru_cell, k, INPUTS, HIDDEN, b), (None, 0))
        bias = init(key, jnp.array([0.0, 3.0]))["bias"]
        np.testing.assert_array_equal(
            bias[:, HIDDEN : 2 * HIDDEN], jnp.repeat(jnp.array([[0.0], [3.0]]), HIDDEN, 1)
        )

    @each_cell
    def test_32_bits_whatever_the_default(self, name, key):
        for wide in (False, True):
            with jax.enable_x64(wide):
                dtypes = {v.dtype for v in init_cell(CELLS[name], key, INPUTS, HIDDEN).values()}
            assert dtypes == {jnp.dtype(jnp.float32)}

    def test_other_keys_give_other_numbers(self, key):
        a, b = (init_cell(lstm_cell, k, HIDDEN, HIDDEN) for k in jax.random.split(key))
        for name in ("w_input", "w_hidden"):
            assert jnp.abs(a[name] - b[name]).min() > 0


class TestZeroState:
    @pytest.mark.parametrize("shape", [(), (2, 3)])
    @pytest.mark.parametrize(
        ("cell", "kind"), [(rnn_cell, HiddenState), (lstm_cell, LSTMState), (gru_cell, HiddenState)]
    )
    def test_zeros_of_the_cells_kind(self, cell, kind, shape):
        state = zero_state(cell, shape, HIDDEN, jnp.bfloat16)
        assert type(state) is kind
        for v in state:
            assert v.dtype == jnp.bfloat16
            np.testing.assert_array_equal(v, np.zeros((*shape, HIDDEN)))
        assert zero_state(cell, shape, HIDDEN).h.dtype == jnp.float32


def to_torch(name, params):
    """The way back that the docstring of `from_torch` tells."""
    bias_hh = np.zeros(params["bias"].size, np.float32)
    if name == "gru":
        bias_hh[2 * HIDDEN :] = params["bias_hidden"]
    return params["w_input"].T, params["w_hidden"].T, params["bias"], bias_hh


class TestFromTorch:
    @each_cell
    def test_there_and_back(self, name):
        params = params_of(name)
        back = to_torch(name, params)
        cell = TORCH[name](INPUTS, HIDDEN)
        cell.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in zip(PARTS, back, strict=True)})
        state, x = step_of(name)
        *begin, x_ref = (torch.from_numpy(np.array(a)) for a in (*state, x))
        end = cell(x_ref, tuple(begin) if name == "lstm" else begin[0])
        h = end[0] if name == "lstm" else end
        np.testing.assert_allclose(CELLS[name](params, state, x).h, h.detach(), atol=1e-6)
        again = from_torch(CELLS[name], *back)
        jax.tree.map(np.testing.assert_array_equal, again, params)

    @pytest.mark.parametrize("wrong", range(4))
    def test_shapes_of_another_layer(self, wrong):
        shapes = [(12, INPUTS), (12, 4), (12,), (12,)]
        shapes[wrong] = (16, *shapes[wrong][1:])
        with pytest.raises(ValueError, match="from_torch: expected weights and biases of 3 gates"):
            from_torch(gru_cell, *map(np.zeros, shapes))


class TestErrors:
    @pytest.mark.parametrize(
        "call",
        [
            lambda cell, key: gate_names(cell),
            lambda cell, key: num_parameters(cell, 1, 1),
            lambda cell, key: init_cell(cell, key, 1, 1),
            lambda cell, key: zero_state(cell, (), 1),
            lambda cell, key: from_torch(cell, *map(np.zeros, [(1, 1), (1, 1), 1, 1])),
        ],
        ids=["gate_names", "num_parameters", "init_cell", "zero_state", "from_torch"],
    )
    def test_another_cell(self, call, key, request):
        name = request.node.callspec.id
        with pytest.raises(
            ValueError, match=f"{name}: expected rnn_cell, lstm_cell or gru_cell, got <function"
        ):
            call(lambda p, s, x: s, key)

    @pytest.mark.parametrize("size", [0, -1, 2.0, True])
    def test_sizes(self, key, size):
        for sizes, name in (((size, 2), "inputs"), ((2, size), "hidden")):
            for call in (num_parameters, lambda cell, *sizes: init_cell(cell, key, *sizes)):
                with pytest.raises(
                    ValueError, match=f"num_parameters: expected {name} to be a positive int, got {size}"
                ):
                    call(lstm_cell, *sizes)

    def test_what_does_not_fit(self):
        params, (state, x) = params_of("lstm"), step_of("lstm")
        with pytest.raises(
            ValueError, match="lstm_cell: expected inputs of 7 channels, as w_input has, got 6"
        ):
            lstm_cell(params, state, x[:, 1:])
        with pytest.raises(ValueError, match="lstm_cell: expected a LSTMState, got HiddenState"):
            lstm_cell(params, HiddenState(state.h), x)
        for part in ("h", "c"):
            wrong = state._replace(**{part: state.h[:, 1:]})
            with pytest.raises(ValueError, match=r"lstm_cell: expected a state of 4 units, .*got \(5, 3\)"):
                lstm_cell(params, wrong, x)
        with pytest.raises(
            ValueError, match="gru_cell: expected 3 gates of 4 units, .*parameters of another cell"
        ):
            gru_cell(params, HiddenState(state.h), x)

    @pytest.mark.parametrize(
        ("name", "shape"), [("bias_hidden", (7,)), ("w_hidden", (4, 8)), ("w_input", (7, 9))]
    )
    def test_parameters_that_do_not_fit_each_other(self, name, shape):
        params, (state, x) = params_of("gru"), step_of("gru")
        with pytest.raises(ValueError, match=f"gru_cell: expected 3 gates of 4 units, .*'{name}': "):
            gru_cell({**params, name: jnp.zeros(shape)}, state, x)
        less = {n: v for n, v in params.items() if n != "bias_hidden"}
        with pytest.raises(ValueError, match="parameters of another cell"):
            gru_cell(less, state, x)
