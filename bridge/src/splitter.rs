//! Cuts text into the words that byte pair encoding works on, as the pre-tokenizer named by
//! `tokenizer.ggml.pre` does: the patterns, normal form and lookup of whole words are those of the
//! tokenizer.json that models with this name were trained with (`describe`).
//!
//! A pre-tokenizer is a row of stages; each cuts the pieces of the one before. Nearly all published
//! patterns contain one lookahead, `\s+(?!\S)`: a run of white space leaves its last character to the
//! word that follows. Backtracking engines need a step of the stack for each character of such a run;
//! here the run is matched whole and shortened by hand, so that every stage is a finite automaton and
//! the work is linear in the text.

use std::borrow::Cow;
use std::sync::Mutex;

use regex_automata::meta::{Cache, Regex};
use regex_automata::{Anchored, Input};
use unicode_normalization_alignments::{is_nfc, UnicodeNormalization};

/// How a stage of a pre-tokenizer cuts.
enum Rule {
    /// Each match is a piece, and so is what lies between matches.
    Isolate(&'static str),
    /// The same with a pattern whose last alternative is `\s+` in place of `\s+(?!\S)|\s+`. `White` says
    /// which runs give up their last character.
    Words(&'static str, White),
    /// `\d{1,3}(?=(?:\d{3})*\b)`: each run of digits that no word goes on behind, in threes from
    /// its end.
    Threes,
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
    cut: Cut,
}

#[derive(Clone, Copy)]
enum Cut {
    Isolate,
    Words(White),
    Threes,
}

/// Of `Threes`, the first that matches: digits that stay as they are, and digits that are cut.
const DIGIT_RUNS: [&str; 2] = [r"\d+[\p{L}\p{M}\p{Nl}\p{No}\p{Pc}]", r"\d+"];

const GPT2: Rule =
    Rule::Words(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+", White::AnyRun);

const ONE_DIGIT: Rule = Rule::Isolate(r"\p{N}");

const LLAMA3: Rule = Rule::Words(
    concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

const QWEN2: Rule = Rule::Words(
    concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

const TEKKEN: Rule = Rule::Words(
    concat!(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
        r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

const GPT4O: Rule = Rule::Words(
    concat!(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

const QWEN35: Rule = Rule::Words(
    concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|",
        r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

const SEED_CODER: Rule = Rule::Words(
    concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
        r" ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

/// GPT-4o's, with Han apart from all other letters.
const KIMI: Rule = Rule::Words(
    concat!(
        r"\p{Han}+|",
        r"[^\r\n\p{L}\p{N}]?[[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]&&[^\p{Han}]]*",
        r"[[\p{Ll}\p{Lm}\p{Lo}\p{M}]&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
        r"[^\r\n\p{L}\p{N}]?[[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]&&[^\p{Han}]]+",
        r"[[\p{Ll}\p{Lm}\p{Lo}\p{M}]&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
    ),
    White::RunWithoutBreak,
);

/// Words of several letters' runs: a space before a letter belongs to the word.
const EXAONE_MOE: Rule = Rule::Words(
    concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|",
        r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+"
    ),
    White::RunWithoutBreak,
);

/// Anything but blanks and the punctuation of sentences.
const BLOOM: Rule = Rule::Isolate(r" ?[^(\s|.,!?…。，、।۔،)]+");

const LINE_BREAK: Rule = Rule::Isolate(r"[\r\n]");
/// Han as far as U+9FA5, everything from Samaritan up to Han, and Hangul.
const EAST: Rule = Rule::Isolate(r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+");

/// Letters that have a case, as the DeepSeek LLM tokenizer lists them (the ranges are part of its format).
const CASED: Rule = Rule::Isolate(concat!(
    r"\s?[",
    r"\x{41}-\x{5A}\x{61}-\x{7A}\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}",
    r"\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}",
    r"\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}",
    r"\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}",
    r"\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}",
    r"\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}",
    r"\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}",
    r"\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}",
    r"\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}",
    r"\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}",
    r"\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}",
    r"\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}",
    r"\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}",
    r"\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}",
    r"\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}",
    r"\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}",
    r"\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}",
    r"]+"
));

const DEEPSEEK_LLM: &[Rule] = &[
    LINE_BREAK,
    CASED,
    Rule::Isolate(
        r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+",
    ),
    Rule::Isolate(r"\s+$"),
    EAST,
    Rule::Isolate(r"\p{N}+"),
];

const DEEPSEEK_CODER: &[Rule] =
    &[LINE_BREAK, Rule::Isolate(r"\s?\p{L}+"), Rule::Isolate(r"\s?\p{P}+"), EAST, ONE_DIGIT];

const DEEPSEEK_V3: &[Rule] = &[
    Rule::Isolate(r"\p{N}{1,3}"),
    Rule::Isolate(r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+"),
    Rule::Words(
        concat!(
            r"[!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|",
            r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+"
        ),
        White::RunWithoutBreak,
    ),
];

/// What a tokenizer.json says besides vocabulary and merges.
struct Description {
    stages: &'static [Rule],
    ignore_merges: bool, // a word that is itself a token is taken without merging
    nfc: bool,           // text is brought into Unicode's normal form C first
}

impl Description {
    const fn whole_words(self) -> Option<Description> {
        Some(Description { ignore_merges: true, ..self })
    }

    const fn composed(self) -> Option<Description> {
        Some(Description { nfc: true, ..self })
    }
}

/// The names that llama.cpp's converter writes. Its own splitting differs from the tokenizer.json's in
/// these points, where the model's file is followed: it normalizes nothing; it merges GLM-4's and
/// SmolLM3's words where those look them up whole first; it reads `[\p{Lu}…\p{M}]` as "no a to z".
/// Whole-word lookup changes nothing where merges make every token (GPT-4o's, Qwen's, DeepSeek's).
fn describe(pre: &str) -> Option<Description> {
    let of = |stages| Description { stages, ignore_merges: false, nfc: false };
    let plain = |stages| Some(of(stages));
    match pre {
        // Files without a name are older than the key; the first such models were GPT-2's kin.
        "" | "default" | "gpt-2" | "gpt2" | "phi-2" | "jais" | "roberta-bpe" | "exaone4"
        | "trillion" | "granite-docling" | "mellum" | "gigachat" | "a.x-4.0" => plain(&[GPT2]),
        "olmo" | "mpt" => of(&[GPT2]).composed(),
        "smollm" | "starcoder" | "codeshell" | "refact" | "exaone" | "minerva-7b" | "mellum2" => {
            plain(&[ONE_DIGIT, GPT2])
        }
        "command-r" => of(&[ONE_DIGIT, GPT2]).composed(),
        "tiny_aya" => of(&[Rule::Threes, GPT4O]).composed(),
        "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "smaug-bpe" | "pixtral" | "midm-2.0"
        | "lfm2" | "glm4" | "chatglm-bpe" => of(&[LLAMA3]).whole_words(),
        "dbrx" => plain(&[LLAMA3]),
        "qwen2" | "deepseek-r1-qwen" => of(&[QWEN2]).composed(),
        // Ling's pattern has possessive quantifiers and one line break less; it matches the same.
        "stablelm2" | "megrez" | "hunyuan" | "bailingmoe" | "bailingmoe2" | "llada-moe" => {
            plain(&[QWEN2])
        }
        "qwen35" => of(&[QWEN35]).composed(),
        "seed-coder" => plain(&[SEED_CODER]),
        "tekken" => of(&[TEKKEN]).whole_words(),
        "gpt-4o" | "llama4" | "kanana2" | "minimax-m2" => plain(&[GPT4O]),
        "kimi-k2" => of(&[KIMI]).whole_words(),
        "exaone-moe" => plain(&[EXAONE_MOE]),
        "bloom" | "poro-chat" | "gpt3-finnish" => plain(&[BLOOM]),
        "viking" => plain(&[BLOOM, ONE_DIGIT]),
        "deepseek-llm" => plain(DEEPSEEK_LLM),
        "deepseek-coder" => plain(DEEPSEEK_CODER),
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" => plain(DEEPSEEK_V3),
        _ => None,
    }
}

pub fn is_known(pre: &str) -> bool {
    describe(pre).is_some()
}

pub struct Splitter {
    stages: Vec<Stage>,
    /// The automata's working memory, which holds the states met so far: building them anew for each
    /// short text costs more than the text. As many as threads ever split at once.
    idle: Mutex<Vec<Scratch>>,
    pub ignore_merges: bool,
    pub nfc: bool,
}

type Scratch = Vec<Cache>; // one a stage

impl Splitter {
    pub fn new(pre: &str) -> Result<Splitter, String> {
        let description = describe(pre).ok_or_else(|| format!("unknown pre-tokenizer '{pre}'"))?;
        let mut stages = Vec::new();
        for rule in description.stages {
            let (built, cut) = match rule {
                Rule::Isolate(pattern) => (Regex::new(pattern), Cut::Isolate),
                Rule::Words(pattern, white) => (Regex::new(pattern), Cut::Words(*white)),
                Rule::Threes => (Regex::new_many(&DIGIT_RUNS), Cut::Threes),
            };
            let regex = built.map_err(|e| format!("pre-tokenizer '{pre}': {e}"))?;
            stages.push(Stage { regex, cut });
        }
        let Description { ignore_merges, nfc, .. } = description;
        Ok(Splitter { stages, idle: Mutex::default(), ignore_merges, nfc })
    }

    /// What is split of `text`: itself, or its normal form.
    pub fn normal_form<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.nfc || text.is_ascii() || is_nfc(text) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(text.nfc().map(|(c, _)| c).collect())
    }

    /// Calls `word` for each piece of `text`, in order; they join to `text`.
    pub fn split<'t>(&self, text: &'t str, word: &mut dyn FnMut(&'t str)) {
        let kept = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut scratch =
            kept.unwrap_or_else(|| self.stages.iter().map(|s| s.regex.create_cache()).collect());
        split_stages(&self.stages, &mut scratch, text, word);
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(scratch);
        }
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
    match stage.cut {
        Cut::Isolate => isolate(&stage.regex, cache, piece, &mut next),
        Cut::Words(white) => words(&stage.regex, white, cache, piece, &mut next),
        Cut::Threes => threes(&stage.regex, cache, piece, &mut next),
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

fn threes<'t>(regex: &Regex, cache: &mut Cache, piece: &'t str, next: &mut dyn FnMut(&'t str)) {
    let mut done = 0;
    let mut from = 0;
    while let Some(found) = regex.search_with(cache, &Input::new(piece).range(from..)) {
        from = found.end();
        if found.pattern().as_usize() == 0 {
            continue;
        }
        next(&piece[done..found.start()]);
        done = found.start();
        let digits = piece[found.range()].chars().count();
        let ends = piece[found.range()].char_indices().enumerate().skip(1);
        for (_, (at, _)) in ends.filter(|(count, _)| (digits - count) % 3 == 0) {
            next(&piece[done..found.start() + at]);
            done = found.start() + at;
        }
        next(&piece[done..found.end()]);
        done = found.end();
    }
    next(&piece[done..]);
}

fn words<'t>(
    regex: &Regex,
    white: White,
    cache: &mut Cache,
    piece: &'t str,
    next: &mut dyn FnMut(&'t str),
) {
    let mut start = 0;
    while start < piece.len() {
        // Nearly always a word begins right here, and an anchored search need not look for its start.
        let here = Input::new(piece).range(start..).anchored(Anchored::Yes);
        let end = match regex.search_half_with(cache, &here) {
            Some(half) => without_last_white(piece, start, half.offset(), white),
            None => {
                let found = regex.search_with(cache, &Input::new(piece).range(start..));
                found.map_or(piece.len(), |found| found.start())
            }
        };
        next(&piece[start..end]);
        start = end;
    }
}

/// Where the word `start..end` ends when a run of white space leaves its last character to what follows.
fn without_last_white(piece: &str, start: usize, end: usize, white: White) -> usize {
    let Some(last) = piece[start..end].chars().next_back() else { return end };
    let gives_up = last.is_whitespace() && (white == White::AnyRun || !matches!(last, '\r' | '\n'));
    if gives_up && end < piece.len() && end - start > last.len_utf8() {
        end - last.len_utf8()
    } else {
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pre: &str, text: &str) -> Vec<String> {
        let splitter = Splitter::new(pre).unwrap();
        let mut words = Vec::new();
        splitter.split(text, &mut |word| words.push(word.to_string()));
        words
    }

    #[test]
    fn a_run_of_spaces_leaves_one_for_the_word() {
        assert_eq!(cut("gpt-2", "a   b  "), ["a", "  ", " b", "  "]);
        assert_eq!(cut("gpt-2", "\n\nb"), ["\n", "\n", "b"]);
        assert_eq!(cut("llama-bpe", "\n\nb \n  c"), ["\n\n", "b", " \n", " ", " c"]);
    }

    #[test]
    fn digits_stand_alone_or_in_threes() {
        assert_eq!(cut("smollm", "in 1234"), ["in", " ", "1", "2", "3", "4"]);
        assert_eq!(cut("llama-bpe", "12345"), ["123", "45"]);
        assert_eq!(cut("qwen2", "12"), ["1", "2"]);
    }

    #[test]
    fn digits_may_count_from_their_end() {
        assert_eq!(cut("tiny_aya", "12345, 678"), ["12", "345", ",", " ", "678"]);
        assert_eq!(cut("tiny_aya", "x1234y 1"), ["x", "123", "4", "y", " ", "1"]);
    }

    #[test]
    fn text_is_composed_where_the_model_was_trained_so() {
        let decomposed = "e\u{301} \u{1100}\u{1161}\u{11A8} \u{212B}";
        for (pre, expected) in [("qwen2", "\u{e9} \u{AC01} \u{C5}"), ("llama-bpe", decomposed)] {
            assert_eq!(Splitter::new(pre).unwrap().normal_form(decomposed), expected);
        }
    }

    #[test]
    fn what_no_pattern_matches_stays_together() {
        assert_eq!(cut("deepseek-v3", "a\u{1}\u{2}\u{3} b"), ["a", "\u{1}\u{2}\u{3}", " b"]);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert!(!is_known("no-such"));
        assert!(Splitter::new("no-such").is_err());
    }
}
