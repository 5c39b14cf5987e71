#pragma once

// What every call into the Rust bridge needs: views of our text, and buffers of the bridge that
// free themselves. Only for the sources of this folder. Values; any thread.

#include <string>
#include <string_view>

#include "bridge/reprise_bridge.h"

namespace reprise {

inline RepriseView ViewOf(std::string_view text) { return {text.data(), text.size()}; }

class BridgeText {
 public:
  BridgeText() = default;
  BridgeText(const BridgeText&) = delete;
  BridgeText& operator=(const BridgeText&) = delete;
  ~BridgeText();

  RepriseText* out() { return &text_; }
  std::string_view view() const { return {text_.data, text_.size}; }
  std::string str() const { return std::string(view()); }

 private:
  RepriseText text_{nullptr, 0};
};

class BridgeIds {
 public:
  BridgeIds() = default;
  BridgeIds(const BridgeIds&) = delete;
  BridgeIds& operator=(const BridgeIds&) = delete;
  ~BridgeIds();

  RepriseIds* out() { return &ids_; }
  const int32_t* begin() const { return ids_.data; }
  const int32_t* end() const { return ids_.data + ids_.size; }

 private:
  RepriseIds ids_{nullptr, 0};
};

}  // namespace reprise
