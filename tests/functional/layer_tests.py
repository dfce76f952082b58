"""What holds for every model. A test file subclasses :class:`LayerTests` once per model."""

from itertools import pairwise

import pytest
import torch
from cases import (
    LAYOUTS,
    RATES,
    READOUTS,
    SPIKING,
    Case,
    Outcome,
    assert_equal_bits,
    assert_matches_oracle,
    differentiable,
    fused,
    make_case,
    outcome,
    recurrences,
    variants,
)
from eager import ORACLES
from helpers import assert_near
from hypothesis import given, settings
from hypothesis import strategies as st

# One neuron, below and past a vector, past a tile of 512 columns, past two.
WIDTHS = (1, 2, 3, 8, 16, 17, 37, 64, 130)
WIDE = (522, 1100)


@st.composite
def comparisons(draw, model: str, wide: bool = False) -> tuple[Case, dict]:
    """A layer of any shape and kind, and what is asked of it."""
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    trace = draw(st.booleans())
    case = make_case(
        model,
        draw(st.integers(1, 5)),
        draw(st.integers(1, 10)),
        draw(st.sampled_from(WIDTHS)),
        draw(st.sampled_from(WIDE if wide else WIDTHS)),
        weight=draw(st.booleans()),
        per_neuron=draw(st.booleans()),
        rate=draw(st.sampled_from([None, None, 0.0, 0.05, 0.25, 0.6])),
        dtype=dtype,
        trace=trace,
        seed=draw(st.integers(0, 1000)),
        **draw(st.sampled_from(variants(model))),
    )
    names = differentiable(case)
    # Expanding over features makes all neurons copies of one. Where that one sits on the edge of the phi surrogate, the
    # float32 rounding of its derivative adds up over them, in plain torch alike. `test_any_memory_layout` has it.
    layouts = [name for name in LAYOUTS if dtype == torch.float64 or name != "expanded over features"]
    return case, {
        "trace": trace,
        "recompute_every": draw(st.sampled_from([0, 0, 0, 1, 3, 7])),
        "wanted": draw(st.lists(st.sampled_from(names), min_size=1, unique=True)),
        "read": draw(st.lists(st.integers(0, len(case.state)), min_size=1, unique=True)),
        "layout": draw(st.sampled_from(layouts)),
    }


KINDS = {"current": {"weight": False}, "sparse": {"rate": 0.05}, "dense": {}}


def in_pieces(cuts, dim):
    """A run in several calls: batch by batch (dim 0), or one stretch of time after the other, the state handed on."""

    def run(case):
        outs, finals = [], []
        state = case.state
        for begin, end in pairwise(cuts):
            part = case.having(case.tensors)
            part.x = case.x.narrow(dim, begin, end - begin)
            part.state = [s[begin:end] for s in case.state] if dim == 0 else state
            out, state = part.run()
            outs.append(out)
            finals.append(state)
        if dim == 1:
            return torch.cat(outs, 1), state
        return torch.cat(outs), tuple(torch.cat(parts) for parts in zip(*finals, strict=True))

    return run


def everything(result: Outcome) -> dict:
    return {**result.per_sample, **{f"grad {name}": g for name, g in result.grads.items() if g is not None}}


def assert_gradients_near(actual: Outcome, expected: Outcome):
    tolerance = 1e-5 if expected.out.dtype == torch.float32 else 1e-13
    for name, grad in expected.grads.items():
        if grad is not None:
            assert_near(actual.grads[name], grad, tolerance, f"grad {name}")


