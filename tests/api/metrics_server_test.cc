// /metrics: the numbers of its histograms, and its text format.

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "api/metrics.h"
#include "api/metrics_engine.h"
#include "fixtures/fake_server.h"
#include "metrics/metrics_text.h"

namespace reprise {
namespace {

class MetricsServerTest : public FakeServerTest {
 protected:
  std::string Page() {
    TestClient client(server_->port());
    client.Get("/metrics");
    return client.Read().body;
  }
  // A text completion whose prompt is so many tokens, of which so many were read.
  void Complete(int prompt, int read, double queue_ms) {
    engine_.AnswerWith([=](const GenerationRequest& request, const EventSink& sink) {
      sink(Started(prompt, read));
      sink(Text("one"));
      sink(Text(" two"));
      sink(Text(" three"));
      Event finished = Finished(request, read, {5, 6, 7});
      std::get<FinishedEvent>(finished).queue_ms = queue_ms;
      sink(std::move(finished));
    });
    TestClient client(server_->port());
    client.Post("/v1/completions", R"({"prompt":"hello"})");
    ASSERT_EQ(client.Read().status, 200);
  }
};

void ExpectLine(const std::string& page, const std::string& line) {
  EXPECT_NE(page.find("\n" + line + "\n"), std::string::npos) << line << "\n" << page;
}

TEST_F(MetricsServerTest, HistogramsCountWhatRequestsBrought) {
  Complete(100, 0, 2);      // nothing read
  Complete(128, 64, 70);    // half: a hit
  Complete(2000, 1990, 0);  // all but a few
  const std::string page = Page();
  ExpectLine(page, "reprise_prompt_length_tokens_bucket{le=\"64\"} 0");
  ExpectLine(page, "reprise_prompt_length_tokens_bucket{le=\"128\"} 2");
  ExpectLine(page, "reprise_prompt_length_tokens_bucket{le=\"1024\"} 2");
  ExpectLine(page, "reprise_prompt_length_tokens_bucket{le=\"2048\"} 3");
  ExpectLine(page, "reprise_prompt_length_tokens_sum 2228");
  ExpectLine(page, "reprise_prompt_length_tokens_count 3");
  ExpectLine(page, "reprise_prompt_read_ratio_bucket{le=\"0\"} 1");
  ExpectLine(page, "reprise_prompt_read_ratio_bucket{le=\"0.25\"} 1");
  ExpectLine(page, "reprise_prompt_read_ratio_bucket{le=\"0.5\"} 2");
  ExpectLine(page, "reprise_prompt_read_ratio_bucket{le=\"0.99\"} 2");
  ExpectLine(page, "reprise_prompt_read_ratio_bucket{le=\"0.999\"} 3");
  ExpectLine(page, "reprise_prompt_read_ratio_sum 1.495");
  ExpectLine(page, "reprise_queue_time_seconds_bucket{le=\"0.005\"} 2");
  ExpectLine(page, "reprise_queue_time_seconds_bucket{le=\"0.025\"} 2");
  ExpectLine(page, "reprise_queue_time_seconds_bucket{le=\"0.1\"} 3");
  ExpectLine(page, "reprise_queue_time_seconds_count 3");
  ExpectLine(page, "reprise_time_to_first_token_seconds_count{cache=\"hit\"} 2");
  ExpectLine(page, "reprise_time_to_first_token_seconds_count{cache=\"miss\"} 1");
  ExpectLine(page, "reprise_time_between_tokens_seconds_count 6");
  ExpectLine(page, "reprise_http_requests_total{route=\"/v1/completions\",status=\"200\"} 3");
}

TEST_F(MetricsServerTest, MemoryIsByWhatHoldsItAndAddsUp) {
  EngineSnapshot snapshot;
  PrefixCache::Sizes& sizes = snapshot.total.cache;
  sizes.total_blocks = 100;
  sizes.free_blocks = 40;
  sizes.cached_blocks = 50;
  sizes.private_blocks = 10;
  sizes.leased_blocks = 8;
  sizes.pinned_blocks = 12;
  sizes.held_blocks = 15;  // five are both
  engine_.SetSnapshot(snapshot);
  const std::string page = Page();
  ExpectLine(page, "reprise_cache_blocks{state=\"free\"} 40");
  ExpectLine(page, "reprise_cache_blocks{state=\"automatic\"} 35");
  ExpectLine(page, "reprise_cache_blocks{state=\"promised\"} 7");
  ExpectLine(page, "reprise_cache_blocks{state=\"leased\"} 18");
}

TEST(MetricsTextTest, ABoundBelongsToItsBucketAndBucketsAddUp) {
  constexpr std::array kBounds = {1.0, 2.5};
  Histogram histogram(kBounds);
  for (const double value : {0.5, 1.0, 1.5, 2.5, 2.75}) histogram.Observe(value);
  MetricsText text;
  text.Begin(MetricsText::Kind::kHistogram, "sizes", "Of things.");
  text.Sample({{"of", "all"}}, histogram);
  EXPECT_EQ(text.Take(),
            "# HELP sizes Of things.\n"
            "# TYPE sizes histogram\n"
            "sizes_bucket{of=\"all\",le=\"1\"} 2\n"
            "sizes_bucket{of=\"all\",le=\"2.5\"} 4\n"
            "sizes_bucket{of=\"all\",le=\"+Inf\"} 5\n"
            "sizes_sum{of=\"all\"} 8.25\n"
            "sizes_count{of=\"all\"} 5\n");
}

TEST(MetricsTextTest, ValuesOfLabelsAreEscaped) {
  MetricsText text;
  text.Begin(MetricsText::Kind::kGauge, "info", "Of a model.");
  text.Sample({{"model", "a \"b\" \\ c\nd"}}, 1);
  EXPECT_EQ(text.Take(),
            "# HELP info Of a model.\n# TYPE info gauge\n"
            "info{model=\"a \\\"b\\\" \\\\ c\\nd\"} 1\n");
}

TEST(MetricsTextTest, EachFamilyIsOneGroupWithTwoStoresBelow) {
  EngineStats stats;
  stats.state_bytes = 1;
  stats.tiers.resize(2);
  stats.tiers[0].kind = TierKind::kDisk;
  stats.tiers[1].kind = TierKind::kShared;
  stats.tiers[1].read = 7;
  MetricsText text;
  WriteEngine(text, stats);
  const std::string page = text.Take();
  ExpectLine(page,
             "reprise_tier_read_blocks_total{tier=\"disk\"} 0\n"
             "reprise_tier_read_blocks_total{tier=\"shared\"} 7");
  for (size_t at = page.find("# TYPE "); at != std::string::npos;
       at = page.find("# TYPE ", at + 1)) {
    const std::string line = page.substr(at, page.find(' ', at + 7) - at + 1);
    EXPECT_EQ(page.find(line, at + 1), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace reprise
