// Driver of a network that learns while it runs: forward step, errors, learning signals, traces and updates, or least
// squares, step by step. Memory does not depend on the number of steps. Members of a team share columns of the network
// and rows of synapses; what is small each computes for itself.
#pragma once

#include "arena.h"
#include "learning.h"
#include "network.h"
#include "rls.h"

NT_NAMESPACE_BEGIN

template <class T>
class OnlineRun {
 public:
  OnlineRun(const Online<T>& net, const Team& team)
      : net_(net),
        team_(team),
        batch_(net.network.batch),
        layers_(net.network.layers),
        widest_(widest_row(net.network)),
        solvers_(net, team, arena_, widest_),
        // While it learns, the weights change from step to step.
        matrices_(net.network, team, false, net.learn ? 0 : net.end - net.begin, net.network.batch) {
    for (auto& r : current_) r = arena_.take<T>(widest_);
    for (auto& r : recurrent_) r = arena_.take<T>(widest_);
    for (auto& r : seen_) r = arena_.take<T>(widest_);
    zeros_ = arena_.take<T>(widest_), ones_ = arena_.take<T>(widest_), value_ = arena_.take<T>(kBlock * widest_);
    index_ = arena_.take<int32_t>(kBlock * widest_);
    rows_ = arena_.take<T>((kMaxStates + 1) * widest_), gradient_ = arena_.take<T>(widest_);
    for (int64_t j = 0; j < widest_; ++j) ones_[j] = T(1);
    local_ = arena_.take<Local<T>>(layers_);
    errors_ = arena_.take<T*>(kMaxOutputs), reduced_ = arena_.take<T*>(kMaxOutputs);
    slopes_ = arena_.take<T*>(kMaxOutputs);
    for (int64_t l = 0; l < layers_; ++l) prepare(l);
    for (int64_t k = 0; k < net.network.output_layers; ++k) {
      const int64_t width = batch_ * stride_of(first_output() + k);
      errors_[k] = arena_.take<T>(width), reduced_[k] = arena_.take<T>(width), slopes_[k] = arena_.take<T>(width);
    }
    signals_ = arena_.take<T*>(net.signals + 1);
    for (int64_t s = 0; s < net.signals; ++s) signals_[s] = net.shared_signals + s * batch_ * widest_;
    squares_ = arena_.take<double*>(net.traces + 1);
    squares_[0] = net.shared_squares;
    for (int64_t k = 0; k < net.traces; ++k) squares_[k + 1] = squares_[k] + net.trace[k].rows;
    recent_ = arena_.take<Recent<T>>(net.traces + 1);
    for (int64_t k = 0; k < net.traces; ++k) prepare_recent(net.trace[k], recent_[k]);
    pre_ = arena_.take<T>(batch_ * widest_), constants_ = arena_.take<T>(kMaxConstants * widest_);
  }

  void run() {
    for (int64_t t = net_.begin; t < net_.end; ++t) {
      if (net_.forward) forward(t);
      if (net_.learn && !learn(t)) return;
      const auto presynaptic = [this](const OnlineSolver<T>& a, int64_t step, int64_t b) {
        return a.source == Source::input ? net_.network.layer[a.layer].input.row(b, 0)
                                         : presynaptic_rows(a.layer, step) + b * net_.network.layer[a.layer].neurons;
      };
      if (net_.learn && !solvers_.step(t, presynaptic)) return;
    }
  }

 private:
  int64_t first_output() const { return layers_ - net_.network.output_layers; }
  int64_t stride_of(int64_t l) const { return padded<T>(net_.network.layer[l].neurons); }

  void prepare(int64_t l) {
    const OnlineLayer<T>& own = net_.layer[l];
    const ModelInfo& info = model_info(net_.network.layer[l].model);
    Local<T>& local = local_[l];
    local.states = info.states, local.output = info.output, local.rows = info.constants, local.stride = stride_of(l);
    const int64_t row = local.stride, states = info.states;
    if (own.instantaneous) local.post = arena_.take<T>(batch_ * row);
    if (own.instantaneous && own.constants) local.post_constant = arena_.take<T>(batch_ * info.constants * row);
    if (own.memory) {
      local.jacobian = arena_.take<T>(batch_ * states * states * row);
      local.input = arena_.take<T>(batch_ * states * row);
    }
    if (own.memory && own.constants) local.constant = arena_.take<T>(batch_ * states * info.constants * row);
    if (own.memory && l < first_output() && net_.network.layer[l].activation != Activation::identity)
      local.gain = arena_.take<T>(batch_ * row);
  }

