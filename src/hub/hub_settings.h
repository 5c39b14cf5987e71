#pragma once

// Where the hub is, who asks, and where models are kept: the environment variables of the hub's own
// tools, so that what is set for them holds here too. Their meanings:
// https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
//
//   HF_ENDPOINT                        another hub, or a mirror
//   HF_TOKEN, HF_TOKEN_PATH            the token, or the file of it; else the file of HF_HOME
//   HF_HUB_CACHE, HF_HOME              the folder of models, else $HF_HOME/hub, else
//                                      ~/.cache/huggingface/hub (or in $XDG_CACHE_HOME)
//   HF_HUB_OFFLINE                     1: nothing is asked of the network
//   HF_HUB_DOWNLOAD_TIMEOUT            seconds of silence after which a transfer is given up
//
// Values; any thread.

#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/limits.h"

namespace reprise {

struct HubSettings {
  std::string endpoint = "https://huggingface.co";  // without a slash at its end
  std::string token;                                // empty: nobody is said to ask
  std::string token_source;                         // the variable or file it is from
  std::string cache_folder;
  bool offline = false;
  int stall_seconds = limits::kHubStallSeconds;
};

// A variable's value; nullopt where it is not set.
using Environment = std::function<std::optional<std::string>(const char* name)>;

Environment ProcessEnvironment();

// Reads the token's file too. kInvalidArgument: an endpoint that is no URL, a token that no header
// can hold, no folder for models (neither HOME nor another of the above is set).
Result<HubSettings> ReadHubSettings(const Environment& environment = ProcessEnvironment());

}  // namespace reprise
