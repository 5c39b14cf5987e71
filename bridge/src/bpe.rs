//! Plain text to token ids: `splitter` cuts words, the `tokenizers` crate merges each.

use std::ops::Range;

use ahash::AHashMap;
use tokenizers::models::bpe::BPE;
use tokenizers::Model;

use crate::splitter::Splitter;

const MAX_SEEN_BYTES: usize = 256; // longer words hardly come twice
/// Merging a word cannot be stopped and takes a second per MiB, so longer ones are cut.
const MAX_WORD_BYTES: usize = 256 << 10;
const ASK_TO_STOP_BYTES: usize = 64 << 10; // of words between two questions

pub struct Vocabulary<'a> {
    /// The id is the index; an empty text is an id that plain text never yields.
    pub tokens: Vec<&'a str>,
    pub merges: Vec<(u32, u32)>,
}

pub enum Kind<'a> {
    ByteLevel { pre: &'a str },
    SentencePiece { unknown: Option<u32>, prefix_space: bool },
}

enum Form {
    ByteLevel {
        splitter: Splitter,
        letters: Box<[char; 256]>,
    },
    /// `cut_at_spaces`: no token has a space after another character, so no merge crosses there.
    SentencePiece {
        prefix_space: bool,
        cut_at_spaces: bool,
    },
}

pub struct Bpe {
    model: BPE,
    form: Form,
}

/// SentencePiece writes a space so.
const SPACE: char = '\u{2581}';

impl Bpe {
    pub fn new(vocabulary: Vocabulary, kind: Kind) -> Result<Bpe, String> {
        let token = |id: u32| match vocabulary.tokens.get(id as usize) {
            Some(text) if !text.is_empty() => Ok(text.to_string()),
            _ => Err(format!("a merge names token {id}, which is not in the vocabulary")),
        };
        let mut merges = Vec::with_capacity(vocabulary.merges.len());
        for &(left, right) in &vocabulary.merges {
            merges.push((token(left)?, token(right)?));
        }
        let ids: AHashMap<String, u32> = (0u32..)
            .zip(&vocabulary.tokens)
            .filter(|(_, text)| !text.is_empty())
            .map(|(id, text)| (text.to_string(), id))
            .collect();
        // The crate would remember words from one text to the next, and how long a text takes would
        // tell what words others used; `Output` remembers them within one text.
        let builder = BPE::builder().vocab_and_merges(ids, merges).cache_capacity(0);
        let (builder, form) = match kind {
            Kind::ByteLevel { pre } => {
                let splitter = Splitter::new(pre)?;
                let builder = builder.ignore_merges(splitter.ignore_merges);
                (builder, Form::ByteLevel { splitter, letters: Box::new(byte_letters()) })
            }
            Kind::SentencePiece { unknown, prefix_space } => {
                let cut_at_spaces = !vocabulary.tokens.iter().any(|t| has_inner_space(t));
                let builder = builder.byte_fallback(true).fuse_unk(true);
                let builder = match unknown {
                    Some(id) => builder.unk_token(token(id)?),
                    None => builder,
                };
                (builder, Form::SentencePiece { prefix_space, cut_at_spaces })
            }
        };
        let model = builder.build().map_err(|e| e.to_string())?;
        Ok(Bpe { model, form })
    }

    pub fn composes(&self) -> bool {
        matches!(&self.form, Form::ByteLevel { splitter, .. } if splitter.nfc)
    }

    /// `stop`: whether to give up now, as an error.
    pub fn encode(&self, text: &str, stop: &dyn Fn() -> bool) -> Result<Vec<i32>, String> {
        let mut output = Output {
            model: &self.model,
            ids: Vec::with_capacity(text.len() / 3),
            seen: AHashMap::new(),
            failed: None,
            stop,
            since_asked: 0,
        };
        match &self.form {
            Form::ByteLevel { splitter, letters } => {
                let mut mapped = String::new();
                let text = splitter.normal_form(text);
                splitter.split(&text, &mut |word| {
                    mapped.clear();
                    mapped.extend(word.bytes().map(|byte| letters[byte as usize]));
                    output.add(&mapped);
                });
            }
            Form::SentencePiece { prefix_space, cut_at_spaces } => {
                let mut mapped = String::with_capacity(text.len() + text.len() / 4);
                if *prefix_space && !text.is_empty() {
                    mapped.push(SPACE);
                }
                mapped.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
                if *cut_at_spaces {
                    for_each_spaced_word(&mapped, |word| output.add(word));
                } else {
                    output.add(&mapped);
                }
            }
        }
        match output.failed {
            Some(sentence) => Err(sentence),
            None => Ok(output.ids),
        }
    }
}

struct Output<'a> {
    model: &'a BPE,
    ids: Vec<i32>,
    seen: AHashMap<String, Range<usize>>, // where in `ids` those of a word are
    failed: Option<String>,
    stop: &'a dyn Fn() -> bool,
    since_asked: usize, // bytes
}

impl Output<'_> {
    fn add(&mut self, mut word: &str) {
        while word.len() > MAX_WORD_BYTES {
            let (piece, rest) = word.split_at(cut_of(word));
            self.add_word(piece);
            word = rest;
        }
        self.add_word(word);
    }

    fn add_word(&mut self, word: &str) {
        self.since_asked += word.len() + 1;
        if self.since_asked > ASK_TO_STOP_BYTES && self.failed.is_none() {
            self.since_asked = 0;
            if (self.stop)() {
                self.failed = Some("stopped".into());
            }
        }
        if self.failed.is_some() {
            return;
        }
        if let Some(range) = self.seen.get(word) {
            self.ids.extend_from_within(range.clone());
            return;
        }
        let first = self.ids.len();
        match self.model.tokenize(word) {
            Ok(tokens) => self.ids.extend(tokens.iter().map(|token| token.id as i32)),
            Err(e) => self.failed = Some(e.to_string()),
        }
        if word.len() <= MAX_SEEN_BYTES {
            self.seen.insert(word.to_string(), first..self.ids.len());
        }
    }
}

/// Where to cut a word that is too long: before the last space of SentencePiece, else between characters.
fn cut_of(word: &str) -> usize {
    let mut end = MAX_WORD_BYTES;
    while !word.is_char_boundary(end) {
        end -= 1;
    }
    word[..end].rfind(SPACE).filter(|&at| at > 0).unwrap_or(end)
}

fn has_inner_space(token: &str) -> bool {
    token.trim_start_matches(SPACE).contains(SPACE)
}

/// Cuts before each run of spaces.
fn for_each_spaced_word<'t>(text: &'t str, mut word: impl FnMut(&'t str)) {
    let mut start = 0;
    let mut after_space = true;
    for (at, c) in text.char_indices() {
        if c == SPACE && !after_space {
            word(&text[start..at]);
            start = at;
        }
        after_space = c == SPACE;
    }
    if start < text.len() {
        word(&text[start..]);
    }
}

/// The letter that GPT-2 writes for each byte: itself where printable in Latin-1, else the next free
/// one from U+0100 on.
pub fn byte_letters() -> [char; 256] {
    let mut letters = ['\0'; 256];
    let mut next_free = 0x100;
    for (byte, letter) in (0u32..).zip(letters.iter_mut()) {
        let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if printable { byte } else { next_free };
        next_free += u32::from(!printable);
        *letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    letters
}
