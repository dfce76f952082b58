#include "layer.h"

#include "cuda.h"
#include "projection.h"
#include "team.h"

namespace nt {

namespace {

namespace st = torch::stable;

// The checked arguments of one call.
struct Call {
  const ModelInfo& info;
  int64_t model, surrogate;  // or, in place of the surrogate, the activation inside the model
  Activation activation;     // of the output
  int64_t batch, steps, inputs, neurons;
  const Tensor &x, &like;
  const OptionalTensor &weight, &recurrent;
  const TensorList& state;
  Tensor constants;  // [constants, N]
  bool output_is_trace;

  int64_t segment(int64_t recompute_every) const {
    return recompute_every > 0 && recompute_every < steps ? recompute_every : steps;
  }
};

Call check(int64_t model, const Tensor& x, const OptionalTensor& weight, const OptionalTensor& recurrent,
           const TensorList& state, const TensorList& constants, int64_t surrogate, int64_t activation,
           int64_t recompute_every) {
  const ModelInfo& info = kernels().models[model];
  require(x.dim() == 3, "x: expected shape [B, T, F], got " + shape_of(x));
  const int64_t batch = x.size(0), steps = x.size(1), inputs = x.size(2);
  require(batch > 0 && steps > 0 && inputs > 0, "x: expected at least one sample, step and input, got " + shape_of(x));
  const int64_t neurons = weight ? weight->size(-1) : inputs;
  require(neurons > 0, "weight: expected at least one neuron");
  if (weight) {
    require_shape("weight", *weight, {inputs, -1});
    require_like("weight", *weight, x);
  }
  if (recurrent) {
    require(info.presynaptic >= 0, std::string("recurrent_weight: ") + info.name + " has no recurrent connections");
    require_shape("recurrent_weight", *recurrent, {neurons, neurons});
    require_like("recurrent_weight", *recurrent, x);
  }
  require(static_cast<int64_t>(state.size()) == info.states,
          "state: expected " + std::to_string(info.states) + " tensors, got " + std::to_string(state.size()));
  for (const Tensor& s : state) {
    require_shape("state", s, {batch, neurons});
    require_like("state", s, x);
  }
  require(
      static_cast<int64_t>(constants.size()) == info.constants,
      "constants: expected " + std::to_string(info.constants) + " tensors, got " + std::to_string(constants.size()));
  for (const Tensor& c : constants) {
    require(c.dim() == 0 || (c.dim() == 1 && c.size(0) == neurons),
            "constants: expected shape [] or [" + std::to_string(neurons) + "], got " + shape_of(c));
    require_like("constants", c, x);
  }
  require_surrogate(surrogate);
  require(activation >= 0 && activation <= 3, "activation: expected 0 to 3, got " + std::to_string(activation));
  require(activation == 0 || !info.spiking, std::string("activation: ") + info.name + " has none");
  require(recompute_every >= 0, "recompute_every: expected 0 or more, got " + std::to_string(recompute_every));
  const int64_t outside = info.activates_inside ? 0 : activation;
  return {info,
          model,
          info.activates_inside ? activation : surrogate,
          static_cast<Activation>(outside),
          batch,
          steps,
          inputs,
          neurons,
          x,
          x,
          weight,
          recurrent,
          state,
          expand_constants(constants, neurons, x),
          outside == 0};
}

TensorList contiguous_all(const TensorList& list) {
  TensorList out;
  for (const Tensor& t : list) out.push_back(st::contiguous(t));
  return out;
}

// A sequence that the caches cannot hold until it is read again, of rows that are whole cache lines. With recurrence
// the time goes into other things, and a sequence that they can hold would suffer.
bool streams(const Call& call, int64_t steps, int64_t bytes) {
  constexpr int64_t kLine = 64, kLeast = int64_t{4} << 20, kLeastRecurrent = int64_t{16} << 20;
  const int64_t row = call.neurons * bytes;
  return row % kLine == 0 && call.batch * steps * row >= (call.recurrent ? kLeastRecurrent : kLeast);
}

// Runs steps [0, current.size(1)) of a segment from `initial`, writing `finals`, the given traces and `out`.
template <class T>
void run_forward(const Call& call, const Tensor& current, const std::optional<Tensor>& recurrent,
                 const TensorList& initial, const TensorList& finals, const OptionalTensorList& traces,
                 const OptionalTensor& out) {
  LayerForward<T> a;
  a.model = call.model, a.surrogate = call.surrogate, a.activation = call.activation;
  a.batch = call.batch, a.steps = current.size(1), a.neurons = call.neurons;
  a.current = read_rows<T>(current);
  if (recurrent) a.recurrent = recurrent->const_data_ptr<T>(), a.recurrent_stride = recurrent->stride(0);
  a.constants = call.constants.const_data_ptr<T>();
  for (int64_t k = 0; k < call.info.states; ++k) {
    const auto i = static_cast<size_t>(k);
    a.initial[k] = initial[i].const_data_ptr<T>();
    a.final_state[k] = finals[i].mutable_data_ptr<T>();
    if (traces[i]) a.trace[k] = write_rows<T>(*traces[i]);
  }
  if (out) (call.output_is_trace ? a.trace[call.info.output] : a.out) = write_rows<T>(*out);
  if (!call.x.is_cpu()) return cuda_layer_forward(a, call.x);
  a.streams = streams(call, a.steps, static_cast<int64_t>(sizeof(T)));
  const Kernels<T>& kernel = of<T>(kernels());
  if (recurrent) {
    for_samples(call.batch, false,
                [&](int64_t begin, int64_t end, const Team&) { kernel.layer_forward(a, begin, end); });
  } else {
    const int64_t units = call.batch * tiles_of(call.neurons);
    const int64_t work = a.steps * (call.neurons < kTile ? call.neurons : kTile);
    st::parallel_for(0, units, 1 + 16384 / work,
                     [&](int64_t begin, int64_t end) { kernel.layer_forward(a, begin, end); });
  }
}

Tensor padded_recurrent(const Tensor& recurrent, bool transpose) {
  Tensor out;
  dispatch(recurrent, "recurrent_weight",
           [&](auto tag) { out = pad_columns<decltype(tag)>(transpose ? st::transpose(recurrent, 0, 1) : recurrent); });
  return out;
}

}  // namespace

std::tuple<Tensor, TensorList, TensorList, TensorList> layer_forward(
    int64_t model, const Tensor& x, const OptionalTensor& weight, const OptionalTensor& recurrent_weight,
    const TensorList& state, const TensorList& constants, int64_t surrogate, int64_t activation, int64_t traces,
    int64_t recompute_every) {
  const Call call = check(model, x, weight, recurrent_weight, state, constants, surrogate, activation, recompute_every);
  const int64_t length = call.segment(recompute_every), segments = (call.steps + length - 1) / length;
  const Tensor out = empty_of(x, {call.batch, call.steps, call.neurons});
  OptionalTensorList all_traces(static_cast<size_t>(call.info.states));
  TensorList wanted_traces, finals, checkpoints;
  for (int64_t k = 0; k < call.info.states; ++k) {
    finals.push_back(empty_of(x, {call.batch, call.neurons}));
    if (recompute_every > 0) checkpoints.push_back(empty_of(x, {segments - 1, call.batch, call.neurons}));
    if ((traces >> k & 1) == 0) continue;
    require(k != call.info.output || !call.output_is_trace, "traces: the output state's trace is the output itself");
    all_traces[static_cast<size_t>(k)] = empty_of(x, {call.batch, call.steps, call.neurons});
    wanted_traces.push_back(*all_traces[static_cast<size_t>(k)]);
  }
  const OptionalTensor recurrent =
      recurrent_weight ? OptionalTensor(padded_recurrent(*recurrent_weight, false)) : std::nullopt;
  const TensorList initial = contiguous_all(state);
  for (int64_t s = 0; s < segments; ++s) {
    const int64_t begin = s * length, count = call.steps - begin < length ? call.steps - begin : length;
    const Tensor part = steps_of(x, begin, count);
    const Tensor current = weight ? project(part, *weight) : adjacent(part);
    OptionalTensorList part_traces(all_traces.size());
    for (size_t k = 0; k < all_traces.size(); ++k) {
      if (all_traces[k]) part_traces[k] = steps_of(*all_traces[k], begin, count);
      if (s == 0) continue;
      Tensor slot = st::select(checkpoints[k], 0, s - 1);
      st::copy_(slot, finals[k]);
    }
    dispatch(x, "x", [&](auto tag) {
      run_forward<decltype(tag)>(call, current, recurrent, s == 0 ? initial : finals, finals, part_traces,
                                 steps_of(out, begin, count));
    });
  }
  return {out, finals, wanted_traces, checkpoints};
}

// ---- adjoint -------------------------------------------------------------------------------------------------

namespace {

// Everything that the backward pass will read is there and has the right shape.
void check_saved(const Call& call, unsigned saved, const OptionalTensor& grad_out, const OptionalTensorList& grad_state,
                 const OptionalTensorList& grad_traces, const OptionalTensor& out, const OptionalTensorList& traces,
                 const TensorList& checkpoints, int64_t recompute_every, int64_t segments) {
  const auto check_one = [&](const char* name, const OptionalTensor& t, const std::vector<int64_t>& shape) {
    if (!t) return;
    require_shape(name, *t, shape);
    require_like(name, *t, call.x);
  };
  const std::vector<int64_t> row = {call.batch, call.neurons}, rows = {call.batch, call.steps, call.neurons};
  check_one("grad_out", grad_out, rows);
  check_one("out", out, rows);
  for (size_t k = 0; k < traces.size(); ++k) {
    check_one("grad_state", grad_state[k], row);
    check_one("grad_traces", grad_traces[k], rows);
    check_one("traces", traces[k], rows);
    const bool is_out = call.output_is_trace && static_cast<int>(k) == call.info.output && out;
    require(recompute_every > 0 || (saved >> k & 1u) == 0 || traces[k] || is_out,
            "traces: expected that of state " + std::to_string(k) + ", which the adjoint needs");
  }
  require(recompute_every > 0 || call.activation == Activation::identity || out,
          "out: expected the output, which the adjoint of the activation needs");
  if (recompute_every == 0) return;
  require(checkpoints.size() == traces.size(),
          "checkpoints: expected one per state, got " + std::to_string(checkpoints.size()));
  for (const Tensor& c : checkpoints) check_one("checkpoints", c, {segments - 1, call.batch, call.neurons});
}

// What one segment of the backward pass reads and writes.
struct Segment {
  TensorList initial;
  OptionalTensorList traces, grad_traces;
  OptionalTensor out, grad_out;
  Tensor grad_current;
};

template <class T>
void run_backward(const Call& call, const Segment& segment, const OptionalTensor& recurrent,
                  const OptionalTensor& recurrent_transposed, const TensorList& grad_state,
                  const OptionalTensor& grad_constants) {
  LayerBackward<T> a;
  a.model = call.model, a.surrogate = call.surrogate, a.activation = call.activation;
  a.batch = call.batch, a.steps = segment.grad_current.size(1), a.neurons = call.neurons;
  if (recurrent_transposed) {
    a.recurrent_transposed = recurrent_transposed->const_data_ptr<T>();
    a.recurrent_stride = recurrent_transposed->stride(0);
    if (recurrent) a.recurrent = recurrent->const_data_ptr<T>();
  }
  a.constants = call.constants.const_data_ptr<T>();
  for (int64_t k = 0; k < call.info.states; ++k) {
    const auto i = static_cast<size_t>(k);
    a.initial[k] = segment.initial[i].const_data_ptr<T>();
    a.grad_state[k] = grad_state[i].mutable_data_ptr<T>();
    if (segment.traces[i]) a.trace[k] = read_rows<T>(*segment.traces[i]);
    if (segment.grad_traces[i]) a.grad_trace[k] = read_rows<T>(*segment.grad_traces[i]);
  }
  if (segment.out) (call.output_is_trace ? a.trace[call.info.output] : a.out) = read_rows<T>(*segment.out);
  if (segment.grad_out) a.grad_out = read_rows<T>(*segment.grad_out);
  a.grad_current = write_rows<T>(segment.grad_current);
  if (grad_constants) a.grad_constants = grad_constants->mutable_data_ptr<T>();
  if (!call.x.is_cpu()) return cuda_layer_backward(a, call.x);
  a.streams = !recurrent_transposed && streams(call, a.steps, static_cast<int64_t>(sizeof(T)));
  const Kernels<T>& kernel = of<T>(kernels());
  if (recurrent_transposed) {
    for_samples(call.batch, true,
                [&](int64_t begin, int64_t end, const Team& team) { kernel.layer_backward(a, begin, end, team); });
  } else {
    const int64_t units = call.batch * tiles_of(call.neurons);
    const int64_t work = a.steps * (call.neurons < kTile ? call.neurons : kTile);
    st::parallel_for(0, units, 1 + 16384 / work,
                     [&](int64_t begin, int64_t end) { kernel.layer_backward(a, begin, end, Team{}); });
  }
}

// [B, T, N] whose rows begin at cache lines.
Tensor padded_rows(const Tensor& like, int64_t batch, int64_t steps, int64_t neurons) {
  Tensor out;
  dispatch(like, "x", [&](auto tag) {
    Tensor wide = empty_of(like, {batch, steps, padded<decltype(tag)>(neurons)});
    out = st::narrow(wide, 2, 0, neurons);
  });
  return out;
}

void add_into(std::optional<Tensor>& sum, const Tensor& part) {
  if (!sum) {
    sum = part;
    return;
  }
  // sum - (-1) part: the only scaled sum among the wrapped operators.
  sum = st::subtract(*sum, part, -1.0);
}

OptionalTensor part_of(const OptionalTensor& t, int64_t begin, int64_t count) {
  return t ? OptionalTensor(steps_of(*t, begin, count)) : std::nullopt;
}

}  // namespace

Tensor reduce_constant(const Tensor& grad, int64_t constant, const Tensor& like) {
  const int64_t batch = grad.size(0), n = grad.size(2);
  if (!grad.is_cpu()) {
    const Tensor one = st::select(grad, 1, constant);
    const int64_t both[] = {0, 1}, first[] = {0};
    return like.dim() == 0 ? st::sum(one, torch::headeronly::IntHeaderOnlyArrayRef(both, 2))
                           : st::sum(one, torch::headeronly::IntHeaderOnlyArrayRef(first, 1));
  }
  const bool scalar = like.dim() == 0;
  const Tensor out = zeros_of(grad, scalar ? std::vector<int64_t>{} : std::vector<int64_t>{n});
  dispatch(grad, "grad", [&](auto tag) {
    using T = decltype(tag);
    const T* from = grad.const_data_ptr<T>() + constant * n;
    T* to = out.mutable_data_ptr<T>();
    double total = 0;
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t b = 0; b < batch; ++b) sum += static_cast<double>(from[b * grad.size(1) * n + j]);
      total += sum;
      if (!scalar) to[j] = static_cast<T>(sum);
    }
    if (scalar) to[0] = static_cast<T>(total);
  });
  return out;
}