  // Only in a run from beginning to end: what came before this call is not known.
  void prepare_recent(const OnlineTrace<T>& a, Recent<T>& recent) {
    const bool is_whole = net_.begin == 0 && net_.end == net_.network.steps && !(net_.trace_clip < __builtin_inf());
    if (!is_whole || !is_plain(a) || a.poles != 1 || !Recent<T>::is_enough(static_cast<double>(a.pole[0]))) return;
    T power = T(1);
    for (int64_t k = 0; k < Recent<T>::kTerms; ++k, power *= a.pole[0]) {
      recent.pre[k] = arena_.take<T>(a.rows), recent.post[k] = arena_.take<T>(a.stride), recent.power[k] = power;
    }
    recent.gram = arena_.take<double>(Recent<T>::kTerms * Recent<T>::kTerms);
  }

  // ---- forward -----------------------------------------------------------------------------------------------

  T* state_row(int64_t l, int64_t k, int64_t t, int64_t b) const {
    const int64_t n = net_.network.layer[l].neurons;
    return net_.layer[l].state[k] + ((t & 1) * batch_ + b) * n;
  }

  // The layer as the network driver steps it when every step is step 0.
  NetworkLayer<T> at_step(int64_t l, int64_t t) const {
    NetworkLayer<T> layer = net_.network.layer[l];
    for (int64_t k = 0; k < model_info(layer.model).states; ++k) {
      layer.initial[k] = state_row(l, k, t, 0);
      layer.trace[k] = {state_row(l, k, t + 1, 0), layer.neurons, 0};
    }
    if (net_.layer[l].out) layer.out = {net_.layer[l].out.row(0, t), net_.layer[l].out.batch, 0};
    return layer;
  }

  void read_input(int64_t l, int64_t t) {
    const NetworkLayer<T>& layer = net_.network.layer[l];
    const int64_t n = read_width(layer);
    for (int64_t b = 0; b < batch_; ++b) {
      if (t < net_.network.given) {
        const Columns mine = Columns::of<T>(n, team_);
        copy_row(mine.count(), net_.layer[l].x.row(b, t) + mine.begin, read_of(layer).row(b, 0) + mine.begin);
      } else {
        feed_back(net_.network, l, b, t, Columns::of<T>(n, team_));
      }
    }
  }

  void forward(int64_t t) {
    for (int64_t l = 0; l < net_.network.fed_layers; ++l) read_input(l, t);
    meet(team_);
    for (int64_t l = 0; l < layers_; ++l) {
      const NetworkLayer<T> layer = at_step(l, t);
      for (int64_t first = 0; first < batch_; first += kBlock) {
        const int64_t m = batch_ - first < kBlock ? batch_ - first : kBlock;
        network_layer_step(layer, matrices_[l], first, m, 0, false, t, team_, zeros_, current_, recurrent_, seen_,
                           index_, value_);
      }
      meet(team_);
      if (team_.rank == 0) keep_states(l, t);
    }
  }

  void keep_states(int64_t l, int64_t t) {
    const int64_t at = t - (net_.network.steps - net_.keep), n = net_.network.layer[l].neurons;
    if (at < 0) return;
    for (int64_t k = 0; k < kMaxStates; ++k) {
      T* history = net_.layer[l].history[k];
      for (int64_t b = 0; history != nullptr && b < batch_; ++b)
        copy_row(n, state_row(l, k, t + 1, b), history + (b * net_.keep + at) * n);
    }
  }

  // ---- errors and learning signals -----------------------------------------------------------------------------

  T finite(T x) const {
    if (x != x) return net_.nan;
    const T zero = x - x;  // not zero where x is infinite
    return zero == T(0) ? x : (x > T(0) ? net_.positive : net_.negative);
  }

  void clean(int64_t n, T* row) const {
    for (int64_t j = 0; j < n; ++j) row[j] = finite(row[j]);
  }

