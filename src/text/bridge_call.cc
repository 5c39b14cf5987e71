#include "text/bridge_call.h"

namespace reprise {

BridgeText::~BridgeText() { reprise_text_free(text_); }

BridgeIds::~BridgeIds() { reprise_ids_free(ids_); }

}  // namespace reprise
