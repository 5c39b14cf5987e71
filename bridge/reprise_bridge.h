#pragma once

/* The C interface of the Rust crate in this folder: byte pair encoding (crate `tokenizers`), chat
 * templates (crate `minijinja`) and grammars (crate `llguidance`). Only src/text includes it.
 *
 * Text is UTF-8 with an explicit length, never NUL-terminated. What a call returns in a RepriseText
 * or RepriseIds belongs to the caller, who gives it back with reprise_text_free or reprise_ids_free;
 * an empty one need not be given back. Views are only read during the call.
 *
 * A function that can fail takes `error`: on failure (NULL or false) it holds a sentence to be freed,
 * on success it is empty. No panic crosses this interface: it becomes such a sentence.
 *
 * Objects are immutable after creation; any thread may use them at the same time. A RepriseReply alone
 * is not: it belongs to one thread at a time. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct RepriseView {
  const char* data; /* may be NULL if size is 0 */
  size_t size;
} RepriseView;

typedef struct RepriseText {
  char* data; /* NULL if empty */
  size_t size;
} RepriseText;

typedef struct RepriseIds {
  int32_t* data; /* NULL if empty */
  size_t size;
} RepriseIds;

void reprise_text_free(RepriseText text);
void reprise_ids_free(RepriseIds ids);

/* -- Byte pair encoding ------------------------------------------------------------------- */

typedef struct RepriseBpe RepriseBpe;

typedef enum RepriseBpeKind {
  REPRISE_BPE_BYTE_LEVEL = 0,    /* GPT-2: bytes written as printable letters */
  REPRISE_BPE_SENTENCEPIECE = 1, /* a space is written as U+2581, unknown letters as <0xNN> */
} RepriseBpeKind;

typedef struct RepriseMerge {
  uint32_t left;  /* index into tokens */
  uint32_t right; /* index into tokens */
} RepriseMerge;

typedef struct RepriseBpeConfig {
  RepriseBpeKind kind;
  RepriseView pre; /* tokenizer.ggml.pre; byte level only */
  /* A token's id is its index. An empty view is an id that plain text never yields. */
  const RepriseView* tokens;
  size_t token_count;
  /* First come, first merged. Both sides and what they join to must be among tokens. */
  const RepriseMerge* merges;
  size_t merge_count;
  int32_t unknown; /* id of the unknown token, or -1; SentencePiece only */
  bool prefix_space; /* SentencePiece only */
} RepriseBpeConfig;

/* Whether tokenizer.ggml.pre names a pre-tokenizer that is known here. */
bool reprise_bpe_knows_pre(RepriseView pre);

RepriseBpe* reprise_bpe_create(const RepriseBpeConfig* config, RepriseText* error);
void reprise_bpe_free(RepriseBpe* bpe); /* NULL is allowed */

/* Whether text is brought into Unicode's normal form C first, so that ids may give back other bytes. */
bool reprise_bpe_composes(const RepriseBpe* bpe);

/* Ids of plain text; no token is special. A word of more than 256 KiB is cut into such pieces: merging
 * takes a second per MiB. `stop` is asked on this thread every few milliseconds whether to give up; then
 * the ids are none, and the error says "stopped". */
bool reprise_bpe_encode(const RepriseBpe* bpe, RepriseView text, bool (*stop)(void), RepriseIds* ids,
                        RepriseText* error);

/* -- Chat templates ----------------------------------------------------------------------- */

typedef struct RepriseTemplate RepriseTemplate;

typedef struct RepriseTemplateLimits {
  size_t source_bytes;            /* longest source */
  size_t depth;                   /* nested calls, nested values in tojson and in namespaces */
  uint64_t fuel;                  /* units of work for one rendering: one an instruction, one per 64 bytes */
  uint64_t fuel_per_context_byte; /* more of them … */
  uint64_t most_fuel;             /* … up to so many */
  size_t stack_bytes;             /* of the thread that compiles or renders … */
  size_t stack_bytes_per_source_byte; /* … and more */
  uint64_t seconds;               /* longest compilation and rendering */
} RepriseTemplateLimits;

RepriseTemplate* reprise_template_create(RepriseView source, RepriseTemplateLimits limits,
                                         RepriseText* error);
void reprise_template_free(RepriseTemplate* chat_template); /* NULL is allowed */

/* context_json: an object, whose keys become the template's variables. */
bool reprise_template_render(const RepriseTemplate* chat_template, RepriseView context_json,
                             RepriseText* output, RepriseText* error);

/* -- Grammars ----------------------------------------------------------------------------- */

typedef struct RepriseGrammarCompiler RepriseGrammarCompiler;
typedef struct RepriseGrammar RepriseGrammar;
typedef struct RepriseReply RepriseReply; /* on its way through a grammar */

typedef struct RepriseTokenConfig {
  const RepriseView* tokens; /* the bytes of each */
  const bool* is_control;    /* of each */
  size_t token_count;
  const int32_t* ends; /* ids that end a reply: at least one */
  size_t end_count;
  /* The ids of plain text, handed to reprise_ids_append(to, …). Must give back the text's own bytes, so
   * NULL for a tokenizer that writes a space before it: then nothing is forced. Any thread calls it, as
   * long as the process lives. */
  const void* tokenizer;
  void (*encode)(const void* tokenizer, RepriseView text, void* to);
} RepriseTokenConfig;

void reprise_ids_append(void* to, const int32_t* ids, size_t count);

RepriseGrammarCompiler* reprise_grammar_compiler_create(const RepriseTokenConfig* config,
                                                        RepriseText* error);
void reprise_grammar_compiler_free(RepriseGrammarCompiler* compiler); /* NULL is allowed */

typedef enum RepriseGrammarKind {
  REPRISE_GRAMMAR_SCHEMA = 0, /* JSON schema, perhaps with llguidance's options in x-guidance */
  REPRISE_GRAMMAR_LARK = 1,   /* as llguidance extends Lark */
  REPRISE_GRAMMAR_REGEX = 2,
} RepriseGrammarKind;

/* `ignored`: what was left out of account; empty: nothing. */
RepriseGrammar* reprise_grammar_compile(const RepriseGrammarCompiler* compiler,
                                        RepriseGrammarKind kind, RepriseView source,
                                        RepriseText* ignored, RepriseText* error);
void reprise_grammar_free(RepriseGrammar* grammar); /* NULL is allowed */

RepriseReply* reprise_reply_begin(const RepriseGrammar* grammar, RepriseText* error);
void reprise_reply_free(RepriseReply* reply); /* NULL is allowed */

/* Which tokens may come next: bit i % 32 of words[i / 32]. Valid until the next call. */
bool reprise_reply_mask(RepriseReply* reply, const uint32_t** words, size_t* count,
                        RepriseText* error);
bool reprise_reply_accept(RepriseReply* reply, int32_t token, RepriseText* error);
/* What must come next, whatever the model says: accepted already. */
bool reprise_reply_take_forced(RepriseReply* reply, RepriseIds* ids, RepriseText* error);
bool reprise_reply_is_complete(const RepriseReply* reply); /* nothing may follow */

#ifdef __cplusplus
}
#endif
