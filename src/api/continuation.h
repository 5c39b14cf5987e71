#pragma once

// After a chat reply: sees to it that the conversation's next turn finds everything up to the
// reply's end in the cache, also where the client's text is tokenised otherwise than it was
// sampled. Works on a worker thread; nobody waits for it.

#include <memory>

#include "api/service.h"
#include "vendor/call.h"
#include "vendor/choice.h"

namespace reprise {

// Remembers what the choice wrote if it called tools (prompt/reply_memory.h), and prefills, at
// background priority, what the next turn's prompt will have where the tokens cached by the reply
// diverge from it; nothing when they agree, unless a grammar forced the reply's last tokens, whose
// K and V were not computed. Where the reply is to be kept, that is promised too. REQUIRES: it has
// finished. I/O thread.
void PrepareNextTurn(Service& service, const WorkOrder& order, std::shared_ptr<const Call> call,
                     const Choice& choice);

}  // namespace reprise