  void find_errors(int64_t k, int64_t t) {
    const int64_t l = first_output() + k, n = net_.network.layer[l].neurons, row = stride_of(l);
    const OnlineLayer<T>& own = net_.layer[l];
    const bool given = t >= own.first_target;
    const T scale = T(2) / static_cast<T>(batch_ * n);
    for (int64_t b = 0; b < batch_; ++b) {
      T *error = errors_[k] + b * row, *slope = slopes_[k] + b * row;
      const T* out = own.out.row(b, t);
      const T* target = given ? own.target.row(b, t - own.first_target) : out;
      for (int64_t j = 0; j < n; ++j) error[j] = finite(out[j] - target[j]);
      for (int64_t j = 0; j < n; ++j)
        slope[j] = given && own.slope != nullptr ? own.slope[b * n + j] : scale * error[j];
      copy_row(row, error, reduced_[k] + b * row);
    }
    if (net_.mean_error) share_mean(reduced_[k], n, row);
    for (int64_t b = 0; b < batch_ && net_.signal_clip < __builtin_inf(); ++b) {
      T* error = reduced_[k] + b * row;
      const double norm =
          __builtin_sqrt(static_cast<double>(lane_sum<T>(row, [&](int64_t j) { return error[j] * error[j]; })));
      const T factor = static_cast<T>(factor_of(net_.signal_clip, norm));
      for (int64_t j = 0; j < n; ++j) error[j] *= factor;
    }
  }

  void share_mean(T* rows, int64_t n, int64_t stride) const {
    for (int64_t j = 0; j < n; ++j) {
      T sum = T(0);
      for (int64_t b = 0; b < batch_; ++b) sum += rows[b * stride + j];
      for (int64_t b = 0; b < batch_; ++b) rows[b * stride + j] = sum / static_cast<T>(batch_);
    }
  }

  static double factor_of(double limit, double norm) {
    const double factor = limit / (norm + 1e-6);
    return factor < 1 ? factor : 1;
  }

  // Columns of this member of a learning signal.
  void find_signal(int64_t s, int64_t t) {
    const OnlineSignal<T>& signal = net_.signal[s];
    const int64_t row = stride_of(signal.layer);
    const Columns mine = Columns::of<T>(net_.network.layer[signal.layer].neurons, team_);
    for (int64_t b = 0; b < batch_; ++b) {
      T* total = signals_[s] + b * row;
      if (b > 0 && net_.mean_error) {  // the same error for all samples
        copy_row(mine.count(), signals_[s] + mine.begin, total + mine.begin);
        continue;
      }
      for (int64_t j = mine.begin; j < mine.padded_end; ++j) total[j] = T(0);
      for (int64_t k = 0; k < net_.network.output_layers; ++k) add_feedback(signal, k, b, t, mine, row, total);
    }
  }

  void add_feedback(const OnlineSignal<T>& signal, int64_t k, int64_t b, int64_t t, const Columns& mine, int64_t row,
                    T* total) {
    const int64_t l = first_output() + k, outputs = net_.network.layer[l].neurons, width = stride_of(l);
    const T *error = reduced_[k] + b * width, *matrix = signal.matrix[k];
    if (signal.kind[k] == Feedback::dense) {
      StepMatrix<T> weights;
      weights.aim(outputs, matrix, row, mine.begin, mine.padded_end);
      weights.multiply_sparse(1, &error, current_, t, kDenseInput, index_, value_);
      add_row(mine.count(), current_[0] + mine.begin, total + mine.begin);
    } else if (signal.kind[k] == Feedback::scalar) {
      T sum = T(0);
      for (int64_t j = 0; j < outputs; ++j) sum = NT_FMA(error[j], matrix[j], sum);
      for (int64_t j = mine.begin; j < mine.end; ++j) total[j] += sum;
    } else if (signal.kind[k] == Feedback::rows) {
      for (int64_t j = mine.begin; j < mine.end; ++j) {
        const T* line = matrix + j * signal.row_stride[k];
        total[j] += lane_sum<T>(width, [&](int64_t q) { return error[q] * line[q]; });
      }
    }
  }

  // ---- local derivatives ---------------------------------------------------------------------------------------

  AdjointRow<T> adjoint_row_of(int64_t l, int64_t b, int64_t t) {
    const NetworkLayer<T>& layer = net_.network.layer[l];
    AdjointRow<T> row = {layer.neurons, layer.constants, layer.neurons, {}, {}, zeros_, zeros_, {},
                         nullptr,       constants_};
    for (int64_t k = 0; k < model_info(layer.model).states; ++k) {
      row.before[k] = state_row(l, k, t, b);
      row.after[k] = state_row(l, k, t + 1, b);
    }
    return row;
  }

