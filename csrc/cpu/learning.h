// Rows of e-prop: eligibility traces, gradients and optimisers of one row of synapses (all of one presynaptic neuron).
#pragma once

#include "driver.h"
#include "online_arguments.h"

NT_NAMESPACE_BEGIN

// Sum over j < n of f(j), in the same order in every instruction set; n is a multiple of the padding.
template <class T, class F>
NT_HD T lane_sum(int64_t n, F f) {
  constexpr int64_t kLanes = 64 / static_cast<int64_t>(sizeof(T));
  constexpr int kSums = 4;  // independent ones hide the latency of an addition
  T sum[kSums][kLanes] = {};
  int64_t j = 0;
  for (; j + kSums * kLanes <= n; j += kSums * kLanes)
    for (int k = 0; k < kSums; ++k) {
      NT_SIMD
      for (int64_t q = 0; q < kLanes; ++q) sum[k][q] += f(j + k * kLanes + q);
    }
  for (; j < n; j += kLanes) {
    NT_SIMD
    for (int64_t q = 0; q < kLanes; ++q) sum[0][q] += f(j + q);
  }
  T total = T(0);
  for (int64_t q = 0; q < kLanes; ++q) total += (sum[0][q] + sum[1][q]) + (sum[2][q] + sum[3][q]);
  return total;
}

// Local derivatives of one layer at one step, for all samples. Zeroed memory is one without any.
template <class T>
struct Local {
  int64_t states = 0, output = 0, rows = 0, stride = 0;  // rows: constants
  T* jacobian = nullptr;                                 // [B, states, states, stride]: d(state s)/d(state r before)
  T* input = nullptr;                                    // [B, states, stride]: d(state s)/d(current)
  T* constant = nullptr;                                 // [B, states, rows, stride]: d(state s)/d(constant)
  T* post = nullptr;                                     // [B, stride]: d(output)/d(current), states before held
  T* post_constant = nullptr;                            // [B, rows, stride]
  T* gain = nullptr;                                     // [B, stride]: derivative of an activation behind the states
  unsigned reads[kMaxStates] = {};                       // which states the derivative of a state is not zero in

  const T* jacobian_row(int64_t b, int64_t s, int64_t r) const {
    return jacobian + ((b * states + s) * states + r) * stride;
  }
  const T* input_row(int64_t b, int64_t s) const { return input + (b * states + s) * stride; }
  const T* constant_row(int64_t b, int64_t s, int64_t c) const {
    return constant + ((b * states + s) * rows + c) * stride;
  }
  const T* post_constant_row(int64_t b, int64_t c) const { return post_constant + (b * rows + c) * stride; }
};

// What one trace reads at one step: presynaptic entries and postsynaptic derivatives of every sample.
template <class T>
struct Reading {
  const Local<T>* local = nullptr;
  const T* pre = nullptr;  // [B, pre_stride]; null: ones
  int64_t pre_stride = 0, batch = 0, step = 0;
  const T* post = nullptr;  // [B, post_stride]
  int64_t post_stride = 0;

  T entry(int64_t b, int64_t i) const { return pre == nullptr ? T(1) : pre[b * pre_stride + i]; }
};

// A filtered outer product as its last terms, where older ones are below any rounding: f = sum of pole^k x(t-k) p(t-k)^T.
// Neither f nor a pass over it is needed then: rows are made from a few vectors, their norms from products of these.
template <class T>
struct Recent {
  static constexpr int64_t kTerms = 4;

  // Whether pole^kTerms is far below rounding.
  static bool is_enough(double pole) { return pole * pole * pole * pole <= (sizeof(T) == 4 ? 1e-11 : 1e-19); }

  T* pre[kTerms] = {};     // [rows]; null: the trace is kept in full
  T* post[kTerms] = {};    // [stride]
  T power[kTerms] = {};    // of the pole
  double* gram = nullptr;  // [kTerms, kTerms] of the posts times the learning signal

  explicit operator bool() const { return pre[0] != nullptr; }
  int64_t place(int64_t t, int64_t k) const { return (t + kTerms - k) % kTerms; }
};

// Row i of a trace as a function of the column.
template <class T>
struct RecentRow {
  T factor[Recent<T>::kTerms];
  const T* post[Recent<T>::kTerms];

  RecentRow(const Recent<T>& recent, int64_t t, int64_t i) {
    for (int64_t k = 0; k < Recent<T>::kTerms; ++k) {
      factor[k] = recent.power[k] * recent.pre[recent.place(t, k)][i];
      post[k] = recent.post[recent.place(t, k)];
    }
  }
  T operator()(int64_t j) const {
    T f = factor[3] * post[3][j];
    f = NT_FMA(factor[2], post[2][j], f);
    f = NT_FMA(factor[1], post[1][j], f);
    return NT_FMA(factor[0], post[0][j], f);
  }
};

