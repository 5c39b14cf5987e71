#include "dialect/reply_reader.h"

#include <array>
#include <boost/json.hpp>
#include <utility>

#include "dialect/call_formats.h"
#include "dialect/json_scanner.h"
#include "dialect/marks.h"
#include "dialect/reply_input.h"

namespace reprise {
namespace {

constexpr size_t kMaxHeaderBytes = 512;  // of a message of gpt-oss

// How a family's calls begin: with a mark, or as the whole reply with a bracket.
struct CallBeginning {
  std::array<std::string_view, 2> marks = {};  // an empty one is none
  std::string_view brackets = {};
  Parse (*read)(ReplyInput&, CallSink&) = nullptr;
};

CallBeginning BeginningOf(ToolFormat format) {
  switch (format) {
    case ToolFormat::kHermes:
      return {.marks = {marks::kToolCall}, .read = ReadHermesCall};
    case ToolFormat::kQwenCoder:
      return {.marks = {marks::kToolCall}, .read = ReadQwenCoderCall};
    case ToolFormat::kLlama:
      return {.marks = {marks::kPythonTag}, .brackets = "{", .read = ReadLlamaCalls};
    case ToolFormat::kPythonic:
      return {.marks = {marks::kPythonStart}, .brackets = "[", .read = ReadPythonicCalls};
    case ToolFormat::kMistral:
    case ToolFormat::kMistralNamed:
      return {.marks = {marks::kMistralCalls}, .read = ReadMistralCalls};
    case ToolFormat::kDeepSeek:
    case ToolFormat::kDeepSeekFenced:
      return {.marks = {marks::kDeepSeekCalls}, .read = ReadDeepSeekCalls};
    case ToolFormat::kKimi:
      return {.marks = {marks::kKimiCalls}, .read = ReadKimiCalls};
    case ToolFormat::kFunctionGemma:
      return {.marks = {marks::kGemmaCall}, .read = ReadFunctionGemmaCall};
    case ToolFormat::kHarmony:
      break;  // its replies are messages: ReadMessages
  }
  return {};
}

// What follows "functions." in a message's header: whom it is for. Empty: the user.
std::string_view RecipientIn(std::string_view header) {
  constexpr std::string_view kTo = "to=functions.";
  const size_t at = header.find(kTo);
  if (at == header.npos) return {};
  const std::string_view name = header.substr(at + kTo.size());
  return name.substr(0, name.find_first_of(" \n\t<"));
}

}  // namespace

class ReplyReader::Run final : public CallSink {
  using Kind = ReplyPiece::Kind;

 public:
  explicit Run(Options options)
      : options_(std::move(options)),
        beginning_(BeginningOf(options_.dialect.tools)),
        reading_(Read()) {
    reading_.Start();
  }

  std::vector<ReplyPiece> Push(std::string_view text) {
    input_.Push(text);
    return std::exchange(pieces_, {});
  }

  std::vector<ReplyPiece> Finish(bool cut) {
    cut_ = cut;
    input_.Close();
    return std::exchange(pieces_, {});
  }

  // -- CallSink --
  bool Begin(std::string_view name) override {
    tool_ = options_.tools->Find(name);
    if (tool_ == nullptr) return false;
    Add(Kind::kCall, name);
    open_ = true;
    arguments_.clear();
    return true;
  }
  void Arguments(std::string_view json) override {
    arguments_ += json;
    Add(Kind::kArguments, json);
  }
  bool End() override {
    boost::system::error_code failure;
    boost::json::parse(arguments_, failure);
    if (failure) return false;
    Add(Kind::kCallEnd, "");
    open_ = false;
    called_ = true;
    space_.clear();
    input_.Settle();
    return true;
  }
  bool TakesText(std::string_view parameter) const override { return tool_->TakesText(parameter); }

 private:
  void Add(Kind kind, std::string_view text) {
    const bool goes_on =
        !pieces_.empty() && pieces_.back().kind == kind &&
        (kind == Kind::kText || kind == Kind::kThinking || kind == Kind::kArguments);
    if (goes_on) {
      pieces_.back().text += text;
    } else {
      pieces_.push_back({kind, std::string(text)});
    }
  }

  // White space is text only once there is text behind it.
  void AddWithSpace(Kind kind, std::string_view text) {
    if (!space_.empty()) Add(kind, std::exchange(space_, {}));
    Add(kind, text);
  }

  Parse Read() {
    if (options_.dialect.tools == ToolFormat::kHarmony) {
      co_await ReadMessages();
      co_return true;
    }
    bool thinks = options_.in_thinking;
    if (!thinks && !options_.dialect.think_begin.empty()) {
      co_await TakeSpace();
      thinks = co_await Takes(input_, options_.dialect.think_begin);
    }
    if (thinks) co_await ReadThinking();
    if (options_.tools != nullptr) {
      co_await ReadTextAndCalls();
    } else {
      co_await ReadText();
    }
    co_return true;
  }

  Parse TakeSpace() {
    for (;;) {
      const int byte = co_await input_.Peek();
      if (!IsJsonSpace(byte)) co_return true;
      space_ += static_cast<char>(byte);
      input_.Skip();
    }
  }