class LayerTests:
    """Subclasses name the model and its public function."""

    model: str
    lag = 0  # steps from an input to the output

    def pytest_generate_tests(self, metafunc):
        if "variant" in metafunc.fixturenames:
            metafunc.parametrize(
                "variant", variants(self.model), ids=lambda v: "-".join(str(value) for value in v.values())
            )
        if "recurrent" in metafunc.fixturenames:
            metafunc.parametrize("recurrent", recurrences(self.model))

    def case(self, *sizes, **options) -> Case:
        return make_case(self.model, *sizes, **options)

    def quiet_constants(self, names) -> list[float]:
        """Constants with which a state close to zero stays there."""
        return [0.0 if name in ("bias", "mu") else 0.5 for name in names]

    # ---- against the oracle

    @pytest.mark.parametrize("trace", [False, True], ids=["final", "trace"])
    def test_matches_oracle(self, variant, dtype, trace):
        case = self.case(3, 8, 5, 37, dtype=dtype, trace=trace, **variant)
        assert_matches_oracle(case, trace=trace)

    @settings(max_examples=25)
    @given(st.data())
    def test_any_shape(self, data):
        case, options = data.draw(comparisons(self.model))
        assert_matches_oracle(case, **options)

    @settings(max_examples=4)
    @given(st.data())
    def test_any_wide_shape(self, data):
        case, options = data.draw(comparisons(self.model, wide=True))
        assert_matches_oracle(case, **options)

    @pytest.mark.slow
    @settings(max_examples=400)
    @given(st.data())
    def test_any_shape_at_length(self, data):
        case, options = data.draw(comparisons(self.model, data.draw(st.integers(0, 9)) == 0))
        assert_matches_oracle(case, **options)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_any_memory_layout(self, layout, recurrent, dtype):
        case = self.case(4, 9, 6, 19, recurrent=recurrent, dtype=dtype, trace=True)
        assert_matches_oracle(case, trace=True, layout=layout)

    @pytest.mark.parametrize("rate", [0.0, 0.02, 0.25, 0.3, 1.0])
    def test_binary_inputs_of_any_density(self, rate, recurrent, dtype):
        assert_matches_oracle(self.case(3, 10, 40, 33, rate=rate, recurrent=recurrent, dtype=dtype))

    def test_sparse_and_dense_samples_together(self, dtype):
        case = self.case(5, 10, 40, 33, rate=0.5, dtype=dtype)
        case.x[1:3] *= torch.rand(2, 10, 40) < 0.1
        case.x[4] *= 0.25 * (torch.rand(10, 40) < 0.1)
        assert_matches_oracle(case)

    def test_long_sequence(self, recurrent):
        """More rows than one chunk of the weight gradient has."""
        assert_matches_oracle(self.case(3, 250, 12, 21, rate=0.1, recurrent=recurrent, trace=True), trace=True)

    def test_does_not_change_its_inputs(self, recurrent):
        case = self.case(recurrent=recurrent)
        before = {name: t.clone() for name, t in case.tensors.items()}
        outcome(case, fused())
        assert_equal_bits(case.tensors, before)

    # ---- the same numbers in other ways

    def test_constants_may_be_numbers(self, recurrent, dtype):
        case = self.case(recurrent=recurrent, per_neuron=False, dtype=dtype)
        out, states = case.run()
        case.constants = [c.item() for c in case.constants]
        again, states_again = case.run()
        assert torch.equal(out, again)
        assert all(torch.equal(a, b) for a, b in zip(states, states_again, strict=True))

    def test_state_defaults_to_zeros(self, recurrent, dtype):
        case = self.case(recurrent=recurrent, dtype=dtype)
        case.state = [torch.zeros_like(s) for s in case.state]
        out, _ = case.run()
        case.state = None
        assert torch.equal(out, case.run()[0])

    def test_state_of_one_sample_serves_the_batch(self, recurrent, dtype):
        case = self.case(recurrent=recurrent, dtype=dtype)
        one = [s[:1] for s in case.state]
        case.state = [s.expand(3, -1) for s in one]
        out, _ = case.run()
        case.state = one
        assert torch.equal(out, case.run()[0])

    def test_gradients_do_not_change_the_values(self, variant):
        case = self.case(dtype=torch.float32, **variant)
        with torch.no_grad():
            out, states = case.run()
        found = outcome(case, fused())
        assert torch.equal(out, found.out)
        assert all(torch.equal(a, b) for a, b in zip(states, found.states, strict=True))

    def test_is_deterministic(self, variant):
        case = self.case(5, 20, 30, 130, dtype=torch.float32, **variant)
        assert_equal_bits(everything(outcome(case, fused())), everything(outcome(case, fused())))

    @pytest.mark.parametrize("kind", ["current", "sparse"])
    @pytest.mark.parametrize("dim", [0, 1], ids=["batch", "time"])
    def test_pieces_equal_the_whole(self, kind, dim, recurrent, dtype):
        """Bit for bit wherever no large matrix product takes part; sums over batch and time within rounding."""
        case = self.case(5, 12, 40, 130, recurrent=recurrent, dtype=dtype, **KINDS[kind])
        whole = outcome(case, fused())
        for cuts in ((0, 1, 5), (0, 2, 3, 4, 5)) if dim == 0 else ((0, 5, 12), (0, 1, 11, 12)):
            pieces = outcome(case, in_pieces(cuts, dim))
            exact = whole.per_sample
            if kind == "sparse":
                exact.pop("grad x")
            assert_equal_bits({name: pieces.per_sample[name] for name in exact}, exact)
            assert_gradients_near(pieces, whole)

    @pytest.mark.parametrize("kind", ["current", "sparse", "dense"])
    @pytest.mark.parametrize("every", [1, 3, 7, 12, 17])
    def test_recomputing_equals_keeping(self, every, kind, variant, dtype):
        case = self.case(3, 12, 9, 21, dtype=dtype, **KINDS[kind], **variant)
        kept, again = outcome(case, fused()), outcome(case, fused(recompute_every=every))
        if kind == "current":
            assert_equal_bits(again.per_sample, kept.per_sample)
        else:
            assert_near(again.out, kept.out, 1e-6 if dtype == torch.float32 else 1e-14, "out")
        assert_gradients_near(again, kept)

    def test_recomputing_with_traces(self, recurrent, dtype):
        case = self.case(3, 10, 9, 21, recurrent=recurrent, dtype=dtype, trace=True)
        assert_matches_oracle(case, trace=True, recompute_every=4)

    @pytest.mark.parametrize("batch", [1, 2, 5])
    @pytest.mark.parametrize("kind", ["current", "sparse"])
    def test_number_of_threads_changes_nothing(self, kind, batch, recurrent, dtype, set_threads):
        case = self.case(batch, 30, 64, 530, recurrent=recurrent, dtype=dtype, **KINDS[kind])
        results = []
        for threads in (1, 2, 3):
            set_threads(threads)
            results.append(everything(outcome(case, fused())))
            if kind == "sparse":
                results[-1].pop("grad x")
            if self.model in RATES:  # one large matrix product
                results[-1].pop("grad recurrent_weight", None)
        for one, other in pairwise(results):
            assert_equal_bits(other, one)

    def test_denormals_are_flushed_inside_only(self, recurrent):
        case = self.case(2, 4, weight=False, recurrent=recurrent, dtype=torch.float32)
        tiny = 1e-40
        case.x = torch.full_like(case.x, tiny)
        case.state = [
            torch.full_like(s, tiny) if k != ORACLES[self.model].spikes else s * 0 for k, s in enumerate(case.state)
        ]
        quiet = self.quiet_constants(ORACLES[self.model].constants)
        case.constants = [torch.full_like(c, value) for c, value in zip(case.constants, quiet, strict=True)]
        result = outcome(case, fused())
        assert not result.out[:, self.lag :].any()  # an output that lags starts with a copy of the state
        assert all(not s.any() for s in result.states)
        assert (torch.full((100_000,), tiny) * 0.5).all(), "the flush mode was left on"

    def test_nan_stays_with_its_neuron_and_never_spikes(self):
        case = self.case(2, 4, weight=False, dtype=torch.float32)
        case.x[1, 1, 3] = float("nan")
        out, (*states, last) = case.run() if self.model != "linear" else (case.run()[0], [None])
        others = torch.ones_like(out, dtype=torch.bool)
        others[1, 1:, 3] = False
        assert out[others].isfinite().all()
        if self.model in SPIKING:
            assert states[0][1, 3].isnan()
            assert last[1, 3] == 0
        else:
            assert out[1, 1 + self.lag, 3].isnan()

    # ---- refusals

    @pytest.mark.parametrize("shape", [(0, 4, 7), (3, 0, 7), (3, 4, 0)])
    def test_empty_input_is_refused(self, shape):
        case = self.case(weight=False)
        case.x, case.state = torch.zeros(shape, dtype=torch.float64), None
        with pytest.raises(ValueError, match="^x: expected at least one"):
            case.run()

    def test_bad_arguments_are_named(self):
        for name, error, change in self.bad_arguments():
            case = self.case(recurrent=self.model not in READOUTS)
            options = change(case) or {}
            with pytest.raises(error, match=rf"^{name}\b"):
                case.run(**options)

    def bad_arguments(self):
        """Argument that the message must name, error, and how to spoil the case (or the options it returns)."""

        def put(attribute, value):
            return lambda case: setattr(case, attribute, value(case))

        yield "x", ValueError, put("x", lambda c: c.x[0])
        yield "x", TypeError, put("x", lambda c: c.x.float())
        yield "x", TypeError, put("x", lambda c: c.x.bfloat16())
        yield "weight", ValueError, put("weight", lambda c: c.weight[:-1])
        yield "weight", ValueError, put("weight", lambda c: c.weight[0])
        yield "constants", ValueError, put("constants", lambda c: c.constants[:-1])
        yield "constants", ValueError, put("constants", lambda c: [*c.constants[:-1], c.constants[-1][:-1]])
        yield "surrogate", ValueError, put("surrogate", lambda c: "step")
        yield "activation", ValueError, put("activation", lambda c: "softplus")
        yield "model", ValueError, put("model", lambda c: "hodgkin_huxley")
        yield "recompute_every", ValueError, lambda case: {"recompute_every": -1}
        if self.model != "linear":
            yield "state", ValueError, put("state", lambda c: c.state[:-1])
            yield "state", ValueError, put("state", lambda c: [c.state[0][:, :-1], *c.state[1:]])
            yield "state", ValueError, put("state", lambda c: [c.state[0][:2], *c.state[1:]])
            yield "state", TypeError, put("state", lambda c: [c.state[0].float(), *c.state[1:]])
        if self.model not in READOUTS:
            yield "recurrent_weight", ValueError, put("recurrent_weight", lambda c: c.recurrent_weight[:-1])
            yield "recurrent_weight", TypeError, put("recurrent_weight", lambda c: c.recurrent_weight.float())
        if self.model in SPIKING:
            yield "activation", ValueError, put("activation", lambda c: "tanh")
        if self.model in READOUTS:
            yield "recurrent_weight", ValueError, put("recurrent_weight", lambda c: torch.eye(7))
