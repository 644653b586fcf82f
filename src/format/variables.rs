//! Variables in a file, one `NAME=value` per line, whatever the values hold.
//!
//! The value is everything behind the first `=`, with `\\`, `\n` and `\r` for a backslash and the two line breaks. A line
//! that starts with `#` is a comment. It is no shell syntax: quotes and `$` mean nothing.

/// What a file held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    pub values: Vec<(String, String)>,
    /// The lines that are no variables, counted from 1.
    pub unknown: Vec<usize>,
}

pub fn write(values: &[(String, String)]) -> String {
    let lines = values.iter().map(|(name, value)| {
        let value = value
            .replace('\\', r"\\")
            .replace('\n', r"\n")
            .replace('\r', r"\r");
        format!("{name}={value}\n")
    });
    lines.collect()
}

pub fn read(text: &str) -> Variables {
    let mut variables = Variables::default();
    for (index, line) in text.split('\n').enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match variable(line) {
            Some(variable) => variables.values.push(variable),
            None => variables.unknown.push(index + 1),
        }
    }
    variables
}

fn variable(line: &str) -> Option<(String, String)> {
    let (name, escaped) = line.split_once('=')?;
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.is_empty();
    let mut value = String::new();
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        value.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            c => c,
        });
    }
    is_name.then(|| (name.to_string(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_arrives_as_it_was() {
        let nasty = [
            "",
            "plain",
            " blanks ",
            "a=b",
            "\"q\" 'q'",
            "$HOME ${X} `x`",
            "#",
            "100%",
            "é日\u{1f600}",
            "line\nbreak",
            "\r\n",
            "\\n",
            "\\",
            "\\\\\n",
            "\t\u{1b}\u{85}\u{2028}",
        ];
        let values: Vec<(String, String)> = nasty
            .iter()
            .enumerate()
            .map(|(i, value)| (format!("NAME_{i}"), value.to_string()))
            .collect();
        let text = write(&values);
        assert_eq!(text.lines().count(), nasty.len(), "a line each: {text}");
        assert_eq!(
            read(&text),
            Variables {
                values,
                unknown: Vec::new()
            }
        );
    }

    #[test]
    fn lines_that_are_no_variables_are_counted() {
        let variables = read("# comment\n\nA=1\nnothing\n=1\nB C=1\nD=\\x\nE=\\\nF=2");
        let names: Vec<&str> = variables
            .values
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            (names, variables.unknown),
            (vec!["A", "F"], vec![4, 5, 6, 7, 8])
        );
    }
}
