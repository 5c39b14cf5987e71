//! Methods of Python's strings and lists that `minijinja_contrib::pycompat` lacks, or means differently:
//! Python also counts U+001C to U+001F as white space, and ends lines at more than line feeds.

use minijinja::value::{from_args, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

pub fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let answer = match (value.as_str(), value.kind()) {
        (Some(text), _) => string_method(text, method, args)?,
        (None, ValueKind::Seq) if method == "index" => {
            let (wanted,): (Value,) = from_args(args)?;
            Some(position(value, &wanted)?)
        }
        _ => None,
    };
    match answer {
        Some(answer) => Ok(answer),
        None => pycompat::unknown_method_callback(state, value, method, args),
    }
}

pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// None: not a method that is defined here.
fn string_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let answer = match method {
        "strip" | "lstrip" | "rstrip" => {
            let (set,): (Option<&str>,) = from_args(args)?;
            Value::from(strip(text, method, set))
        }
        "split" if args.iter().all(Value::is_none) => {
            Value::from_iter(text.split(is_space).filter(|word| !word.is_empty()))
        }
        "splitlines" if args.is_empty() => Value::from_iter(lines(text)),
        "rsplit" => {
            let (separator, limit): (&str, Option<i64>) = from_args(args)?;
            rsplit(nonempty(separator)?, text, limit.unwrap_or(-1))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            partition(text, nonempty(separator)?, method == "partition")
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "index" | "rindex" => {
            let (wanted,): (&str,) = from_args(args)?;
            let at = if method == "index" { text.find(wanted) } else { text.rfind(wanted) };
            let at = at.ok_or_else(|| failed("substring not found"))?;
            Value::from(text[..at].chars().count())
        }
        "casefold" => no_arguments(args, text.to_lowercase())?,
        "swapcase" => no_arguments(args, text.chars().map(swapped).collect())?,
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

fn failed(sentence: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, sentence)
}

fn no_arguments(args: &[Value], answer: String) -> Result<Value, Error> {
    let () = from_args(args)?;
    Ok(Value::from(answer))
}

fn nonempty(separator: &str) -> Result<&str, Error> {
    if separator.is_empty() {
        return Err(failed("empty separator"));
    }
    Ok(separator)
}

fn strip<'a>(text: &'a str, method: &str, set: Option<&str>) -> &'a str {
    let goes = |c: char| set.map_or(is_space(c), |set| set.contains(c));
    match method {
        "lstrip" => text.trim_start_matches(goes),
        "rstrip" => text.trim_end_matches(goes),
        _ => text.trim_matches(goes),
    }
}

fn lines(text: &str) -> Vec<&str> {
    let ends_line = |c: char| matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ends_line) {
        lines.push(&rest[..at]);
        let both = rest[at..].starts_with("\r\n");
        let length = if both { 2 } else { rest[at..].chars().next().map_or(0, char::len_utf8) };
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

fn rsplit(separator: &str, text: &str, limit: i64) -> Value {
    let limit = usize::try_from(limit).map_or(usize::MAX, |limit| limit.saturating_add(1));
    let mut parts: Vec<&str> = text.rsplitn(limit, separator).collect();
    parts.reverse();
    Value::from_iter(parts)
}

fn partition(text: &str, separator: &str, first: bool) -> Value {
    let cut = if first { text.split_once(separator) } else { text.rsplit_once(separator) };
    let parts = match (cut, first) {
        (Some((before, after)), _) => [before, separator, after],
        (None, true) => [text, "", ""],
        (None, false) => ["", "", text],
    };
    Value::from(Tuple::from(parts.map(Value::from)))
}

fn swapped(c: char) -> char {
    if c.is_lowercase() {
        c.to_uppercase().next().unwrap_or(c)
    } else {
        c.to_lowercase().next().unwrap_or(c)
    }
}

fn position(list: &Value, wanted: &Value) -> Result<Value, Error> {
    for (at, item) in list.try_iter()?.enumerate() {
        if item == *wanted {
            return Ok(Value::from(at));
        }
    }
    Err(failed("the value is not in the list"))
}
