#include "app/load.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "app/pull_command.h"
#include "base/clock.h"
#include "base/cpus.h"
#include "base/limits.h"
#include "base/log.h"
#include "engine/vocabulary.h"
#include "hub/model_reference.h"
#include "hub/pull.h"
#include "model/model_kind.h"

namespace reprise {
namespace {

Result<Compute> ParseCompute(const std::string& name) {
  if (name == "fast") return Compute::kFast;
  if (name == "exact") return Compute::kExact;
  return Fail(ErrorCode::kInvalidArgument, "--compute is fast or exact, not " + name);
}

Result<std::optional<std::string>> ReadTemplateFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string source(limits::kMaxTemplateBytes + 1, '\0');
  file.read(source.data(), static_cast<std::streamsize>(source.size()));
  if (file.bad() || (!file.is_open())) {
    return Fail(ErrorCode::kIo, fmt::format("--chat-template: {} cannot be read", path));
  }
  source.resize(static_cast<size_t>(file.gcount()));
  return source;  // one that is too long is refused with the reason
}

}  // namespace

Result<std::string> FindModel(const std::string& model) {
  if (!IsModelReference(model)) return model;
  auto pulled = PullFromHub(model, PullOptions::Prefer::kCached);
  if (!pulled) return std::unexpected(pulled.error());
  return std::move(pulled->path);
}

Result<GgufFile> OpenModel(const std::string& model) {
  const auto path = FindModel(model);
  if (!path) return std::unexpected(path.error());
  auto file = GgufFile::Open(*path);
  if (!file) return file;
  if (Status runs = CheckCanRun(*file); !runs) {
    return Fail(runs.error().code, fmt::format("{}: {}", *path, runs.error().message));
  }
  return file;
}

Result<LoadedText> LoadText(const GgufFile& file, const std::string& chat_template_file) {
  LoadedText text;
  auto vocabulary = ReadVocabulary(file);
  if (!vocabulary) return std::unexpected(vocabulary.error());
  auto tokenizer = Tokenizer::Create(std::move(*vocabulary));
  if (!tokenizer) return std::unexpected(tokenizer.error());
  text.tokenizer = std::move(*tokenizer);
  auto source =
      chat_template_file.empty() ? ReadChatTemplate(file) : ReadTemplateFile(chat_template_file);
  if (!source) return std::unexpected(source.error());
  if (source->has_value()) {
    auto chat_template = ChatTemplate::Create(**source);
    if (!chat_template) return std::unexpected(chat_template.error());
    text.chat_template = std::move(*chat_template);
    text.chat_template_source = std::move(**source);
  }
  return text;
}

std::string ModelName(const GgufFile& file) {
  constexpr std::string_view kPartEnding = "-00001-of-00003";
  std::string name = std::filesystem::path(file.parts().front().path).stem().string();
  if (file.parts().size() > 1) name.resize(name.size() - kPartEnding.size());
  return name;
}

std::string TokenText(const Tokenizer& tokenizer, std::optional<TokenId> token) {
  return token ? std::string(tokenizer.Piece(*token)) : std::string();
}

Result<std::unique_ptr<Model>> LoadModel(const GgufFile& file, const ModelOptions& options) {
  if (!options.cpus.empty()) {
    const auto cpus = ParseCpus(options.cpus);
    if (!cpus) return std::unexpected(cpus.error());
    if (const Status bound = BindToCpus(*cpus); !bound) return std::unexpected(bound.error());
  }
  auto isa = ParseIsa(options.isa);
  if (!isa) return std::unexpected(isa.error());
  auto compute = ParseCompute(options.compute);
  if (!compute) return std::unexpected(compute.error());
  SystemClock clock;
  TimePoint last_said = clock.Now();
  const auto progress = [&](double fraction) {
    if (clock.Now() - last_said < std::chrono::seconds(1)) return;
    last_said = clock.Now();
    LogInfo("packing weights: {:.0f} %", 100 * fraction);
  };
  return Model::Load(file, {.isa = *isa,
                            .compute = *compute,
                            .threads = options.threads,
                            .block_tokens = options.block_tokens,
                            .context = options.context,
                            .progress = progress});
}

int Complain(const Error& error) {
  std::fprintf(stderr, "reprise: %s\n", Printable(error.message).c_str());
  constexpr int kStopped = 128 + SIGINT, kToMend = 2;
  return error.code == ErrorCode::kCancelled ? kStopped : kToMend;
}

}  // namespace reprise