Tensor recurrent_gradient(const ModelInfo& info, int64_t model, int64_t surrogate, const Tensor& constants,
                          const TensorList& initial, const OptionalTensorList& traces, const Tensor& grad_current) {
  const int64_t batch = grad_current.size(0), steps = grad_current.size(1), n = grad_current.size(2);
  const auto presynaptic = static_cast<size_t>(info.presynaptic);
  Tensor out;
  if (info.computes_presynaptic) {
    const Tensor before = empty_of(grad_current, {batch, steps, n});
    dispatch(grad_current, "grad", [&](auto tag) {
      using T = decltype(tag);
      for (int64_t b = 0; b < batch; ++b)
        for (int64_t t = 0; t < steps; ++t) {
          const T* saved[kMaxStates] = {};
          for (size_t k = 0; k < traces.size(); ++k) {
            if (t == 0)
              saved[k] = initial[k].const_data_ptr<T>() + b * n;
            else if (traces[k])
              saved[k] = read_rows<T>(*traces[k]).row(b, t - 1);
          }
          of<T>(kernels()).presynaptic_row(model, surrogate, n, constants.const_data_ptr<T>(), saved,
                                           before.mutable_data_ptr<T>() + (b * steps + t) * n);
        }
    });
    return projection_gradient(before, grad_current);
  }
  if (!info.spiking || !grad_current.is_cpu()) {
    require(traces[presynaptic].has_value(),
            "traces: the gradient of recurrent_weight needs the presynaptic trace on this device");
    const Tensor before = empty_of(grad_current, {batch, steps, n});
    Tensor first = st::select(before, 1, 0);
    st::copy_(first, initial[presynaptic]);
    if (steps > 1) {
      Tensor later = steps_of(before, 1, steps - 1);
      st::copy_(later, steps_of(*traces[presynaptic], 0, steps - 1));
    }
    return projection_gradient(before, grad_current);
  }
  dispatch(grad_current, "grad", [&](auto tag) {
    using T = decltype(tag);
    const Kernels<T>& kernel = of<T>(kernels());
    const T* first = initial[presynaptic].const_data_ptr<T>();
    const T* values = constants.const_data_ptr<T>();
    Rows<const T> rows[kMaxStates];
    for (int64_t k = 0; k < info.states; ++k)
      if (traces[static_cast<size_t>(k)]) rows[k] = read_rows<T>(*traces[static_cast<size_t>(k)]);
    constexpr double kAny = 1.0;  // spikes are always taken as events
    out = *outer_sum<T>(n, grad_current, kAny, [&](int64_t b, int64_t t, T* scratch) -> const T* {
      if (t == 0) return first + b * n;
      if (rows[presynaptic]) return rows[presynaptic].row(b, t - 1);
      const T* saved[kMaxStates] = {};
      for (int64_t k = 0; k < info.states; ++k) saved[k] = rows[k] ? rows[k].row(b, t - 1) : nullptr;
      kernel.presynaptic_row(model, surrogate, n, values, saved, scratch);
      return scratch;
    });
  });
  return out;
}

