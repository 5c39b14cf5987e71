//! Chat templates under Hugging Face's settings.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::{generation, local_time, python_json, python_methods};

const NAME: &str = "chat_template";

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Limits {
    pub fuel: u64,
    pub depth: usize,
}

pub struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    pub fn new(source: &str, limits: Limits) -> Result<ChatTemplate, String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| sentence(&error))?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(python_methods::call);
        environment.set_fuel(Some(limits.fuel));
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
        environment.add_filter("trim", trim);
        environment.add_test("sequence", is_sequence);
        environment
            .add_template_owned(NAME, generation::replace_tags(source))
            .map_err(|error| sentence(&error))?;
        Ok(ChatTemplate { environment })
    }

    pub fn render(&self, context_json: &str) -> Result<String, String> {
        let context: Value = serde_json::from_str(context_json)
            .map_err(|error| format!("the template's context is not JSON: {error}"))?;
        if context.kind() != ValueKind::Map {
            return Err("the template's context is not an object".into());
        }
        let template = self.environment.get_template(NAME).map_err(|error| sentence(&error))?;
        template.render(context).map_err(|error| sentence(&error))
    }
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

/// What has a length and can be indexed, as Jinja2 asks: strings and mappings too.
fn is_sequence(value: &Value) -> bool {
    use ValueKind::{Map, Seq, String, Undefined};
    matches!(value.kind(), Seq | Map | String | Undefined)
}

fn strftime_now(format: &str) -> Result<String, Error> {
    local_time::format_now(format)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "strftime_now: unusable format"))
}
