// Drivers of a whole network in closed loop: all layers step together, the outputs of a step are the inputs of the
// next.
#pragma once

#include "driver.h"

NT_NAMESPACE_BEGIN

// Spiking or clipped inputs are gathered, all others multiplied densely.
constexpr double kDenseInput = 0.5;

// The widest padded row of the network, of inputs or neurons.
template <class T>
int64_t widest_row(const Network<T>& net) {
  int64_t widest = 0;
  for (int64_t l = 0; l < net.layers; ++l) {
    const int64_t inputs = padded<T>(net.layer[l].inputs), neurons = padded<T>(net.layer[l].neurons);
    widest = inputs > widest ? inputs : widest;
    widest = neurons > widest ? neurons : widest;
  }
  return widest;
}

// Columns of the fed-back input of step t >= given, written into the layer's input rows.
template <class T>
NT_HD void feed_back(const Network<T>& net, int64_t k, int64_t b, int64_t t, const Columns& columns) {
  T* input = read_of(net.layer[k]).row(b, t) + columns.begin;
  const int64_t n = columns.count(), source = net.feedback[k];
  const T w = net.teacher_weight, own = T(1) - w;
  const T* truth = net.teacher[k] ? net.teacher[k].row(b, t) + columns.begin : nullptr;
  if (source < 0) {
    if (truth == nullptr) clear_row(n, input);
    for (int64_t j = 0; truth != nullptr && j < n; ++j) input[j] = w * truth[j];
    return;
  }
  const T* output = net.layer[net.layers - net.output_layers + source].out.row(b, t - 1) + columns.begin;
  if (truth == nullptr) return copy_row(n, output, input);
  NT_SIMD
  for (int64_t j = 0; j < n; ++j) input[j] = own * output[j] + w * truth[j];
}

// Writes [f(x), x] for a layer that reads x so.
template <class T>
NT_HD void expand_input(const NetworkLayer<T>& layer, int64_t b, int64_t t) {
  if (!layer.raw) return;
  const int64_t n = read_width(layer);
  activate_row(layer.input_activation, n, layer.raw.row(b, t), layer.input.row(b, t));
  copy_row(n, layer.raw.row(b, t), layer.input.row(b, t) + n);
}

template <class T>
NT_HD void aim_network_step(const NetworkLayer<T>& layer, const ModelInfo& info, int64_t b, int64_t t, int64_t column,
                            StepRow<T>& row) {
  for (int k = 0; k < info.states; ++k) {
    const int64_t at = b * layer.neurons + column;
    const bool traced = static_cast<bool>(layer.trace[k]);
    row.after[k] = traced ? layer.trace[k].row(b, t) + column : layer.final_state[k] + at;
    if (t == 0) {
      row.before[k] = layer.initial[k] + at;
    } else {
      row.before[k] = traced ? layer.trace[k].row(b, t - 1) + column : layer.final_state[k] + at;
    }
  }
}

// The matrices of a layer, columns of one member of the team.
template <class T>
struct LayerMatrices {
  StepMatrix<T> weight, recurrent;
  void plan(int64_t steps, int64_t rows, int64_t step_bytes) {
    weight.plan(steps, rows, step_bytes);
    recurrent.plan(steps, rows, step_bytes);
  }
};

// Those of a whole network. `steps` products with the same weights are to come.
template <class T>
class NetworkMatrices {
 public:
  NetworkMatrices(const Network<T>& net, const Team& team, bool transposed, int64_t steps, int64_t rows)
      : layers_(new LayerMatrices<T>[static_cast<size_t>(net.layers)]) {
    int64_t bytes = 0;
    for (int64_t l = 0; l < net.layers; ++l) {
      const NetworkLayer<T>& layer = net.layer[l];
      const Columns inputs = Columns::of<T>(layer.inputs, team), mine = Columns::of<T>(layer.neurons, team);
      if (transposed) {
        layers_[l].weight.aim(layer.neurons, layer.weight_transposed, layer.transposed_stride, inputs.begin,
                              inputs.padded_end);
      } else {
        layers_[l].weight.aim(layer.inputs, layer.weight, layer.weight_stride, mine.begin, mine.padded_end);
      }
      layers_[l].recurrent.aim(layer.neurons, transposed ? layer.recurrent_transposed : layer.recurrent,
                               layer.recurrent_stride, mine.begin, mine.padded_end);
      bytes += layers_[l].weight.bytes() + layers_[l].recurrent.bytes();
    }
    for (int64_t l = 0; l < net.layers; ++l) layers_[l].plan(steps, rows, bytes);
  }
  ~NetworkMatrices() { delete[] layers_; }
  NetworkMatrices(const NetworkMatrices&) = delete;
  NetworkMatrices& operator=(const NetworkMatrices&) = delete;