  // The adjoint's row of every constant, padded.
  void take_constants(const ModelInfo& info, int64_t n, int64_t row, T* out) {
    for (int64_t c = 0; c < info.constants; ++c) {
      copy_row(n, constants_ + c * n, out + c * row);
      clean(n, out + c * row);
    }
  }

  void clear_constants(const ModelInfo& info, int64_t n) {
    __builtin_memset(constants_, 0, static_cast<size_t>(info.constants * n) * sizeof(T));
  }

  void find_post(int64_t l, int64_t t) {
    const NetworkLayer<T>& layer = net_.network.layer[l];
    const ModelInfo& info = model_info(layer.model);
    Local<T>& local = local_[l];
    const bool constants = local.post_constant != nullptr;
    const int64_t k = l - first_output();
    for (int64_t b = 0; b < batch_; ++b) {
      AdjointRow<T> row = adjoint_row_of(l, b, t);
      const T* out = net_.layer[l].out ? net_.layer[l].out.row(b, t) : layer.out.row(b, 0);
      activate_adjoint_row(layer.activation, row.n, out, k >= 0 ? slopes_[k] + b * local.stride : ones_, value_);
      row.grad_out = value_;
      for (int64_t s = 0; s < info.states; ++s) {
        row.grad_state[s] = rows_ + s * widest_;
        __builtin_memset(row.grad_state[s], 0, static_cast<size_t>(row.n) * sizeof(T));
      }
      row.grad_current = local.post + b * local.stride;
      if (constants) clear_constants(info, row.n);
      kernels_of_layer(layer).adjoint(row, true, constants);
      clean(row.n, row.grad_current);
      if (constants) take_constants(info, row.n, local.stride, local.post_constant + b * info.constants * local.stride);
    }
  }

  void find_jacobian(int64_t l, int64_t t) {
    const NetworkLayer<T>& layer = net_.network.layer[l];
    const ModelInfo& info = model_info(layer.model);
    Local<T>& local = local_[l];
    const int64_t states = info.states, n = layer.neurons;
    for (unsigned& mask : local.reads) mask = 0;
    for (int64_t b = 0; b < batch_; ++b) {
      for (int64_t s = 0; s < states; ++s) {
        AdjointRow<T> row = adjoint_row_of(l, b, t);
        for (int64_t r = 0; r < states; ++r) {
          row.grad_state[r] = local.jacobian + ((b * states + s) * states + r) * local.stride;
          for (int64_t j = 0; j < n; ++j) row.grad_state[r][j] = r == s ? T(1) : T(0);
        }
        row.grad_current = local.input + (b * states + s) * local.stride;
        const bool constants = local.constant != nullptr;
        if (constants) clear_constants(info, n);
        kernels_of_layer(layer).adjoint(row, true, constants);
        clean(n, row.grad_current);
        for (int64_t r = 0; r < states; ++r) {
          clean(n, row.grad_state[r]);
          if (count_nonzero(n, row.grad_state[r]) > 0) local.reads[s] |= 1u << r;
        }
        if (constants)
          take_constants(info, n, local.stride, local.constant + (b * states + s) * info.constants * local.stride);
      }
      if (local.gain != nullptr)
        activate_adjoint_row(layer.activation, n, layer.out.row(b, 0), ones_, local.gain + b * local.stride);
    }
  }

  static const RowKernels<T>& kernels_of_layer(const NetworkLayer<T>& layer) {
    return rows_of<T>(layer.model, layer.surrogate);
  }

  // ---- learning ------------------------------------------------------------------------------------------------

  int64_t first_row(const OnlineTrace<T>& a) const { return a.rows * team_.rank / team_.size; }
  int64_t last_row(const OnlineTrace<T>& a) const { return a.rows * (team_.rank + 1) / team_.size; }
  double& square_at(const OnlineTrace<T>& a, int64_t i) const { return squares_[&a - net_.trace][i]; }

  // Sum over all rows of a group, once all members are done with theirs.
  double squared_norm(int64_t group) const {
    meet(team_);
    double sum = 0;
    for_group(group, [&](const OnlineTrace<T>& a) {
      for (int64_t i = 0; i < a.rows; ++i) sum += square_at(a, i);
    });
    return sum;
  }

