//! Grammars over a model's tokens: which tokens may come next (crate `llguidance`). A grammar comes from a
//! client, so whatever it says, it is an error at worst: its size, its lexer and each step are bounded.

use std::sync::Arc;

use llguidance::api::{GrammarWithLexer, ParserLimits, StopReason, TopLevelGrammar};
use llguidance::toktrie::{
    InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv,
};
use llguidance::{Matcher, ParserFactory};
use serde_json::Value;

use crate::own_stack::on_own_stack;

/// Plain text to ids, which give back the text's own bytes (or those of its normal form).
pub type Encode = Box<dyn Fn(&str) -> Vec<TokenId> + Send + Sync>;

struct Tokens {
    trie: TokTrie,
    encode: Option<Encode>, // none: nothing is forced
}

impl TokenizerEnv for Tokens {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        match &self.encode {
            Some(encode) => self.trie.tokenize_with_greedy_fallback(bytes, |text| {
                let ids = encode(text);
                let same = self.trie.decode(&ids) == text.as_bytes();
                if same {
                    ids
                } else {
                    self.trie.greedy_tokenize(text.as_bytes())
                }
            }),
            None => self.trie.greedy_tokenize(bytes),
        }
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.encode.is_some()
    }
}

/// What a grammar is written in.
pub enum Source<'a> {
    /// JSON schema, perhaps with llguidance's options in `x-guidance`.
    Schema(&'a str),
    Lark(&'a str),
    Regex(&'a str),
}

pub struct Compiler {
    factory: Arc<ParserFactory>,
}

// Its recursion goes as deep as a grammar's rules hang together: some KB for each of the thousands that
// the longest may have (limits.h). Only what is touched takes memory.
const COMPILE_STACK_BYTES: usize = 512 << 20;
const COMPILE_SECONDS: u64 = 10;

impl Compiler {
    /// `tokens`: the bytes of each; those of control tokens behind 0xFF. `ends`: ids that end a reply.
    pub fn new(
        tokens: &[Vec<u8>],
        ends: &[TokenId],
        encode: Option<Encode>,
    ) -> Result<Self, String> {
        let (Some(&end), Ok(size)) = (ends.first(), u32::try_from(tokens.len())) else {
            return Err("the model has no token that ends a reply".into());
        };
        let trie = TokTrie::from(&TokRxInfo::new(size, end), tokens).with_eos_tokens(ends);
        let env: TokEnv = Arc::new(Tokens { trie, encode });
        let caps = InferenceCapabilities {
            ff_tokens: env.tokenize_is_canonical(),
            conditional_ff_tokens: env.tokenize_is_canonical(),
            backtrack: false,
            fork: false,
        };
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&env, caps, &slices).map_err(sentence)?;
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            max_lexer_states: 50_000, // 1 to 2 KB each
            max_grammar_size: 200_000,
            verbose_errors: false,
            ..ParserLimits::default()
        };
        Ok(Self { factory: Arc::new(factory) })
    }

    /// The grammar, and what of it was left out of account, if anything.
    pub fn compile(&self, source: Source) -> Result<(Grammar, String), String> {
        let top = match source {
            Source::Schema(text) => {
                let schema: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
                TopLevelGrammar::from_json_schema(schema)
            }
            Source::Lark(text) => TopLevelGrammar::from_lark(text.into()),
            Source::Regex(text) => {
                TopLevelGrammar::from_grammar(GrammarWithLexer::from_regex(text))
            }
        };
        let factory = self.factory.clone();
        let work = move || {
            let mut matcher = Matcher::new(factory.create_parser(top));
            if let Some(error) = matcher.get_error() {
                return Err(first_lines(&error));
            }
            let warnings = matcher.grammar_warnings().join("; ");
            Ok((Grammar { matcher }, warnings))
        };
        on_own_stack(COMPILE_STACK_BYTES, COMPILE_SECONDS, work)
            .unwrap_or_else(|| Err(format!("it took longer than {COMPILE_SECONDS} s")))
    }
}

fn sentence(error: impl std::fmt::Display) -> String {
    first_lines(&format!("{error:#}"))
}

/// Without the states and grammars that follow an error's first lines.
fn first_lines(error: &str) -> String {
    const MOST: usize = 500;
    let mut text: String = error.lines().take(6).collect::<Vec<_>>().join("\n");
    if text.len() > MOST {
        let end = (0..=MOST).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A compiled grammar at its beginning. Any thread may begin replies with it at the same time.
pub struct Grammar {
    matcher: Matcher,
}

impl Grammar {
    pub fn begin(&self) -> Reply {
        Reply { matcher: self.matcher.deep_clone(), mask: SimpleVob::new() }
    }
}

/// A reply on its way through a grammar.
pub struct Reply {
    matcher: Matcher,
    mask: SimpleVob,
}

impl Reply {
    /// Bit i: token i may come next.
    pub fn mask(&mut self) -> Result<&[u32], String> {
        self.mask = self.matcher.compute_mask_or_eos().map_err(sentence)?;
        Ok(self.mask.as_slice())
    }

    pub fn accept(&mut self, token: TokenId) -> Result<(), String> {
        self.matcher.consume_token(token).map_err(sentence)
    }

    /// What must come next, whatever the model says; it is accepted.
    pub fn take_forced(&mut self) -> Vec<TokenId> {
        self.matcher.consume_ff_tokens()
    }

    /// Whether nothing may follow.
    pub fn is_complete(&self) -> bool {
        self.matcher.is_stopped() && self.matcher.stop_reason() != StopReason::InternalError
    }
}