  LayerMatrices<T>& operator[](int64_t l) const { return layers_[l]; }

 private:
  LayerMatrices<T>* layers_;
};

// One layer at step t for a block of samples; the team shares the columns.
template <class T>
void network_layer_step(const NetworkLayer<T>& layer, LayerMatrices<T>& matrices, int64_t first, int64_t m, int64_t t,
                        bool last, int64_t products, const Team& team, const T* zeros, T* const* current,
                        T* const* recurrent, T* const* seen, int32_t* index, T* value) {
  const ModelInfo& info = model_info(layer.model);
  const RowKernels<T>& rows = rows_of<T>(layer.model, layer.surrogate);
  const Columns mine = Columns::of<T>(layer.neurons, team);
  const T* input[kBlock] = {};
  for (int64_t r = 0; r < m; ++r) {
    expand_input(layer, first + r, t);
    input[r] = layer.input.row(first + r, t);
  }
  matrices.weight.multiply_sparse(m, input, current, products, kDenseInput, index, value);
  StepRow<T> row[kBlock];
  const T* spikes[kBlock] = {};
  for (int64_t r = 0; r < m; ++r) {
    row[r] = {mine.count(), layer.constants + mine.begin, layer.neurons, {}, {}, current[r] + mine.begin, zeros};
    aim_network_step(layer, info, first + r, t, mine.begin, row[r]);
    if (layer.recurrent == nullptr) continue;
    row[r].recurrent = recurrent[r] + mine.begin;
    spikes[r] = presynaptic_of(info, rows, layer.neurons, layer.constants,
                               StateRows<T>(info, row[r].before, -mine.begin).row, seen[r]);
  }
  if (layer.recurrent != nullptr)
    matrices.recurrent.multiply_sparse(m, spikes, recurrent, products, kDenseRate, index, value);
  // A recurrent layer without a trace of its presynaptic state updates it in place: nobody may still be reading it.
  if (layer.recurrent != nullptr && !layer.trace[info.presynaptic]) meet(team);
  for (int64_t r = 0; r < m; ++r) {
    rows.step(row[r]);
    T* out = layer.out.row(first + r, t) + mine.begin;
    const T* output = row[r].after[info.output];
    if (out != output) activate_row(layer.activation, mine.count(), output, out);
    if (!last) continue;
    for (int k = 0; k < info.states; ++k)
      copy_row(mine.count(), row[r].after[k], layer.final_state[k] + (first + r) * layer.neurons + mine.begin);
  }
}

template <class T>
void network_forward(const Network<T>& net, int64_t begin, int64_t end, const Team& team) {
  const FlushDenormals flush;
  const int64_t widest = widest_row(net);
  Scratch scratch((4 * kBlock + 1) * Scratch::bytes<T>(widest) + kBlock * Scratch::bytes<int32_t>(widest));
  T *current[kBlock], *recurrent[kBlock], *seen[kBlock];
  for (auto& r : current) r = scratch.take<T>(widest);
  for (auto& r : recurrent) r = scratch.take<T>(widest);
  for (auto& r : seen) r = scratch.take<T>(widest);
  const T* zeros = scratch.take<T>(widest);
  T* value = scratch.take<T>(kBlock * widest);
  int32_t* index = scratch.take<int32_t>(kBlock * widest);
  const NetworkMatrices<T> matrices(net, team, false, net.steps, end - begin);
  for (int64_t first = begin; first < end; first += kBlock) {
    const int64_t m = end - first < kBlock ? end - first : kBlock;
    for (int64_t t = 0; t < net.steps; ++t) {
      for (int64_t l = 0; l < net.layers; ++l) {
        network_layer_step(net.layer[l], matrices[l], first, m, t, t + 1 == net.steps, t, team, zeros, current,
                           recurrent, seen, index, value);
        if (l + 1 < net.layers) meet(team);
      }
      if (t + 1 >= net.given && t + 1 < net.steps)
        for (int64_t k = 0; k < net.fed_layers; ++k)
          for (int64_t r = 0; r < m; ++r)
            feed_back(net, k, first + r, t + 1, Columns::of<T>(read_width(net.layer[k]), team));
      meet(team);
    }
  }
}

// ---- adjoint -------------------------------------------------------------------------------------------------

