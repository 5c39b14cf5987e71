//! Byte pair encoding, chat templates and grammars behind the C interface of `reprise_bridge.h`.
//!
//! `boundary` holds everything that is unsafe: views, buffers, panics. The other modules are plain
//! Rust: `bpe` over `splitter`, `grammar`, and `template` over `namespace`, `python_json`,
//! `python_methods`, `generation` and `local_time`.

pub mod boundary;
pub mod bpe;
pub mod generation;
pub mod grammar;
pub mod local_time;
pub mod namespace;
pub mod own_stack;
pub mod python_json;
pub mod python_methods;
pub mod splitter;
pub mod template;
