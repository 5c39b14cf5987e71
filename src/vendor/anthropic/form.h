#pragma once

// What Anthropic's requests say of the reply's form: tool_choice, output_config.format (or
// output_format), and thinking. Free functions; any thread.

#include <boost/json.hpp>

#include "vendor/json_reader.h"
#include "vendor/wanted_form.h"

namespace reprise {

// Faults stay in `fields`. What templates want to know of it is added to `arguments`.
WantedForm ReadAnthropicForm(FieldReader& fields, boost::json::object& arguments);

}  // namespace reprise
