// Stands in for cuda.cpp in a build without CUDA.
#include "cuda.h"

namespace nt {

namespace {
[[noreturn]] void refuse() {
  throw std::invalid_argument(
      "device: this neurotorch was built without CUDA; build it with NEUROTORCH_CUDA=1 or move the tensors to the CPU");
}
}  // namespace

template <class T>
void cuda_layer_forward(const LayerForward<T>&, const Tensor&) {
  refuse();
}
template <class T>
void cuda_layer_backward(const LayerBackward<T>&, const Tensor&) {
  refuse();
}
template void cuda_layer_forward(const LayerForward<float>&, const Tensor&);
template void cuda_layer_forward(const LayerForward<double>&, const Tensor&);
template void cuda_layer_backward(const LayerBackward<float>&, const Tensor&);
template void cuda_layer_backward(const LayerBackward<double>&, const Tensor&);

}  // namespace nt