  // What the trace reads at step t. Filters of its presynaptic side move on when `advance`.
  Reading<T> reading(const OnlineTrace<T>& a, int64_t t, bool advance) {
    const NetworkLayer<T>& layer = net_.network.layer[a.layer];
    const Local<T>& local = local_[a.layer];
    Reading<T> at;
    at.local = &local, at.batch = batch_, at.step = t;
    if (a.post_error) {
      at.post = errors_[a.layer - first_output()], at.post_stride = local.stride;
    } else if (a.source == Source::constant) {
      at.post = local.post_constant == nullptr ? nullptr : local.post_constant_row(0, a.constant);
      at.post_stride = local.rows * local.stride;
    } else {
      at.post = local.post, at.post_stride = local.stride;
    }
    if (a.source == Source::input) {
      at.pre = layer.input.row(0, 0), at.pre_stride = layer.input.batch;
    } else if (a.source == Source::recurrent) {
      at.pre = presynaptic_rows(a.layer, t), at.pre_stride = layer.neurons;
    }
    for (int64_t q = 0; q < a.input_poles; ++q) {
      T* filtered = a.filtered_input[q];
      for (int64_t b = 0; advance && b < batch_; ++b)
        for (int64_t i = first_row(a); i < last_row(a); ++i)
          filtered[b * a.rows + i] = NT_FMA(a.input_pole[q], filtered[b * a.rows + i], at.entry(b, i));
      at.pre = filtered, at.pre_stride = a.rows;
    }
    return at;
  }

  // What the recurrent weights saw at step t, of all samples.
  const T* presynaptic_rows(int64_t l, int64_t t) {
    const NetworkLayer<T>& layer = net_.network.layer[l];
    const ModelInfo& info = model_info(layer.model);
    if (!info.computes_presynaptic) return state_row(l, info.presynaptic, t, 0);
    for (int64_t b = 0; b < batch_; ++b) {
      const T* state[kMaxStates] = {};
      for (int64_t k = 0; k < info.states; ++k) state[k] = state_row(l, k, t, b);
      kernels_of_layer(layer).presynaptic(layer.neurons, layer.constants, state, pre_ + b * layer.neurons);
    }
    return pre_;
  }

  const T* signal_row(int64_t signal, int64_t set, int64_t stride) const {
    if (signal == kOnes) return ones_;
    return (signal >= 0 ? signals_[signal] : errors_[-2 - signal]) + set * stride;
  }

  // Gradient of one row with respect to what the network reads, into `g`; returns that of the activated sign.
  T gradient_row(const OnlineTrace<T>& a, const Reading<T>& at, int64_t i, bool advance, T* g) {
    T sign = T(0);
    const T* mask = a.mask == nullptr ? ones_ : a.mask + i * a.stride;
    for (int64_t set = 0; set < a.sets; ++set) {
      const T* e = advance ? advance_row(a, at, set, i, rows_) : peek_row(a, at, set, i, rows_);
      const T* signal = signal_row(a.signal, set, a.stride);
      if (set == 0) {
        NT_SIMD
        for (int64_t j = 0; j < a.stride; ++j) g[j] = signal[j] * e[j] * mask[j];
      } else {
        NT_SIMD
        for (int64_t j = 0; j < a.stride; ++j) g[j] += signal[j] * e[j] * mask[j];
      }
      if (a.sign == nullptr) continue;
      const T *own = signal_row(a.sign_signal, set, a.stride), *w = a.weight + i * a.stride;
      sign += lane_sum<T>(a.stride, [&](int64_t j) { return w[j] * w[j] * mask[j] * own[j] * e[j]; });
    }
    return sign;
  }

  // From the gradient of what the network reads to that of what is stored, in place.
  void store_gradient(const OnlineTrace<T>& a, int64_t i, T* g, T& sign) const {
    if (a.scalar) {
      T sum = T(0);
      for (int64_t j = 0; j < a.columns; ++j) sum += g[j], g[j] = T(0);
      g[0] = sum;
    }
    if (a.map != Map::identity) {
      const T* stored = a.weight + i * a.stride;
      const int64_t n = a.scalar ? 1 : a.columns;
      for (int64_t j = 0; j < n; ++j) g[j] *= mapped_slope(a.map, a.map_scale, stored[j]);
    }
    if (a.sign == nullptr) return;
    const T tanh = nt_tanh(a.sign[i]);
    const T* w = a.weight + i * a.stride;
    NT_SIMD
    for (int64_t j = 0; j < a.stride; ++j) g[j] *= T(2) * w[j] * tanh;
    sign *= T(1) - tanh * tanh;
  }

