// Hands the CUDA drivers the current stream and turns what they refuse into errors.
#include "cuda.h"

#include <cuda_runtime_api.h>
#include <torch/csrc/stable/accelerator.h>

#include "../cuda/layer.h"

namespace nt {

namespace {

template <class Arguments, class Driver>
void launch(const Arguments& a, const Tensor& x, Driver driver) {
  const char* name = kernels().models[a.model].name;
  require(cuda::supported(a.model, a.activation),
          std::string("device: ") + name + " has no CUDA kernels yet; move the tensors to the CPU");
  const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
  const auto stream = torch::stable::accelerator::getCurrentStream(x.get_device_index());
  require(
      driver(a, static_cast<CUstream_st*>(stream.nativeHandle())),
      "recurrent_weight: " + std::to_string(a.neurons) + " neurons do not fit into the shared memory of this device");
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) throw std::runtime_error(std::string(name) + ": " + cudaGetErrorString(error));
}

}  // namespace

template <class T>
void cuda_layer_forward(const LayerForward<T>& a, const Tensor& x) {
  launch(a, x, &cuda::layer_forward<T>);
}
template <class T>
void cuda_layer_backward(const LayerBackward<T>& a, const Tensor& x) {
  launch(a, x, &cuda::layer_backward<T>);
}
template void cuda_layer_forward(const LayerForward<float>&, const Tensor&);
template void cuda_layer_forward(const LayerForward<double>&, const Tensor&);
template void cuda_layer_backward(const LayerBackward<float>&, const Tensor&);
template void cuda_layer_backward(const LayerBackward<double>&, const Tensor&);

}  // namespace nt
