// One step of recursive least squares. Torch-free.
#pragma once

#include <cstdint>

namespace nt {

// k = P phi, h = 1 / (gain + kappa phi^T k), W -= rate h k e^T, P = keep P - take h k k^T.
template <class T>
struct RlsUpdate {
  int64_t inputs = 0, outputs = 0;
  T* inverse = nullptr;  // P [inputs, inputs], symmetric: updated, and exactly symmetric again
  T* weight = nullptr;   // W [inputs, outputs] in rows of weight_stride: updated
  int64_t weight_stride = 0;
  const T* regressor = nullptr;  // phi [inputs]
  const T* error = nullptr;      // e [outputs]
  T* direction = nullptr;        // k [inputs]: written
  T gain = T(1), kappa = T(1), keep = T(1), take = T(1), rate = T(1);
};

}  // namespace nt