  void update_row(const OnlineTrace<T>& a, int64_t i, const Step<T>& step, const Step<T>& sign_step, const T* g,
                  T sign) {
    const int64_t at = i * a.stride;
    const bool moments = a.first_moment != nullptr;
    const int64_t n = a.scalar ? 1 : a.stride;
    T *m = moments ? a.first_moment + at : nullptr, *v = moments ? a.second_moment + at : nullptr;
    if (a.twin != nullptr) twin_row(step, n, g, m, v, a.twin + at);
    optimizer_row(step, n, [g](int64_t j) { return g[j]; }, a.weight + at, m, v);
    if (a.sign != nullptr)
      optimizer_row(
          sign_step, 1, [sign](int64_t) { return sign; }, a.sign + i, moments ? a.sign_first_moment + i : nullptr,
          moments ? a.sign_second_moment + i : nullptr);
    effective_row(a, i);
  }

  // ---- the common case in one pass: one set of samples, nothing but the outer product and at most one filter ----

  bool is_plain(const OnlineTrace<T>& a) const {
    return !a.memory && batch_ == 1 && a.poles <= 1 && a.mask == nullptr && a.sign == nullptr && !a.scalar &&
           a.grad == nullptr && a.twin == nullptr && a.map == Map::identity;
  }

  // Calls `use` with the gradient of row i as a function of the column; evaluating it moves the trace on if `advance`.
  template <class Use>
  void with_gradient(const OnlineTrace<T>& a, const Reading<T>& at, int64_t i, bool advance, Use use) const {
    const T x = at.entry(0, i), pole = a.pole[0];
    const T *signal = signal_row(a.signal, 0, a.stride), *post = at.post;
    if (const Recent<T>& recent = recent_[&a - net_.trace]) {
      const RecentRow<T> row(recent, at.step, i);
      return use([=](int64_t j) { return signal[j] * row(j); });
    }
    if (a.poles == 0) return use([=](int64_t j) { return signal[j] * (x * post[j]); });
    T* f = a.filtered[0] + i * a.stride;
    if (!advance) return use([=](int64_t j) { return signal[j] * f[j]; });
    use([=](int64_t j) {
      f[j] = NT_FMA(pole, f[j], x * post[j]);
      return signal[j] * f[j];
    });
  }

  void update_plain(const OnlineTrace<T>& a, const Reading<T>& at, bool advance, const Step<T>& step) const {
    for (int64_t i = first_row(a); i < last_row(a); ++i) {
      const int64_t k = i * a.stride;
      with_gradient(a, at, i, advance, [&](auto g) {
        const bool moments = a.first_moment != nullptr;
        optimizer_row(step, a.stride, g, a.weight + k, moments ? a.first_moment + k : nullptr,
                      moments ? a.second_moment + k : nullptr);
      });
      effective_row(a, i);
    }
  }

  // Moves the trace on and keeps the squared norm of the gradient.
  void advance_plain(const OnlineTrace<T>& a, const Reading<T>& at) const {
    if (const Recent<T>& recent = recent_[&a - net_.trace]) return square_recent(a, recent, at.step);
    for (int64_t i = first_row(a); i < last_row(a); ++i)
      with_gradient(a, at, i, true, [&](auto g) {
        square_at(a, i) = static_cast<double>(lane_sum<T>(a.stride, [&](int64_t j) {
          const T value = g(j);
          return value * value;
        }));
      });
  }

  // Takes this member's rows of what the trace reads, and all of its columns.
  void remember(const OnlineTrace<T>& a, const Reading<T>& at) const {
    const Recent<T>& recent = recent_[&a - net_.trace];
    if (!recent) return;
    const int64_t now = recent.place(at.step, 0);
    for (int64_t i = first_row(a); i < last_row(a); ++i) recent.pre[now][i] = at.entry(0, i);
    copy_row(a.stride, at.post, recent.post[now]);
  }

