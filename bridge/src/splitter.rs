//! Cuts text into the words that byte pair encoding works on, as the pre-tokenizer named by
//! `tokenizer.ggml.pre` does.
//!
//! A pre-tokenizer is a row of stages; each cuts the pieces of the one before. The published patterns
//! contain one lookahead, `\s+(?!\S)`: a run of white space leaves its last character to the word that
//! follows. Backtracking engines need a step of the stack for each character of such a run; here the
//! run is matched whole and shortened by hand, so that every stage is a finite automaton and the work
//! is linear in the text.

use regex_automata::meta::{Cache, Regex};
use regex_automata::{Anchored, Input};

/// How a stage of a pre-tokenizer cuts.
enum Rule {
    /// Each match is a piece, and so is what lies between matches.
    Isolate(&'static str),
    /// The pattern covers any text. `White` says which runs give up their last character.
    Cover(&'static str, White),
}

#[derive(Clone, Copy, PartialEq)]
enum White {
    /// Every run of white space before a word.
    AnyRun,
    /// Only runs without a line break at the end: those have an alternative of their own.
    RunWithoutBreak,
}

struct Stage {
    regex: Regex,
    cover: Option<White>,
}

const GPT2: Rule =
    Rule::Cover(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+", White::AnyRun);

const ONE_DIGIT: Rule = Rule::Isolate(r"\p{N}");

const LLAMA3: Rule = Rule::Cover(
    concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

const QWEN2: Rule = Rule::Cover(
    concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

const TEKKEN: Rule = Rule::Cover(
    concat!(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
        r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

const GPT4O: Rule = Rule::Cover(
    concat!(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

/// The stages of a pre-tokenizer, and whether a word that is itself a token is taken without merging.
struct Description {
    stages: &'static [Rule],
    ignore_merges: bool,
}

fn describe(pre: &str) -> Option<Description> {
    let plain = |stages| Some(Description { stages, ignore_merges: false });
    let whole_words = |stages| Some(Description { stages, ignore_merges: true });
    match pre {
        "" | "default" | "gpt-2" | "gpt2" | "phi-2" | "olmo" | "jais" | "mpt" | "roberta-bpe" => {
            plain(&[GPT2])
        }
        "smollm" | "starcoder" | "codeshell" | "refact" | "command-r" | "exaone" => {
            plain(&[ONE_DIGIT, GPT2])
        }
        "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "smaug-bpe" => whole_words(&[LLAMA3]),
        "dbrx" => plain(&[LLAMA3]),
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "megrez" => plain(&[QWEN2]),
        "tekken" | "pixtral" => whole_words(&[TEKKEN]),
        "gpt-4o" | "llama4" => plain(&[GPT4O]),
        _ => None,
    }
}

pub fn is_known(pre: &str) -> bool {
    describe(pre).is_some()
}

pub struct Splitter {
    stages: Vec<Stage>,
    pub ignore_merges: bool,
}

/// The automata's working memory; one a call of `split`.
pub struct Scratch {
    caches: Vec<Cache>,
}

impl Splitter {
    pub fn new(pre: &str) -> Result<Splitter, String> {
        let description = describe(pre).ok_or_else(|| format!("unknown pre-tokenizer '{pre}'"))?;
        let mut stages = Vec::new();
        for rule in description.stages {
            let (pattern, cover) = match rule {
                Rule::Isolate(pattern) => (pattern, None),
                Rule::Cover(pattern, white) => (pattern, Some(*white)),
            };
            let regex = Regex::new(pattern).map_err(|e| format!("pre-tokenizer '{pre}': {e}"))?;
            stages.push(Stage { regex, cover });
        }
        Ok(Splitter { stages, ignore_merges: description.ignore_merges })
    }

    pub fn scratch(&self) -> Scratch {
        Scratch { caches: self.stages.iter().map(|s| s.regex.create_cache()).collect() }
    }

    /// Calls `word` for each piece of `text`, in order; they join to `text`.
    pub fn split<'t>(&self, scratch: &mut Scratch, text: &'t str, word: &mut dyn FnMut(&'t str)) {
        split_stages(&self.stages, &mut scratch.caches, text, word);
    }
}

fn split_stages<'t>(
    stages: &[Stage],
    caches: &mut [Cache],
    piece: &'t str,
    word: &mut dyn FnMut(&'t str),
) {
    let (Some((stage, stages)), Some((cache, caches))) =
        (stages.split_first(), caches.split_first_mut())
    else {
        word(piece);
        return;
    };
    let mut next = |piece: &'t str| {
        if !piece.is_empty() {
            split_stages(stages, caches, piece, word);
        }
    };
    match stage.cover {
        None => isolate(&stage.regex, cache, piece, &mut next),
        Some(white) => cover(&stage.regex, white, cache, piece, &mut next),
    }
}

fn isolate<'t>(regex: &Regex, cache: &mut Cache, piece: &'t str, next: &mut dyn FnMut(&'t str)) {
    let mut done = 0;
    while let Some(found) = regex.search_with(cache, &Input::new(piece).range(done..)) {
        next(&piece[done..found.start()]);
        next(&piece[found.start()..found.end()]);
        done = found.end();
    }
    next(&piece[done..]);
}

fn cover<'t>(
    regex: &Regex,
    white: White,
    cache: &mut Cache,
    piece: &'t str,
    next: &mut dyn FnMut(&'t str),
) {
    let mut start = 0;
    while start < piece.len() {
        let input = Input::new(piece).range(start..).anchored(Anchored::Yes);
        // A pattern that covers any text always finds something; one character otherwise.
        let found = regex.search_half_with(cache, &input).map_or(start, |half| half.offset());
        let first = piece[start..].chars().next().map_or(1, char::len_utf8);
        let mut end = found.max(start + first);
        if end < piece.len() && end > start + first {
            let last = piece[start..end].chars().next_back().unwrap_or('x');
            let gives_up = white == White::AnyRun || !matches!(last, '\r' | '\n');
            if last.is_whitespace() && gives_up {
                end -= last.len_utf8();
            }
        }
        next(&piece[start..end]);
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pre: &str, text: &str) -> Vec<String> {
        let splitter = Splitter::new(pre).unwrap();
        let mut words = Vec::new();
        splitter.split(&mut splitter.scratch(), text, &mut |word| words.push(word.to_string()));
        words
    }

    #[test]
    fn a_run_of_spaces_leaves_one_for_the_word() {
        assert_eq!(words("gpt-2", "a   b  "), ["a", "  ", " b", "  "]);
        assert_eq!(words("gpt-2", "\n\nb"), ["\n", "\n", "b"]);
        assert_eq!(words("llama-bpe", "\n\nb \n  c"), ["\n\n", "b", " \n", " ", " c"]);
    }

    #[test]
    fn digits_stand_alone_or_in_threes() {
        assert_eq!(words("smollm", "in 1234"), ["in", " ", "1", "2", "3", "4"]);
        assert_eq!(words("llama-bpe", "12345"), ["123", "45"]);
        assert_eq!(words("qwen2", "12"), ["1", "2"]);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert!(!is_known("no-such"));
        assert!(Splitter::new("no-such").is_err());
    }
}