// e of one row without memory: the outer product, summed over the samples of the set.
template <class T>
void outer_row(const OnlineTrace<T>& a, const Reading<T>& at, int64_t set, int64_t i, T* e) {
  const int64_t first = a.sets == 1 ? 0 : set, last = a.sets == 1 ? at.batch : set + 1;
  for (int64_t b = first; b < last; ++b) {
    const T x = at.entry(b, i);
    const T* post = at.post + b * at.post_stride;
    if (b == first) {
      NT_SIMD
      for (int64_t j = 0; j < a.stride; ++j) e[j] = x * post[j];
    } else if (x != T(0)) {
      NT_SIMD
      for (int64_t j = 0; j < a.stride; ++j) e[j] = NT_FMA(x, post[j], e[j]);
    }
  }
}

template <class T>
const T* gained(const Local<T>& local, int64_t set, int64_t n, const T* e, T* out) {
  if (local.gain == nullptr) return e;
  const T* gain = local.gain + set * local.stride;
  NT_SIMD
  for (int64_t j = 0; j < n; ++j) out[j] = gain[j] * e[j];
  return out;
}

template <class T>
T* vector_row(const OnlineTrace<T>& a, int64_t states, int64_t set, int64_t s, int64_t i) {
  return a.vectors + ((set * states + s) * a.rows + i) * a.stride;
}

// vector <- J vector + b pre. `next` holds a row per state.
template <class T>
const T* memory_row(const OnlineTrace<T>& a, const Reading<T>& at, int64_t set, int64_t i, T* next) {
  const Local<T>& local = *at.local;
  const T x = at.entry(set, i);
  const int64_t n = a.stride;
  for (int64_t s = 0; s < local.states; ++s) {
    T* row = next + s * n;
    const T* in = a.source == Source::constant ? local.constant_row(set, s, a.constant) : local.input_row(set, s);
    NT_SIMD
    for (int64_t j = 0; j < n; ++j) row[j] = x * in[j];
    for (int64_t r = 0; r < local.states; ++r) {
      if ((local.reads[s] >> r & 1u) == 0) continue;
      const T *jacobian = local.jacobian_row(set, s, r), *before = vector_row(a, local.states, set, r, i);
      NT_SIMD
      for (int64_t j = 0; j < n; ++j) row[j] = NT_FMA(jacobian[j], before[j], row[j]);
    }
  }
  for (int64_t s = 0; s < local.states; ++s) copy_row(n, next + s * n, vector_row(a, local.states, set, s, i));
  return vector_row(a, local.states, set, local.output, i);
}

// Moves the trace of one row on by a step and returns it. `scratch` holds a row per state and one more.
template <class T>
const T* advance_row(const OnlineTrace<T>& a, const Reading<T>& at, int64_t set, int64_t i, T* scratch) {
  const int64_t n = a.stride;
  T* last = scratch + kMaxStates * n;
  const T* e = last;
  if (a.memory) {
    e = gained(*at.local, set, n, memory_row(a, at, set, i, scratch), last);
  } else {
    outer_row(a, at, set, i, last);
  }
  for (int64_t q = 0; q < a.poles; ++q) {
    T* filtered = a.filtered[q] + (set * a.rows + i) * n;
    const T pole = a.pole[q];
    NT_SIMD
    for (int64_t j = 0; j < n; ++j) filtered[j] = NT_FMA(pole, filtered[j], e[j]);
    e = filtered;
  }
  return e;
}

// The same trace again, after it moved on.
template <class T>
const T* peek_row(const OnlineTrace<T>& a, const Reading<T>& at, int64_t set, int64_t i, T* scratch) {
  if (a.poles > 0) return a.filtered[a.poles - 1] + (set * a.rows + i) * a.stride;
  T* last = scratch + kMaxStates * a.stride;
  if (a.memory)
    return gained(*at.local, set, a.stride, vector_row(a, at.local->states, set, at.local->output, i), last);
  outer_row(a, at, set, i, last);
  return last;
}

// ---- optimisers ----------------------------------------------------------------------------------------------

// One update in the numbers of its rows; `scale` is that of the gradient (clipping, ascent).
template <class T>
struct Step {
  Rule rule;
  T scale, decay, rate, weight_decay, beta1, beta2, root, epsilon;
};