  void square_recent(const OnlineTrace<T>& a, const Recent<T>& recent, int64_t t) const {
    constexpr int64_t kTerms = Recent<T>::kTerms;
    const T* signal = signal_row(a.signal, 0, a.stride);
    for (int64_t k = 0; k < kTerms; ++k)
      for (int64_t l = 0; l <= k; ++l) {
        const T *one = recent.post[recent.place(t, k)], *other = recent.post[recent.place(t, l)];
        const auto product = [&](int64_t j) { return (signal[j] * one[j]) * (signal[j] * other[j]); };
        recent.gram[k * kTerms + l] = recent.gram[l * kTerms + k] =
            static_cast<double>(lane_sum<T>(a.stride, product)) * static_cast<double>(recent.power[k]) *
            static_cast<double>(recent.power[l]);
      }
    for (int64_t i = first_row(a); i < last_row(a); ++i) {
      double sum = 0;
      for (int64_t k = 0; k < kTerms; ++k)
        for (int64_t l = 0; l < kTerms; ++l)
          sum += static_cast<double>(recent.pre[recent.place(t, k)][i]) *
                 static_cast<double>(recent.pre[recent.place(t, l)][i]) * recent.gram[k * kTerms + l];
      square_at(a, i) = sum > 0 || sum != sum ? sum : 0;
    }
  }

  // Moves all traces of a group on and clips their joint norm.
  void advance_and_clip(int64_t group, int64_t t) {
    for_group(group, [&](const OnlineTrace<T>& a) {
      const Reading<T> at = reading(a, t, true);
      for (int64_t i = first_row(a); i < last_row(a); ++i) {
        square_at(a, i) = 0;
        for (int64_t set = 0; set < a.sets; ++set) square_at(a, i) += advanced_square(a, at, set, i);
      }
    });
    const T factor = static_cast<T>(factor_of(net_.trace_clip, __builtin_sqrt(squared_norm(group))));
    meet(team_);  // everyone has read the squares
    if (factor == T(1)) return;
    for_group(group, [&](const OnlineTrace<T>& a) {
      for (int64_t set = 0; set < a.sets; ++set) {
        T* last = a.filtered[a.poles - 1] + set * a.rows * a.stride;
        for (int64_t j = first_row(a) * a.stride; j < last_row(a) * a.stride; ++j) last[j] *= factor;
      }
    });
  }

  // Squared norm of one row of a trace after it moved on, as a derivative by what is stored.
  double advanced_square(const OnlineTrace<T>& a, const Reading<T>& at, int64_t set, int64_t i) {
    const T* e = advance_row(a, at, set, i, rows_);
    const T *mask = a.mask == nullptr ? ones_ : a.mask + i * a.stride, *w = a.weight + i * a.stride;
    for (int64_t j = 0; j < a.stride; ++j) gradient_[j] = e[j] * mask[j];
    T sign = T(0);
    if (a.sign != nullptr) sign = lane_sum<T>(a.stride, [&](int64_t j) { return w[j] * w[j] * gradient_[j]; });
    store_gradient(a, i, gradient_, sign);
    return square_of(a.stride, gradient_, sign);
  }

  static double square_of(int64_t n, const T* g, T sign) {
    const double rest = static_cast<double>(sign) * static_cast<double>(sign);
    return static_cast<double>(lane_sum<T>(n, [&](int64_t j) { return g[j] * g[j]; })) + rest;
  }

  template <class F>
  void for_group(int64_t group, F f) const {
    for (int64_t k = 0; k < net_.traces; ++k)
      if (net_.trace[k].group == group) f(net_.trace[k]);
  }

  bool learn(int64_t t) {
    for (int64_t k = 0; k < net_.network.output_layers; ++k) find_errors(k, t);
    for (int64_t s = 0; s < net_.signals; ++s) find_signal(s, t);
    for (int64_t l = 0; l < layers_; ++l) {
      if (net_.layer[l].instantaneous) find_post(l, t);
      if (net_.layer[l].memory) find_jacobian(l, t);
    }
    meet(team_);  // signals are complete, and nobody needs the weights and constants of this step any more
    const bool due = t >= net_.first_target && ((t + 1) % net_.every == 0 || t + 1 == net_.network.steps);
    for (int64_t group = 0; group < 2; ++group)
      if (!learn_group(group, t, due)) return false;
    updates_ += due;
    meet(team_);
    return true;
  }

  bool learn_group(int64_t group, int64_t t, bool due) {
    const bool clips_traces = net_.trace_clip < __builtin_inf();
    const bool updates = due && net_.optimizer[group].rule != Rule::none;
    const bool looks = updates && (net_.watch || net_.gradient_clip < __builtin_inf());
    if (clips_traces) advance_and_clip(group, t);
    for_group(group, [&](const OnlineTrace<T>& a) { learn_rows(a, reading(a, t, !clips_traces), updates, looks); });
    return !updates || finish_group(group, t, looks);
  }