// The adjoint of layer l at step t for a block of samples, after which c_t stands in grad_current. `grad_out` holds
// dL/d out of all later readers of the output.
template <class T>
void network_layer_adjoint(const NetworkLayer<T>& layer, int64_t first, int64_t m, int64_t t, const Team& team,
                           const T* zeros, T* const* grad_out, T* const* grad_recurrent) {
  const ModelInfo& info = model_info(layer.model);
  const RowKernels<T>& rows = rows_of<T>(layer.model, layer.surrogate);
  const Columns mine = Columns::of<T>(layer.neurons, team);
  for (int64_t r = 0; r < m; ++r) {
    const int64_t b = first + r, at = b * layer.neurons + mine.begin;
    expand_input(layer, b, t);
    AdjointRow<T> row = {mine.count(), layer.constants + mine.begin, layer.neurons, {}, {}, nullptr, zeros, {}, nullptr,
                         nullptr};
    for (int k = 0; k < info.states; ++k) {
      const bool traced = static_cast<bool>(layer.trace[k]);
      row.after[k] = traced ? layer.trace[k].row(b, t) + mine.begin : nullptr;
      if (t == 0) {
        row.before[k] = layer.initial[k] + at;
      } else {
        row.before[k] = traced ? layer.trace[k].row(b, t - 1) + mine.begin : nullptr;
      }
      row.grad_state[k] = layer.grad_state[k] + at;
      if (layer.grad_trace[k]) add_row(mine.count(), layer.grad_trace[k].row(b, t) + mine.begin, row.grad_state[k]);
    }
    T* grad = grad_out[r] + mine.begin;
    if (layer.grad_out) add_row(mine.count(), layer.grad_out.row(b, t) + mine.begin, grad);
    if (layer.activation != Activation::identity)
      activate_adjoint_row(layer.activation, mine.count(), layer.out.row(b, t) + mine.begin, grad, grad);
    row.grad_out = grad;
    if (layer.recurrent_transposed != nullptr) row.grad_recurrent = grad_recurrent[r] + mine.begin;
    row.grad_current = layer.grad_current.row(b, t) + mine.begin;
    if (layer.grad_constants != nullptr)
      row.grad_constants = layer.grad_constants + b * info.constants * layer.neurons + mine.begin;
    rows.adjoint(row, t == 0, layer.grad_constants != nullptr);
  }
}

template <class T>
NT_HD void clear_rows(int64_t m, T* const* rows, int64_t width) {
  for (int64_t r = 0; r < m; ++r) clear_row(width, rows[r]);
}

// Gradient rows of one block of samples: per layer that of its output and of its recurrent input, and one spare set.
template <class T>
struct NetworkGradients {
  Scratch memory;
  T*** out;        // [layers][kBlock]
  T*** recurrent;  // [layers][kBlock]
  T** spare;       // [kBlock]
  T* zeros;
  NetworkGradients(int64_t layers, int64_t widest)
      : memory((2 * layers + 1) * (kBlock * Scratch::bytes<T>(widest) + Scratch::bytes<T*>(kBlock)) +
               2 * Scratch::bytes<T**>(layers) + Scratch::bytes<T>(widest)) {
    out = take_sets(layers, widest);
    recurrent = take_sets(layers, widest);
    spare = take_set(widest);
    zeros = memory.take<T>(widest);
  }

 private:
  T** take_set(int64_t widest) {
    T** set = memory.take<T*>(kBlock);
    for (int64_t r = 0; r < kBlock; ++r) set[r] = memory.take<T>(widest);
    return set;
  }
  T*** take_sets(int64_t layers, int64_t widest) {
    T*** sets = memory.take<T**>(layers);
    for (int64_t l = 0; l < layers; ++l) sets[l] = take_set(widest);
    return sets;
  }
};

// What the layer's input receives, columns of this member: c_t W^T, through f where the layer reads [f(x), x].
template <class T>
void network_input_gradient(const NetworkLayer<T>& layer, int64_t first, int64_t m, int64_t t, T* const* out,
                            StepMatrix<T>& weight_transposed) {
  const T* current[kBlock] = {};
  for (int64_t r = 0; r < m; ++r) current[r] = layer.grad_current.row(first + r, t);
  weight_transposed.multiply(m, current, out, t);
  if (!layer.raw) return;
  const int64_t n = read_width(layer);  // no team here: all columns are this member's
  for (int64_t r = 0; r < m; ++r) {
    activate_adjoint_row(layer.input_activation, n, layer.input.row(first + r, t), out[r], out[r]);
    add_row(n, out[r] + n, out[r]);
  }
}

