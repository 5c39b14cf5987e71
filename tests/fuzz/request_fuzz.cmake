# Everything between a body and the requests that come of it; only the Rust crates are not instrumented.
file(GLOB REPRISE_REQUEST_TEXT_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/text/*.cc)
set(REPRISE_API_SOURCES ${PROJECT_SOURCE_DIR}/src/api)
reprise_fuzz(request_fuzz
  SOURCES ${REPRISE_API_SOURCES}/call.cc ${REPRISE_API_SOURCES}/errors.cc
    ${REPRISE_API_SOURCES}/json_reader.cc ${REPRISE_API_SOURCES}/parameters.cc
    ${REPRISE_API_SOURCES}/prompt.cc ${REPRISE_REQUEST_TEXT_SOURCES}
    ../api/test_model.cc ../text/test_vocabulary.cc
  LIBRARIES reprise_bridge Boost::json fmt::fmt)