  // Moves this member's rows on (unless that is done), and uses their gradients or what is needed of them later.
  void learn_rows(const OnlineTrace<T>& a, const Reading<T>& at, bool updates, bool looks) {
    const bool advance = !(net_.trace_clip < __builtin_inf());
    const bool now = updates && !looks && a.grad == nullptr;
    const Step<T> step = step_for(a, a.steps, 1), sign_step = step_for(a, a.sign_steps, 1);
    if (advance) remember(a, at);
    if (is_plain(a) && advance) return now ? update_plain(a, at, true, step) : advance_plain(a, at);
    for (int64_t i = first_row(a); i < last_row(a); ++i) {
      T sign = gradient_row(a, at, i, advance, gradient_);
      if (a.grad != nullptr) {
        add_row(a.stride, gradient_, a.grad + i * a.stride);
        if (a.sign_grad != nullptr) a.sign_grad[i] += sign;
      } else if (updates) {
        store_gradient(a, i, gradient_, sign);
        now ? update_row(a, i, step, sign_step, gradient_, sign)
            : void(square_at(a, i) = square_of(a.stride, gradient_, sign));
      }
    }
  }

  Step<T> step_for(const OnlineTrace<T>& a, double count, double scale) const {
    return step_of<T>(net_.optimizer[a.group], count + static_cast<double>(updates_ + 1), scale);
  }

  // The gradient of a row that was accumulated, or once more from the traces; as it is stored.
  T stored_gradient(const OnlineTrace<T>& a, const Reading<T>& at, int64_t i) {
    T sign = a.sign_grad == nullptr ? T(0) : a.sign_grad[i];
    if (a.grad != nullptr) {
      copy_row(a.stride, a.grad + i * a.stride, gradient_);
    } else {
      sign = gradient_row(a, at, i, false, gradient_);
    }
    store_gradient(a, i, gradient_, sign);
    return sign;
  }

  // Updates that had to wait: for the norm of all gradients, or for the steps between two updates.
  bool finish_group(int64_t group, int64_t t, bool looks) {
    double scale = 1;
    if (looks) {
      for_group(group, [&](const OnlineTrace<T>& a) {
        for (int64_t i = first_row(a); a.grad != nullptr && i < last_row(a); ++i) {
          const T sign = stored_gradient(a, {}, i);
          square_at(a, i) = square_of(a.stride, gradient_, sign);
        }
      });
      const double norm = __builtin_sqrt(squared_norm(group));
      if (net_.watch && !(norm < __builtin_inf())) {
        if (team_.rank == 0) *net_.found = 1 + group;
        return false;
      }
      if (net_.gradient_clip < __builtin_inf()) scale = factor_of(net_.gradient_clip, norm);
    }
    for_group(group, [&](const OnlineTrace<T>& a) {
      if (looks || a.grad != nullptr) finish_rows(a, reading(a, t, false), scale);
    });
    return true;
  }

  void finish_rows(const OnlineTrace<T>& a, const Reading<T>& at, double scale) {
    const Step<T> step = step_for(a, a.steps, scale), sign_step = step_for(a, a.sign_steps, scale);
    if (is_plain(a)) return update_plain(a, at, false, step);
    for (int64_t i = first_row(a); i < last_row(a); ++i) {
      const T sign = stored_gradient(a, at, i);
      update_row(a, i, step, sign_step, gradient_, sign);
      if (a.grad == nullptr) continue;
      __builtin_memset(a.grad + i * a.stride, 0, static_cast<size_t>(a.stride) * sizeof(T));
      if (a.sign_grad != nullptr) a.sign_grad[i] = T(0);
    }
  }

  const Online<T>& net_;
  const Team& team_;
  Arena arena_;
  int64_t batch_, layers_, widest_, updates_ = 0;
  Solvers<T> solvers_;
  NetworkMatrices<T> matrices_;
  T *current_[kBlock], *recurrent_[kBlock], *seen_[kBlock];
  T *zeros_, *ones_, *value_, *rows_, *gradient_, *pre_, *constants_;
  int32_t* index_;
  Local<T>* local_;
  T **errors_, **reduced_, **slopes_, **signals_;
  double** squares_;
  Recent<T>* recent_;
};

template <class T>
void online_run(const Online<T>& net, const Team& team) {
  const FlushDenormals flush;
  OnlineRun<T>(net, team).run();
}

NT_NAMESPACE_END
