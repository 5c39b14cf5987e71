# Everything between a body and the requests that come of it; only the Rust crates are not instrumented.
file(GLOB REPRISE_REQUEST_TEXT_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/text/*.cc)
set(REPRISE_REQUEST_API_SOURCES anthropic_call anthropic_chat billing_line call errors json_reader
  marker_rules openai_caching parameters prompt rendered_prompt tool_text)
list(TRANSFORM REPRISE_REQUEST_API_SOURCES REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/src/api/\\1.cc")
reprise_fuzz(request_fuzz
  SOURCES ${REPRISE_REQUEST_API_SOURCES} ${REPRISE_REQUEST_TEXT_SOURCES}
    ../api/test_model.cc ../text/test_vocabulary.cc
  LIBRARIES reprise_bridge Boost::json fmt::fmt)
