//! The C interface. Mirrors `reprise_bridge.h`, where the contract is written.

use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::slice;

use crate::bpe::{Bpe, Kind, Vocabulary};
use crate::grammar::{Compiler, Encode, Grammar, Reply, Source};
use crate::splitter;
use crate::template::{ChatTemplate, Limits};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct View {
    data: *const u8,
    size: usize,
}

impl View {
    /// # Safety
    /// `data` must point to `size` readable bytes that outlive `'a`.
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        array(self.data, self.size)
    }

    /// # Safety
    /// As `bytes`.
    unsafe fn text<'a>(self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()).map_err(|e| format!("text is not valid UTF-8: {e}"))
    }
}

#[repr(C)]
pub struct Text {
    data: *mut u8,
    size: usize,
}

#[repr(C)]
pub struct Ids {
    data: *mut i32,
    size: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Merge {
    pub left: u32,
    pub right: u32,
}

#[repr(C)]
pub struct BpeConfig {
    kind: u32,
    pre: View,
    tokens: *const View,
    token_count: usize,
    merges: *const Merge,
    merge_count: usize,
    unknown: i32,
    prefix_space: bool,
}

/// # Safety
/// `data` must point to `size` readable values that outlive `'a`, unless `size` is 0.
unsafe fn array<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        &[]
    } else {
        slice::from_raw_parts(data, size)
    }
}

fn give<T>(values: Vec<T>) -> (*mut T, usize) {
    if values.is_empty() {
        return (ptr::null_mut(), 0);
    }
    let size = values.len();
    (Box::into_raw(values.into_boxed_slice()).cast::<T>(), size)
}

/// # Safety
/// `data` and `size` must come from `give`, once.
unsafe fn take_back<T>(data: *mut T, size: usize) {
    if size != 0 {
        drop(Box::from_raw(ptr::slice_from_raw_parts_mut(data, size)));
    }
}

fn text_of(text: String) -> Text {
    let (data, size) = give(text.into_bytes());
    Text { data, size }
}

/// Runs `work`; an error or a panic becomes the sentence in `error`.
///
/// # Safety
/// `error` must be writable.
unsafe fn guarded<T>(error: *mut Text, work: impl FnOnce() -> Result<T, String>) -> Option<T> {
    let sentence = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => {
            error.write(text_of(String::new()));
            return Some(value);
        }
        Ok(Err(sentence)) => sentence,
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()))
            .unwrap_or_else(|| "a panic without a message".to_string()),
    };
    let sentence = if sentence.is_empty() { "an error without a message".into() } else { sentence };
    error.write(text_of(sentence));
    None
}

/// # Safety
/// `text` must come from this library and not have been freed.
#[no_mangle]
pub unsafe extern "C" fn reprise_text_free(text: Text) {
    take_back(text.data, text.size);
}