TensorList layer_backward(int64_t model, const OptionalTensor& grad_out_, const OptionalTensorList& grad_state_,
                          const OptionalTensorList& grad_traces_, const Tensor& x, const OptionalTensor& weight,
                          const OptionalTensor& recurrent_weight, const TensorList& state, const TensorList& constants,
                          const OptionalTensor& out, const OptionalTensorList& traces, const TensorList& checkpoints,
                          int64_t surrogate, int64_t activation, int64_t recompute_every, int64_t wanted) {
  const Call call = check(model, x, weight, recurrent_weight, state, constants, surrogate, activation, recompute_every);
  const auto states = static_cast<size_t>(call.info.states);
  require(grad_state_.size() == states && grad_traces_.size() == states && traces.size() == states,
          "grad_state, grad_traces, traces: expected one entry per state");
  const auto wants = [&](int64_t bit) { return (wanted >> bit & 1) != 0; };
  const unsigned wanted_constants = static_cast<unsigned>(wanted >> (3 + call.info.states));
  const unsigned saved = call.info.saved | (wanted_constants != 0 ? call.info.saved_for_constants : 0u);
  const int64_t length = call.segment(recompute_every), segments = (call.steps + length - 1) / length;
  check_saved(call, saved, grad_out_, grad_state_, grad_traces_, out, traces, checkpoints, recompute_every, segments);

  TensorList grad_state;
  OptionalTensorList grad_traces(states);
  for (size_t k = 0; k < states; ++k) {
    grad_state.push_back(grad_state_[k] ? st::clone(st::contiguous(*grad_state_[k]))
                                        : zeros_of(x, {call.batch, call.neurons}));
    if (grad_traces_[k]) grad_traces[k] = adjacent(*grad_traces_[k]);
  }
  const OptionalTensor grad_out = grad_out_ ? OptionalTensor(adjacent(*grad_out_)) : std::nullopt;
  OptionalTensor grad_constants, recurrent, recurrent_transposed, grad_x, grad_weight, grad_recurrent;
  if (wanted_constants != 0) grad_constants = zeros_of(x, {call.batch, call.info.constants, call.neurons});
  if (recurrent_weight) {
    recurrent_transposed = padded_recurrent(*recurrent_weight, true);
    const bool is_compact = call.info.spiking && kernels().is_compact[surrogate];
    if (recompute_every > 0 || is_compact) recurrent = padded_recurrent(*recurrent_weight, false);
  }
  if (wants(0)) grad_x = empty_of(x, {call.batch, call.steps, call.inputs});
  const TensorList initial = contiguous_all(state);

  for (int64_t s = segments - 1; s >= 0; --s) {
    const int64_t begin = s * length, count = call.steps - begin < length ? call.steps - begin : length;
    Segment segment{
        initial,
        OptionalTensorList(states),
        OptionalTensorList(states),
        part_of(out, begin, count),
        part_of(grad_out, begin, count),
        !weight && grad_x ? steps_of(*grad_x, begin, count) : padded_rows(x, call.batch, count, call.neurons)};
    for (size_t k = 0; k < states; ++k) {
      segment.traces[k] = part_of(traces[k], begin, count);
      segment.grad_traces[k] = part_of(grad_traces[k], begin, count);
      if (s > 0) segment.initial[k] = st::select(checkpoints[k], 0, s - 1);
    }
    if (recompute_every > 0) {
      const Tensor part = steps_of(x, begin, count);
      TensorList finals;
      for (size_t k = 0; k < states; ++k) {
        finals.push_back(empty_of(x, {call.batch, call.neurons}));
        if ((saved >> k & 1u) != 0) segment.traces[k] = empty_of(x, {call.batch, count, call.neurons});
      }
      if (call.activation != Activation::identity) segment.out = empty_of(x, {call.batch, count, call.neurons});
      if (call.output_is_trace) segment.out = segment.traces[static_cast<size_t>(call.info.output)];
      dispatch(x, "x", [&](auto tag) {
        run_forward<decltype(tag)>(call, weight ? project(part, *weight) : adjacent(part), recurrent, segment.initial,
                                   finals, segment.traces, segment.out);
      });
    }
    dispatch(x, "x", [&](auto tag) {
      run_backward<decltype(tag)>(call, segment, recurrent, recurrent_transposed, grad_state, grad_constants);
    });
    if (weight && grad_x) {
      Tensor target = steps_of(*grad_x, begin, count);
      st::copy_(target, st::matmul(segment.grad_current, st::transpose(*weight, 0, 1)));
    }
    if (weight && wants(1)) add_into(grad_weight, projection_gradient(steps_of(x, begin, count), segment.grad_current));
    if (recurrent_weight && wants(2)) {
      OptionalTensorList known = segment.traces;
      if (call.output_is_trace && segment.out) known[static_cast<size_t>(call.info.output)] = segment.out;
      add_into(grad_recurrent, recurrent_gradient(call.info, model, call.surrogate, call.constants, segment.initial,
                                                  known, segment.grad_current));
    }
  }

  const auto or_nothing = [&](const OptionalTensor& grad) { return grad ? *grad : nothing_like(x); };
  TensorList grads = {or_nothing(grad_x), or_nothing(grad_weight), or_nothing(grad_recurrent)};
  for (size_t k = 0; k < states; ++k)
    grads.push_back(wants(3 + static_cast<int64_t>(k)) ? grad_state[k] : nothing_like(x));
  for (int64_t c = 0; c < call.info.constants; ++c)
    grads.push_back((wanted_constants >> c & 1u) != 0
                        ? reduce_constant(*grad_constants, c, constants[static_cast<size_t>(c)])
                        : nothing_like(x));
  return grads;
}

}  // namespace nt
