//! Hugging Face marks the assistant's words with `{% generation %}` … `{% endgeneration %}` for
//! training. Rendering them means nothing, but they open a scope and obey white space control, so they
//! become `{% with %}` … `{% endwith %}` with the same marks.

pub fn replace_tags(source: &str) -> String {
    let mut output = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        output.push_str(before);
        match replacement(tag) {
            Some((replaced, length)) => {
                output.push_str(&replaced);
                rest = &tag[length..];
            }
            None => {
                output.push_str("{%");
                rest = &tag[2..];
            }
        }
    }
    output.push_str(rest);
    output
}

/// What stands for the tag that `text` begins with, and the tag's length; None for any other tag.
fn replacement(text: &str) -> Option<(String, usize)> {
    let inside = text.strip_prefix("{%")?;
    let end = inside.find("%}")?;
    let inside = &inside[..end];
    let mark = |c: Option<char>| {
        c.filter(|c| matches!(c, '-' | '+')).map_or("", |c| if c == '-' { "-" } else { "+" })
    };
    let left = mark(inside.chars().next());
    let right = mark(inside.chars().next_back());
    let name = inside.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
    let name = match name {
        "generation" => "with",
        "endgeneration" => "endwith",
        _ => return None,
    };
    Some((format!("{{%{left} {name} {right}%}}"), end + 4))
}

#[cfg(test)]
mod tests {
    use super::replace_tags;

    #[test]
    fn marks_are_kept_and_other_tags_untouched() {
        assert_eq!(
            replace_tags("a{%- generation -%}{{ x }}{% endgeneration %}{% if y %}{%"),
            "a{%- with -%}{{ x }}{% endwith %}{% if y %}{%"
        );
    }
}
