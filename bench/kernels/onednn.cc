#include "onednn.h"

#include <cstring>
#include <dnnl.hpp>
#include <unordered_map>

namespace reprise::bench {

struct OnednnProduct::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::matmul product;
  std::unordered_map<int, dnnl::memory> arguments;
};

OnednnProduct::OnednnProduct(OnednnType type, int64_t rows, int64_t inputs, int64_t outputs)
    : state_(std::make_unique<State>()) {
  using dnnl::memory;
  const bool int8 = type == OnednnType::kInt8;
  const auto x_type = int8 ? memory::data_type::u8 : memory::data_type::bf16;
  const auto w_type = int8 ? memory::data_type::s8 : memory::data_type::bf16;
  const auto y_type = int8 ? memory::data_type::s32 : memory::data_type::f32;
  const memory::desc x({rows, inputs}, x_type, memory::format_tag::ab);
  const memory::desc w({inputs, outputs}, w_type, memory::format_tag::any);
  const memory::desc y({rows, outputs}, y_type, memory::format_tag::ab);
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(x, w, y), state_->engine);
  state_->product = dnnl::matmul(description);
  state_->arguments = {{DNNL_ARG_SRC, memory(description.src_desc(), state_->engine)},
                       {DNNL_ARG_WEIGHTS, memory(description.weights_desc(), state_->engine)},
                       {DNNL_ARG_DST, memory(description.dst_desc(), state_->engine)}};
  for (auto& [argument, data] : state_->arguments) {
    std::memset(data.get_data_handle(), 0x3c, data.get_desc().get_size());  // bf16 0.0115
  }
}

OnednnProduct::~OnednnProduct() = default;

void OnednnProduct::Run() {
  state_->product.execute(state_->stream, state_->arguments);
  state_->stream.wait();
}

}  // namespace reprise::bench
