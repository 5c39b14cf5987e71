#pragma once

// After a chat reply: sees to it that the conversation's next turn finds everything up to the
// reply's end in the cache, also where the client's text is tokenised otherwise than it was
// sampled. Works on a worker thread; nobody waits for it.

#include <memory>
#include <string>
#include <vector>

#include "api/service.h"
#include "vendor/call.h"

namespace reprise {

// Prefills, at background priority, what the next turn's prompt will have where the tokens cached
// by the reply diverge from it; nothing when they agree. I/O thread.
void PrefillContinuation(Service& service, const WorkOrder& order, std::shared_ptr<const Call> call,
                         std::vector<TokenId> reply, std::string text);

}  // namespace reprise
