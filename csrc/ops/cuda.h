// The CUDA drivers as the operators see them: errors where none is built.
#pragma once

#include "tensors.h"

namespace nt {

template <class T>
void cuda_layer_forward(const LayerForward<T>& a, const Tensor& x);
template <class T>
void cuda_layer_backward(const LayerBackward<T>& a, const Tensor& x);

}  // namespace nt
