#include "rls.h"

namespace nt {

Tensor rls_update(Tensor inverse, Tensor weight, const Tensor& regressor, const Tensor& error, double gain,
                  double kappa, double keep, double take, double rate) {
  const int64_t n = regressor.dim() == 1 ? regressor.size(0) : -1, m = error.dim() == 1 ? error.size(0) : -1;
  require_shape("regressor", regressor, {-1});
  require_shape("error", error, {-1});
  require_shape("inverse", inverse, {n, n});
  require_shape("weight", weight, {n, m});
  for (const auto& [name, t] :
       {std::pair<const char*, const Tensor&>{"weight", weight}, {"regressor", regressor}, {"error", error}}) {
    require(t.scalar_type() == inverse.scalar_type(), std::string(name) + ": expected the dtype of inverse");
    require(t.device() == inverse.device(), std::string(name) + ": expected the device of inverse");
  }
  require(inverse.is_contiguous(), "inverse: expected a contiguous matrix");
  require(m <= 1 || weight.stride(1) == 1, "weight: expected rows with adjacent entries");
  const Tensor direction = empty_of(inverse, {n});
  const Tensor phi = torch::stable::contiguous(regressor), e = torch::stable::contiguous(error);
  dispatch(inverse, "inverse", [&](auto tag) {
    using T = decltype(tag);
    RlsUpdate<T> a;
    a.inputs = n, a.outputs = m;
    a.inverse = inverse.mutable_data_ptr<T>(), a.weight = weight.mutable_data_ptr<T>();
    a.weight_stride = weight.stride(0);
    a.regressor = phi.const_data_ptr<T>(), a.error = e.const_data_ptr<T>();
    a.direction = direction.mutable_data_ptr<T>();
    a.gain = static_cast<T>(gain), a.kappa = static_cast<T>(kappa), a.keep = static_cast<T>(keep);
    a.take = static_cast<T>(take), a.rate = static_cast<T>(rate);
    of<T>(kernels()).rls_update(a);
  });
  return direction;
}

}  // namespace nt