  Parse ReadThinking() {
    space_.clear();
    co_await SkipSpace(input_);
    const std::string_view end = options_.dialect.think_end;
    for (;;) {
      co_await TakeSpace();
      input_.Settle();
      const int byte = co_await input_.Peek();
      if (byte == ReplyInput::kEnd) co_return true;
      if (byte == static_cast<unsigned char>(end.front())) {
        const bool ends = co_await Takes(input_, end);
        if (ends) break;
      }
      const char letter = static_cast<char>(byte);
      AddWithSpace(Kind::kThinking, {&letter, 1});
      input_.Skip();
    }
    space_.clear();
    co_await SkipSpace(input_);
    co_return true;
  }

  Parse ReadText() {
    if (!space_.empty()) Add(Kind::kText, std::exchange(space_, {}));
    for (;;) {
      const int byte = co_await input_.Peek();
      if (byte == ReplyInput::kEnd) co_return true;
      const std::string_view rest = input_.rest();
      Add(Kind::kText, rest);
      input_.Skip(rest.size());
      input_.Settle();
    }
  }

  Parse ReadTextAndCalls() {
    for (bool whole_reply = true;; whole_reply = false) {
      co_await TakeSpace();
      input_.Settle();
      const int byte = co_await input_.Peek();
      if (byte == ReplyInput::kEnd) break;
      const bool begins = co_await BeginsCall(byte, whole_reply);
      if (begins) {
        co_await ReadCalls();
        continue;
      }
      const char letter = static_cast<char>(byte);
      AddWithSpace(Kind::kText, {&letter, 1});
      input_.Skip();
    }
    if (!space_.empty() && !called_) Add(Kind::kText, std::exchange(space_, {}));
    co_return true;
  }

  // Takes the mark, if it is one.
  Parse BeginsCall(int byte, bool whole_reply) {
    const auto letter = static_cast<char>(byte);
    if (whole_reply && beginning_.brackets.find(letter) != std::string_view::npos) co_return true;
    for (const std::string_view mark : beginning_.marks) {
      if (mark.empty() || mark.front() != letter) continue;
      const bool takes = co_await Takes(input_, mark);
      if (takes) co_return true;
    }
    co_return false;
  }

  Parse ReadCalls() {
    const bool whole = co_await beginning_.read(input_, *this);
    if (whole) {
      co_await SkipSpace(input_);
    } else {
      KeepAsText();
    }
    input_.Settle();
    co_return whole;
  }

  // What was taken since the last whole call is none.
  void KeepAsText() {
    const std::string text(input_.taken());
    if (!std::exchange(open_, false)) {
      if (!text.empty()) AddWithSpace(Kind::kText, text);
    } else {
      Add(cut_ ? Kind::kCutCall : Kind::kNoCall, std::exchange(space_, {}) + text);
    }
  }

  // The messages of gpt-oss: <|channel|>analysis<|message|>…<|end|><|start|>assistant …
  Parse ReadMessages() {
    for (;;) {
      input_.Settle();
      const int byte = co_await input_.Peek();
      if (byte == ReplyInput::kEnd) co_return true;
      std::string header;
      bool found = co_await Takes(input_, marks::kStart);
      bool has_header = found;
      if (!found) has_header = co_await Sees(input_, marks::kChannel);
      if (has_header) {
        found = co_await ReadUntil(input_, marks::kMessage, kMaxHeaderBytes, header);
        if (!found) {
          KeepAsText();
          continue;
        }
      }
      const std::string_view recipient = RecipientIn(header);
      if (!recipient.empty() && options_.tools != nullptr) {
        found = co_await ReadMessageCall(recipient);
        if (!found) KeepAsText();
      } else {
        const bool thinks = header.find("analysis") != header.npos;
        input_.Settle();
        co_await ReadMessageText(thinks ? Kind::kThinking : Kind::kText);
      }
    }
  }

  Parse ReadMessageCall(std::string_view name) {
    if (!Begin(name)) co_return false;
    co_await SkipSpace(input_);
    const bool found = co_await ReadArguments(input_, *this);
    if (!found || !End()) co_return false;
    co_await SkipSpace(input_);
    bool ends = co_await Takes(input_, marks::kCall);
    if (!ends) ends = co_await Takes(input_, marks::kEnd);
    co_return true;
  }

  Parse ReadMessageText(Kind kind) {
    for (;;) {
      input_.Settle();
      const int byte = co_await input_.Peek();
      if (byte == ReplyInput::kEnd) co_return true;
      if (byte == '<') {
        for (const std::string_view mark : {marks::kEnd, marks::kReturn, marks::kCall}) {
          const bool ends = co_await Takes(input_, mark);
          if (ends) co_return true;
        }
        const bool next = co_await Sees(input_, marks::kStart);
        if (next) co_return true;
      }
      const char letter = static_cast<char>(byte);
      Add(kind, {&letter, 1});
      input_.Skip();
    }
  }

  const Options options_;
  const CallBeginning beginning_;
  ReplyInput input_;
  std::vector<ReplyPiece> pieces_;
  std::string space_;  // white space before what comes
  const Tool* tool_ = nullptr;
  std::string arguments_;  // of the call that was begun last
  bool open_ = false;      // a call is begun and not whole
  bool called_ = false;
  bool cut_ = false;
  Parse reading_;  // last: uses all before it
};

ReplyReader::ReplyReader(Options options) : run_(std::make_unique<Run>(std::move(options))) {}

ReplyReader::~ReplyReader() = default;

std::vector<ReplyPiece> ReplyReader::Push(std::string_view text) { return run_->Push(text); }

std::vector<ReplyPiece> ReplyReader::Finish(bool cut) { return run_->Finish(cut); }

}  // namespace reprise
