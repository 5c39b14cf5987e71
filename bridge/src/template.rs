//! Chat templates under Hugging Face's settings. A template comes with a model's file, from anyone: whatever
//! it says, it is an error at worst.

use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use crate::own_stack::on_own_stack;
use crate::{generation, local_time, namespace, python_json, python_methods};

const NAME: &str = "chat_template";

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Limits {
    pub source_bytes: usize,
    pub depth: usize,
    pub fuel: u64,
    pub fuel_per_context_byte: u64,
    pub most_fuel: u64,
    pub stack_bytes: usize,
    pub stack_bytes_per_source_byte: usize,
    pub seconds: u64,
}

/// Compiling and rendering each have a thread with a stack of known size, which what passes the limits
/// cannot exhaust, and a limit of time for the little work that costs no fuel (comparing).
pub struct ChatTemplate {
    environment: Environment<'static>,
    limits: Limits,
    stack_bytes: usize,
    endless: AtomicBool, // a rendering did not end, and still runs
}

impl ChatTemplate {
    pub fn new(source: &str, limits: Limits) -> Result<ChatTemplate, String> {
        if source.len() > limits.source_bytes {
            return Err(format!(
                "chat template: {} bytes long; no more than {} are allowed",
                source.len(),
                limits.source_bytes
            ));
        }
        let stack_bytes = limits.stack_bytes + source.len() * limits.stack_bytes_per_source_byte;
        let source = source.to_string();
        let compiled = on_own_stack(stack_bytes, limits.seconds, move || compile(&source, limits));
        let environment = compiled.ok_or("chat template: it takes too long to compile")??;
        Ok(ChatTemplate { environment, limits, stack_bytes, endless: AtomicBool::new(false) })
    }

    pub fn render(&self, context_json: &str) -> Result<String, String> {
        let too_long = || {
            let seconds = self.limits.seconds;
            format!("chat template: a rendering took longer than {seconds} s; it is not used again")
        };
        if self.endless.load(Ordering::Relaxed) {
            return Err(too_long());
        }
        let mut environment = self.environment.clone();
        let of_context = self.limits.fuel_per_context_byte * context_json.len() as u64;
        let fuel = (self.limits.fuel + of_context).min(self.limits.most_fuel);
        environment.set_fuel(Some(fuel));
        let context_json = context_json.to_string();
        let work = move || render(&environment, &context_json);
        on_own_stack(self.stack_bytes, self.limits.seconds, work).unwrap_or_else(|| {
            self.endless.store(true, Ordering::Relaxed);
            Err(too_long())
        })
    }
}

fn compile(source: &str, limits: Limits) -> Result<Environment<'static>, String> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    let syntax = syntax.map_err(|error| sentence(&error))?;
    environment.set_syntax(syntax.clone());
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(python_methods::call);
    environment.set_recursion_limit(limits.depth);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    let depth = limits.depth;
    environment.add_filter(
        "tojson",
        move |value: &Value, ensure_ascii: Option<bool>, kwargs: Kwargs| {
            python_json::dumps(value, ensure_ascii, &kwargs, depth)
        },
    );
    environment.add_filter(namespace::FILTER, move |state: &State, value: Value| {
        namespace::keep(state, value, depth)
    });
    environment.add_filter("trim", trim);
    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", is_iterable);
    let source = namespace::filter_assignments(&generation::replace_tags(source), syntax);
    environment.add_template_owned(NAME, source).map_err(|error| sentence(&error))?;
    Ok(environment)
}

fn render(environment: &Environment, context_json: &str) -> Result<String, String> {
    let context: Value = serde_json::from_str(context_json)
        .map_err(|error| format!("the template's context is not JSON: {error}"))?;
    if context.kind() != ValueKind::Map {
        return Err("the template's context is not an object".into());
    }
    let template = environment.get_template(NAME).map_err(|error| sentence(&error))?;
    template.render(context).map_err(|error| sentence(&error))
}

/// An error that the template raises itself is its own sentence, without ornament.
fn sentence(error: &Error) -> String {
    let raised = std::error::Error::source(error).is_some_and(|source| source.is::<Raised>());
    if let (true, Some(detail)) = (raised, error.detail()) {
        return detail.to_string();
    }
    let mut text = format!("chat template: {}", error.kind());
    if let Some(detail) = error.detail() {
        text += &format!(": {detail}");
    }
    if let Some(line) = error.line() {
        text += &format!(" (line {line})");
    }
    text
}

#[derive(Debug)]
struct Raised;

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("raised by the template")
    }
}

impl std::error::Error for Raised {}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_string()).with_source(Raised))
}

fn trim(value: &Value, characters: Option<&str>) -> String {
    let text = value.to_string();
    let goes = |c: char| characters.map_or(python_methods::is_space(c), |set| set.contains(c));
    text.trim_matches(goes).to_string()
}

/// As in Python, none cannot be iterated over; what is undefined can, and has no elements.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// What has a length and can be indexed, as Jinja2 asks: strings and mappings too.
fn is_sequence(value: &Value) -> bool {
    use ValueKind::{Map, Seq, String, Undefined};
    matches!(value.kind(), Seq | Map | String | Undefined)
}

fn strftime_now(format: &str) -> Result<String, Error> {
    local_time::format_now(format)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "strftime_now: unusable format"))
}
