#pragma once

// What a hub's refusal means, as a sentence that says what to do. The hub tells its reasons apart
// by the header X-Error-Code (RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo); to
// somebody unknown it answers 401 for a repository that does not exist as for one that is private.

#include <string_view>

#include "base/error.h"
#include "hub/hub_settings.h"
#include "hub/model_reference.h"
#include "hub/transfer.h"

namespace reprise {

// kUnauthorized (401), kForbidden (403), kNotFound (404), kOverloaded (429), else kIo.
// `path`: the file that was asked for; empty: the repository's listing. REQUIRES: reply.status is
// not that of success.
Error RefusalOf(const HubReply& reply, const ModelReference& reference, std::string_view path,
                const HubSettings& settings);

}  // namespace reprise
