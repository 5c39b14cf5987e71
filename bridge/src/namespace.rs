//! What a namespace may hold. `{% set ns.a = value %}` is the one way in which a template changes a
//! value, so it is the one way to a value that contains itself, or that nests deeper with each turn of a
//! loop; printing, comparing or freeing either would run out of stack. So each such assignment goes
//! through the filter `FILTER`, which `filter_assignments` writes into the template's source.

use minijinja::machinery::{tokenize, Token};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

pub const FILTER: &str = "kept_in_a_namespace";

const ITEMS_PER_FUEL: u64 = 16;

/// The source with `value` of each `set name.attribute = value` filtered; also the text of a block that is
/// set. No line moves. What does not parse comes back as it is, for the parser to complain of.
pub fn filter_assignments(source: &str, syntax: SyntaxConfig) -> String {
    let mut output = String::with_capacity(source.len() + source.len() / 8);
    let mut copied = 0;
    let mut insert = |at: u32, text: &str, output: &mut String| {
        output.push_str(&source[copied..at as usize]);
        output.push_str(text);
        copied = at as usize;
    };
    let mut place = Place::Elsewhere;
    for token in tokenize(source, false, syntax) {
        let Ok((token, span)) = token else { return source.into() };
        place = match (place, token) {
            (_, Token::BlockStart) => Place::BlockStart,
            (Place::BlockStart, Token::Ident("set")) => Place::Target { dotted: false },
            (Place::Target { .. }, Token::Dot) => Place::Target { dotted: true },
            (Place::Target { dotted: true }, Token::Assign) => {
                insert(span.end_offset, "(", &mut output);
                Place::Value
            }
            (Place::Target { dotted: true }, Token::Pipe) => Place::FilterOfBlock,
            (Place::Value, Token::BlockEnd) => {
                insert(span.start_offset, &format!(")|{FILTER} "), &mut output);
                Place::Elsewhere
            }
            (Place::FilterOfBlock | Place::Target { dotted: true }, Token::BlockEnd) => {
                insert(span.start_offset, &format!("|{FILTER} "), &mut output);
                Place::Elsewhere
            }
            (Place::Target { .. }, Token::Assign | Token::Pipe | Token::BlockEnd) => {
                Place::Elsewhere
            }
            (Place::BlockStart, _) => Place::Elsewhere,
            (same, _) => same,
        };
    }
    output.push_str(&source[copied..]);
    output
}

enum Place {
    Elsewhere,
    BlockStart,
    Target { dotted: bool }, // of a set
    Value,                   // of a set with an attribute as its target
    FilterOfBlock,           // the same, of a block
}

/// The filter: the value itself, or with all that is computed only when it is asked for (and might look
/// into the namespace then) computed now. Namespaces and macros are refused, and what nests deeper than
/// `depth`.
pub fn keep(state: &State, value: Value, depth: usize) -> Result<Value, Error> {
    let kind = value.kind();
    if !matches!(kind, ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::Plain) {
        return Ok(value);
    }
    let refuse =
        |sentence: &str| Err(Error::new(ErrorKind::InvalidOperation, sentence.to_string()));
    let Some(depth) = depth.checked_sub(1) else {
        return refuse("a value in a namespace nests too deeply");
    };
    let holder = value.as_object().map_or("", |object| object.type_name());
    if kind == ValueKind::Plain || holder.ends_with("::Namespace") {
        return refuse("a namespace holds no namespace and no macro");
    }
    if kind == ValueKind::Map {
        let mut kept = Vec::new();
        for key in value.try_iter()? {
            let item = value.get_item(&key)?;
            kept.push((keep(state, key, depth)?, keep(state, item, depth)?));
        }
        state.consume_fuel(1 + kept.len() as u64 / ITEMS_PER_FUEL)?;
        return Ok(Value::from_pairs(kept));
    }
    let items = value.try_iter()?.map(|item| keep(state, item, depth));
    let items = items.collect::<Result<Vec<Value>, Error>>()?;
    state.consume_fuel(1 + items.len() as u64 / ITEMS_PER_FUEL)?;
    Ok(match value.downcast_object_ref::<Tuple>() {
        Some(_) => Value::from(Tuple::from(items)),
        None => Value::from(items),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(source: &str) -> String {
        filter_assignments(source, SyntaxConfig::default()).replace(FILTER, "F")
    }

    #[test]
    fn each_way_to_set_an_attribute_is_filtered() {
        for (source, expected) in [
            ("{% set ns.a = 1 %}", "{% set ns.a =( 1 )|F %}"),
            ("{%- set ns.a = '%}' ~ x -%}\nb", "{%- set ns.a =( '%}' ~ x )|F -%}\nb"),
            ("{% set ns . a, b = {'c': 1}, 2 %}", "{% set ns . a, b =( {'c': 1}, 2 )|F %}"),
            ("{% set (x.y) = z == 1 %}", "{% set (x.y) =( z == 1 )|F %}"),
            ("{% set ns.a %}b{% endset %}", "{% set ns.a |F %}b{% endset %}"),
            ("{% set ns.a | f(x=1) %}b{% endset %}", "{% set ns.a | f(x=1) |F %}b{% endset %}"),
        ] {
            assert_eq!(filtered(source), expected);
        }
    }

    #[test]
    fn nothing_else_is() {
        for source in [
            "{% set a = ns.b %}{{ ns.a }}{% if ns.a == 1 %}{% set b %}x{% endset %}{% endif %}",
            "{% raw %}{% set ns.a = 1 %}{% endraw %}{# {% set ns.a = 1 %} #}set ns.a = 1",
            "{% set ns.a = 1 %}{% set ns.a = '",
        ] {
            assert_eq!(filtered(source), source);
        }
    }
}