/// # Safety
/// `ids` must come from this library and not have been freed.
#[no_mangle]
pub unsafe extern "C" fn reprise_ids_free(ids: Ids) {
    take_back(ids.data, ids.size);
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_bpe_knows_pre(pre: View) -> bool {
    pre.text().is_ok_and(splitter::is_known)
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_bpe_create(
    config: *const BpeConfig,
    error: *mut Text,
) -> *mut Bpe {
    let created = guarded(error, || {
        let config = &*config;
        let mut tokens = Vec::with_capacity(config.token_count);
        for view in array(config.tokens, config.token_count) {
            tokens.push(view.text()?);
        }
        let vocabulary = Vocabulary {
            tokens,
            merges: array(config.merges, config.merge_count)
                .iter()
                .map(|m| (m.left, m.right))
                .collect(),
        };
        let kind = match config.kind {
            0 => Kind::ByteLevel { pre: config.pre.text()? },
            1 => Kind::SentencePiece {
                unknown: u32::try_from(config.unknown).ok(),
                prefix_space: config.prefix_space,
            },
            other => return Err(format!("no kind of byte pair encoding has the number {other}")),
        };
        Bpe::new(vocabulary, kind)
    });
    created.map_or(ptr::null_mut(), |bpe| Box::into_raw(Box::new(bpe)))
}

/// # Safety
/// `bpe` must come from `reprise_bpe_create` and not have been freed.
#[no_mangle]
pub unsafe extern "C" fn reprise_bpe_free(bpe: *mut Bpe) {
    if !bpe.is_null() {
        drop(Box::from_raw(bpe));
    }
}

/// # Safety
/// `bpe` must come from `reprise_bpe_create` and not have been freed.
#[no_mangle]
pub unsafe extern "C" fn reprise_bpe_composes(bpe: *const Bpe) -> bool {
    (*bpe).composes()
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_bpe_encode(
    bpe: *const Bpe,
    text: View,
    stop: extern "C" fn() -> bool,
    ids: *mut Ids,
    error: *mut Text,
) -> bool {
    let encoded = guarded(error, || (*bpe).encode(text.text()?, &|| stop()));
    let success = encoded.is_some();
    let (data, size) = give(encoded.unwrap_or_default());
    ids.write(Ids { data, size });
    success
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_template_create(
    source: View,
    limits: Limits,
    error: *mut Text,
) -> *mut ChatTemplate {
    let created = guarded(error, || ChatTemplate::new(source.text()?, limits));
    created.map_or(ptr::null_mut(), |template| Box::into_raw(Box::new(template)))
}

/// # Safety
/// `chat_template` must come from `reprise_template_create` and not have been freed.
#[no_mangle]
pub unsafe extern "C" fn reprise_template_free(chat_template: *mut ChatTemplate) {
    if !chat_template.is_null() {
        drop(Box::from_raw(chat_template));
    }
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_template_render(
    chat_template: *const ChatTemplate,
    context_json: View,
    output: *mut Text,
    error: *mut Text,
) -> bool {
    let rendered = guarded(error, || (*chat_template).render(context_json.text()?));
    let success = rendered.is_some();
    output.write(text_of(rendered.unwrap_or_default()));
    success
}

#[repr(C)]
pub struct TokenConfig {
    tokens: *const View,
    is_control: *const bool,
    token_count: usize,
    ends: *const i32,
    end_count: usize,
    tokenizer: *const c_void,
    encode: Option<extern "C" fn(*const c_void, View, *mut c_void)>,
}

struct CallerTokenizer {
    context: *const c_void,
    encode: extern "C" fn(*const c_void, View, *mut c_void),
}

// The caller promises it (reprise_bridge.h).
unsafe impl Send for CallerTokenizer {}
unsafe impl Sync for CallerTokenizer {}

impl CallerTokenizer {
    fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids: Vec<u32> = Vec::new();
        let view = View { data: text.as_ptr(), size: text.len() };
        (self.encode)(self.context, view, ptr::from_mut(&mut ids).cast());
        ids
    }
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_ids_append(to: *mut c_void, ids: *const i32, count: usize) {
    (*to.cast::<Vec<u32>>()).extend(array(ids, count).iter().map(|&id| id as u32));
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_grammar_compiler_create(
    config: *const TokenConfig,
    error: *mut Text,
) -> *mut Compiler {
    let created = guarded(error, || {
        let config = &*config;
        let is_control = array(config.is_control, config.token_count);
        let tokens: Vec<Vec<u8>> = array(config.tokens, config.token_count)
            .iter()
            .zip(is_control)
            .map(|(view, &control)| {
                let mut bytes = if control { vec![0xff] } else { Vec::new() };
                bytes.extend_from_slice(view.bytes());
                bytes
            })
            .collect();
        let ends: Vec<u32> =
            array(config.ends, config.end_count).iter().map(|&id| id as u32).collect();
        let encode = config.encode.map(|encode| -> Encode {
            let caller = CallerTokenizer { context: config.tokenizer, encode };
            Box::new(move |text| caller.encode(text))
        });
        Compiler::new(&tokens, &ends, encode)
    });
    created.map_or(ptr::null_mut(), |compiler| Box::into_raw(Box::new(compiler)))
}

/// # Safety
/// `compiler` must come from `reprise_grammar_compiler_create` and not have been freed.
#[no_mangle]
pub unsafe extern "C" fn reprise_grammar_compiler_free(compiler: *mut Compiler) {
    if !compiler.is_null() {
        drop(Box::from_raw(compiler));
    }
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_grammar_compile(
    compiler: *const Compiler,
    kind: u32,
    source: View,
    ignored: *mut Text,
    error: *mut Text,
) -> *mut Grammar {
    let compiled = guarded(error, || {
        let text = source.text()?;
        let source = match kind {
            0 => Source::Schema(text),
            1 => Source::Lark(text),
            2 => Source::Regex(text),
            other => return Err(format!("no kind of grammar has the number {other}")),
        };
        (*compiler).compile(source)
    });
    let (grammar, warnings) = match compiled {
        Some((grammar, warnings)) => (Box::into_raw(Box::new(grammar)), warnings),
        None => (ptr::null_mut(), String::new()),
    };
    ignored.write(text_of(warnings));
    grammar
}

/// # Safety
/// `grammar` must come from `reprise_grammar_compile` and not have been freed.
#[no_mangle]
pub unsafe extern "C" fn reprise_grammar_free(grammar: *mut Grammar) {
    if !grammar.is_null() {
        drop(Box::from_raw(grammar));
    }
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_reply_begin(
    grammar: *const Grammar,
    error: *mut Text,
) -> *mut Reply {
    let begun = guarded(error, || Ok((*grammar).begin()));
    begun.map_or(ptr::null_mut(), |reply| Box::into_raw(Box::new(reply)))
}

/// # Safety
/// `reply` must come from `reprise_reply_begin` and not have been freed.
#[no_mangle]
pub unsafe extern "C" fn reprise_reply_free(reply: *mut Reply) {
    if !reply.is_null() {
        drop(Box::from_raw(reply));
    }
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_reply_mask(
    reply: *mut Reply,
    words: *mut *const u32,
    count: *mut usize,
    error: *mut Text,
) -> bool {
    let reply = &mut *reply;
    let mask = guarded(error, || reply.mask().map(|mask| (mask.as_ptr(), mask.len())));
    let (first, size) = mask.unwrap_or((ptr::null(), 0));
    words.write(first);
    count.write(size);
    mask.is_some()
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_reply_accept(
    reply: *mut Reply,
    token: i32,
    error: *mut Text,
) -> bool {
    guarded(error, || (*reply).accept(token as u32)).is_some()
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_reply_take_forced(
    reply: *mut Reply,
    ids: *mut Ids,
    error: *mut Text,
) -> bool {
    let forced = guarded(error, || {
        Ok((*reply).take_forced().into_iter().map(|id| id as i32).collect::<Vec<_>>())
    });
    let success = forced.is_some();
    let (data, size) = give(forced.unwrap_or_default());
    ids.write(Ids { data, size });
    success
}

/// # Safety
/// See `reprise_bridge.h`.
#[no_mangle]
pub unsafe extern "C" fn reprise_reply_is_complete(reply: *const Reply) -> bool {
    (*reply).is_complete()
}