// Hands the input gradient of layer l at step t to whatever it read: a layer of the same step, the concatenated first
// layers, or, when it was fed back, an output of the step before.
template <class T>
void network_hand_back(const Network<T>& net, int64_t l, int64_t first, int64_t m, int64_t t, const Team& team,
                       NetworkGradients<T>& grads, StepMatrix<T>& weight_transposed) {
  const int64_t first_output = net.layers - net.output_layers;
  const Columns mine = Columns::of<T>(read_width(net.layer[l]), team);
  if (l < net.fed_layers) {
    const Rows<T>& own_gradient = net.layer[l].grad_raw;
    if (t < net.given ? !own_gradient : net.feedback[l] < 0) return;
    network_input_gradient(net.layer[l], first, m, t, grads.spare, weight_transposed);
    if (t < net.given) {
      for (int64_t r = 0; r < m; ++r) copy_row(mine.count(), grads.spare[r], own_gradient.row(first + r, t));
      return;
    }
    const T own = net.teacher[l] ? T(1) - net.teacher_weight : T(1);
    for (int64_t r = 0; r < m; ++r) {
      T* target = grads.out[first_output + net.feedback[l]][r];
      const T* grad = grads.spare[r];
      NT_SIMD
      for (int64_t j = mine.begin; j < mine.end; ++j) target[j] += own * grad[j];
    }
    return;
  }
  network_input_gradient(net.layer[l], first, m, t, grads.spare, weight_transposed);
  const int64_t source = l >= first_output ? first_output - 1 : l - 1;
  const bool chain = source >= net.fed_layers || net.fed_layers == 1;
  for (int64_t r = 0; r < m; ++r) {
    if (chain) {
      add_row(mine.count(), grads.spare[r] + mine.begin, grads.out[source][r] + mine.begin);
      continue;
    }
    int64_t offset = 0;  // no team here: all columns are this member's
    for (int64_t k = 0; k < net.fed_layers; ++k) {
      add_row(net.layer[k].neurons, grads.spare[r] + offset, grads.out[k][r]);
      offset += net.layer[k].neurons;
    }
  }
}

template <class T>
void network_backward(const Network<T>& net, int64_t begin, int64_t end, const Team& team) {
  const FlushDenormals flush;
  // Every member keeps its own columns of all gradient rows; only c_t is shared, through grad_current.
  NetworkGradients<T> grads(net.layers, widest_row(net));
  const NetworkMatrices<T> matrices(net, team, true, net.steps, end - begin);
  for (int64_t first = begin; first < end; first += kBlock) {
    const int64_t m = end - first < kBlock ? end - first : kBlock;
    for (int64_t l = 0; l < net.layers; ++l) {
      clear_rows(m, grads.recurrent[l], padded<T>(net.layer[l].neurons));
      clear_rows(m, grads.out[l], padded<T>(net.layer[l].neurons));
    }
    for (int64_t t = net.steps - 1; t >= 0; --t) {
      for (int64_t l = net.layers - 1; l >= 0; --l) {
        const NetworkLayer<T>& layer = net.layer[l];
        network_layer_adjoint(layer, first, m, t, team, grads.zeros, grads.out[l], grads.recurrent[l]);
        clear_rows(m, grads.out[l], padded<T>(layer.neurons));
        meet(team);  // c_t of this layer is complete
        if (layer.recurrent_transposed != nullptr) {
          const T* current[kBlock] = {};
          for (int64_t r = 0; r < m; ++r) current[r] = layer.grad_current.row(first + r, t);
          matrices[l].recurrent.multiply(m, current, grads.recurrent[l], t);
        }
        network_hand_back(net, l, first, m, t, team, grads, matrices[l].weight);
      }
    }
    for (int64_t l = 0; l < net.layers; ++l) {
      const NetworkLayer<T>& layer = net.layer[l];
      if (layer.recurrent_transposed == nullptr) continue;
      const Columns mine = Columns::of<T>(layer.neurons, team);
      const ModelInfo& info = model_info(layer.model);
      for (int64_t r = 0; r < m; ++r) {
        const int64_t at = (first + r) * layer.neurons + mine.begin;
        add_presynaptic(info, rows_of<T>(layer.model, layer.surrogate), mine.count(),
                        StateRows<T>(info, layer.initial, at).row, grads.recurrent[l][r] + mine.begin,
                        layer.grad_state[info.presynaptic] + at);
      }
    }
  }
}

NT_NAMESPACE_END
