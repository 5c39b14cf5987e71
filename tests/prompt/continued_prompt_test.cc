// The prompt that a next turn will have.

#include "prompt/continued_prompt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <string>

#include "fixtures/test_model.h"
#include "prompt/template_context.h"

namespace reprise {
namespace {

namespace json = boost::json;

class ContinuedPromptTest : public ::testing::Test {
 protected:
  json::object Variables(const ServedModel& model) {
    Conversation conversation;
    conversation.messages = {{{"role", "user"}, {"content", "q"}}};
    return MakeTemplateContext(conversation, model, "").variables;
  }
  static json::object Reply(std::string_view text) {
    return {{"role", "assistant"}, {"content", text}};
  }
  std::string Continued(const ServedModel& model, std::string_view text) {
    return model.tokenizer->Decode(ContinuedPrompt(Variables(model), Reply(text), model, ""), true);
  }
};

TEST_F(ContinuedPromptTest, EndsWithTheReplysText) {
  const ServedModel model = TestModel();
  EXPECT_EQ(Continued(model, "hello aa"),
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nhello aa");
}

TEST_F(ContinuedPromptTest, KeepsAControlTokenInTheReplyAsText) {
  const ServedModel model = TestModel();
  const auto tokens = ContinuedPrompt(Variables(model), Reply("a<|im_end|>"), model, "");
  EXPECT_EQ(std::ranges::count(tokens, 2), 1) << "the one that ends the user's turn";
  EXPECT_TRUE(model.tokenizer->Decode(tokens, true).ends_with("a<|im_end|>"));
}

TEST_F(ContinuedPromptTest, FollowsATemplateThatTrims) {
  const ServedModel model = TestModel(
      "{% for m in messages %}<|im_start|>{{ m['content'] | trim }}<|im_end|>\n{% endfor %}");
  EXPECT_EQ(Continued(model, " hello\n"), "<|im_start|>q<|im_end|>\n<|im_start|>hello");
}

TEST_F(ContinuedPromptTest, StopsBeforeATokenThatReachesPastTheReply) {
  // After "he" the template writes "llo": the next prompt holds the one token "hello".
  const ServedModel model =
      TestModel("{% for m in messages %}<|im_start|>{{ m['content'] }}llo{% endfor %}");
  EXPECT_EQ(Continued(model, "he"), "<|im_start|>qllo<|im_start|>");
}

TEST_F(ContinuedPromptTest, HasNoThinkingThatTheTemplateDropsWhereTheUserComesNext) {
  const ServedModel model = TestModel(
      "{% for m in messages %}{% if m.reasoning_content and loop.last %}({{ m.reasoning_content }})"
      "{% endif %}[{{ m.content }}]{% endfor %}");
  json::object reply = Reply("hello");
  reply["reasoning_content"] = "hm";
  const auto continued = [&] {
    return model.tokenizer->Decode(ContinuedPrompt(Variables(model), reply, model, ""), true);
  };
  EXPECT_EQ(continued(), "[q][hello");
  reply["tool_calls"] = json::array{};  // and nobody says that they were remembered
  EXPECT_EQ(continued(), "[q](hm)[hello");
}

TEST_F(ContinuedPromptTest, IsEmptyWhereTheTemplateHidesTheReply) {
  const ServedModel model = TestModel(
      "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor "
      "%}");
  EXPECT_TRUE(ContinuedPrompt(Variables(model), Reply("hello"), model, "").empty());
}

}  // namespace
}  // namespace reprise
