# Everything between a body and the requests that come of it; only the Rust crates are not instrumented.
set(request_folders text dialect generation prompt history vendor vendor/openai vendor/anthropic
    vendor/responses)
list(TRANSFORM request_folders REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/src/\\1/*.cc")
file(GLOB request_sources CONFIGURE_DEPENDS ${request_folders})
reprise_fuzz(request_fuzz
  SOURCES ${request_sources} ${PROJECT_SOURCE_DIR}/src/base/trace.cc
    ${PROJECT_SOURCE_DIR}/src/cache/scope.cc ${PROJECT_SOURCE_DIR}/src/base/base64.cc
    ../fixtures/test_model.cc ../fixtures/test_vocabulary.cc
  LIBRARIES reprise_bridge Boost::json fmt::fmt OpenSSL::Crypto)