template <class T>
Step<T> step_of(const OnlineOptimizer& o, double count, double scale) {
  Step<T> s{};
  s.rule = o.rule;
  s.scale = static_cast<T>(o.maximize ? -scale : scale);
  s.decay = static_cast<T>(1 - o.rate * o.weight_decay);
  s.rate = static_cast<T>(o.rate), s.weight_decay = static_cast<T>(o.weight_decay);
  if (o.rule != Rule::adamw) return s;
  s.rate = static_cast<T>(o.rate / (1 - __builtin_pow(o.beta1, count)));
  s.root = static_cast<T>(1 / __builtin_sqrt(1 - __builtin_pow(o.beta2, count)));
  s.beta1 = static_cast<T>(1 - o.beta1), s.beta2 = static_cast<T>(o.beta2);
  s.epsilon = static_cast<T>(o.epsilon);
  return s;
}

// One update of w with gradient g(j); m and v are moved on.
template <class T, class G>
void adamw_row(const Step<T>& s, int64_t n, G g, T* w, T* m, T* v) {
  const Step<T> step = s;
  const T fresh = T(1) - step.beta2;
  NT_SIMD
  for (int64_t j = 0; j < n; ++j) {
    const T grad = step.scale * g(j);
    const T mean = NT_FMA(grad - m[j], step.beta1, m[j]);
    const T square = NT_FMA(step.beta2, v[j], fresh * (grad * grad));
    m[j] = mean, v[j] = square;
    w[j] = w[j] * step.decay - step.rate * (mean / NT_FMA(square_root(square), step.root, step.epsilon));
  }
}

template <class T, class G>
void sgd_row(const Step<T>& s, int64_t n, G g, T* w) {
  const Step<T> step = s;
  NT_SIMD
  for (int64_t j = 0; j < n; ++j) w[j] -= step.rate * NT_FMA(step.weight_decay, w[j], step.scale * g(j));
}

template <class T, class G>
void optimizer_row(const Step<T>& s, int64_t n, G g, T* w, T* m, T* v) {
  s.rule == Rule::adamw ? adamw_row(s, n, g, w, m, v) : sgd_row(s, n, g, w);
}

// `twin` takes the step that w is about to take with gradient g, and its own decay.
template <class T>
void twin_row(const Step<T>& s, int64_t n, const T* g, const T* m, const T* v, T* twin) {
  const T fresh = T(1) - s.beta2;
  for (int64_t j = 0; j < n; ++j) {
    const T grad = s.scale * g[j];
    if (s.rule == Rule::sgd) {
      twin[j] -= s.rate * NT_FMA(s.weight_decay, twin[j], grad);
      continue;
    }
    const T mean = NT_FMA(grad - m[j], s.beta1, m[j]), square = NT_FMA(s.beta2, v[j], fresh * (grad * grad));
    twin[j] = twin[j] * s.decay - s.rate * (mean / NT_FMA(square_root(square), s.root, s.epsilon));
  }
}

// What the network reads of a stored number, and its derivative.
template <class T>
NT_HD T mapped(Map map, T scale, T w) {
  switch (map) {
    case Map::identity:
      return w;
    case Map::square:
      return w * w;
    case Map::rate:
      return scale / (w * w);
    case Map::logistic:
      return nt_sigmoid(w);
    case Map::exponential:
      return nt_exp(w);
  }
  return w;
}

template <class T>
NT_HD T mapped_slope(Map map, T scale, T w) {
  switch (map) {
    case Map::identity:
      return T(1);
    case Map::square:
      return T(2) * w;
    case Map::rate:
      return T(-2) * scale / (w * w * w);
    case Map::logistic: {
      const T y = nt_sigmoid(w);
      return y * (T(1) - y);
    }
    case Map::exponential:
      return nt_exp(w);
  }
  return T(1);
}

// What the network reads of one row of stored weights.
template <class T>
void effective_row(const OnlineTrace<T>& a, int64_t i) {
  if (a.effective == a.weight) return;
  const T* w = a.weight + i * a.stride;
  T* out = a.effective + i * a.stride;
  if (a.scalar) {
    const T value = mapped(a.map, a.map_scale, w[0]);
    for (int64_t j = 0; j < a.columns; ++j) out[j] = value;
    return;
  }
  if (a.map != Map::identity) {
    for (int64_t j = 0; j < a.columns; ++j) out[j] = mapped(a.map, a.map_scale, w[j]);
    return;
  }
  const T sign = a.sign == nullptr ? T(1) : nt_tanh(a.sign[i]);
  NT_SIMD
  for (int64_t j = 0; j < a.columns; ++j) out[j] = a.sign == nullptr ? w[j] : w[j] * w[j] * sign;
  if (a.mask == nullptr) return;
  const T* mask = a.mask + i * a.stride;
  NT_SIMD
  for (int64_t j = 0; j < a.columns; ++j) out[j] *= mask[j];
}

NT_NAMESPACE_END
