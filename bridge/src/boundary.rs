//! The C interface. Mirrors `reprise_bridge.h`, where the contract is written.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::slice;

use crate::bpe::{Bpe, Kind, Vocabulary};
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
