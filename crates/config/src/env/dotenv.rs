//! Reads `.env` files: `NAME=value` lines, `export`, comments, quotes. Nothing is interpolated.
//!
//! Single quotes keep everything; double quotes know `\n`, `\r`, `\t`, `\"`, `\\` and `\$`; both may
//! span lines. An unquoted value ends before ` #`.

use super::EnvironmentError;

/// The variables in their order, and the lines that cannot be read.
pub(super) fn parse(text: &str) -> (Vec<(String, String)>, Vec<EnvironmentError>) {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let (mut variables, mut errors) = (Vec::new(), Vec::new());
    while !reader.rest.is_empty() {
        let line = reader.line;
        match reader.assignment() {
            Ok(assignment) => variables.extend(assignment),
            Err(problem) => {
                errors.push(EnvironmentError { line, problem });
                reader.skip_line();
            }
        }
    }
    (variables, errors)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    /// Reads one line, or as many as a quoted value spans. Comments and empty lines give nothing.
    fn assignment(&mut self) -> Result<Option<(String, String)>, &'static str> {
        let line = self.rest.lines().next().unwrap_or_default();
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            self.skip_line();
            return Ok(None);
        }
        let (name, _) = line.split_once('=').ok_or("expected NAME=value")?;
        let trimmed = name.trim();
        let bare = trimmed.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
        let bare = bare.map_or(trimmed, str::trim);
        if !is_name(bare) {
            return Err("a name is made of letters, digits and `_`, and starts with no digit");
        }
        self.rest = self.rest[name.len() + 1..].trim_start_matches([' ', '\t']);
        let value = match self.rest.chars().next() {
            Some('\'') => self.single_quoted()?,
            Some('"') => self.double_quoted()?,
            _ => self.unquoted(),
        };
        Ok(Some((bare.to_owned(), value)))
    }

    fn unquoted(&mut self) -> String {
        let line = self.rest.lines().next().unwrap_or_default();
        let comment = line
            .match_indices('#')
            .map(|(at, _)| at)
            .find(|&at| at == 0 || line[..at].ends_with([' ', '\t']));
        let value = line[..comment.unwrap_or(line.len())].trim_end().to_owned();
        self.skip_line();
        value
    }

    fn single_quoted(&mut self) -> Result<String, &'static str> {
        let body = &self.rest[1..];
        let end = body.find('\'').ok_or("the quote is not closed")?;
        let value = body[..end].to_owned();
        self.close(end + 2)?;
        Ok(value)
    }

    fn double_quoted(&mut self) -> Result<String, &'static str> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.close(at + 1)?;
                    return Ok(value);
                }
                '\\' => match chars.next().map(|(_, escaped)| escaped) {
                    Some('n') => value.push('\n'),
                    Some('r') => value.push('\r'),
                    Some('t') => value.push('\t'),
                    Some(escaped @ ('"' | '\\' | '$')) => value.push(escaped),
                    Some(other) => value.extend(['\\', other]),
                    None => break,
                },
                other => value.push(other),
            }
        }
        Err("the quote is not closed")
    }

    /// Goes past a quoted value of this length; only a comment may follow it.
    fn close(&mut self, length: usize) -> Result<(), &'static str> {
        let tail = self.rest[length..].lines().next().unwrap_or_default().trim_start();
        if !tail.is_empty() && !tail.starts_with('#') {
            return Err("something follows the closing quote");
        }
        self.line += self.rest[..length].matches('\n').count();
        self.rest = &self.rest[length..];
        self.skip_line();
        Ok(())
    }

    fn skip_line(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        self.line += 1;
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_line_is_read() {
        let cases = [
            ("A=1", "1"),
            ("A = 1 ", "1"),
            ("export A=1", "1"),
            ("  export\tA=1\r\n", "1"),
            ("A=", ""),
            ("A=a b # comment", "a b"),
            ("A=a#b", "a#b"),
            ("A=# nothing", ""),
            ("A='a # b \\n $B'", "a # b \\n $B"),
            ("A=\"a\\n\\\"b\\\" ${B} \\x\" # comment", "a\n\"b\" ${B} \\x"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=${B}", "${B}"),
            ("A=k=v==", "k=v=="),
            ("\u{feff}# comment\n\nA=1", "1"),
        ];
        for (text, expected) in cases {
            let (variables, errors) = parse(text);
            assert_eq!(variables, [("A".to_owned(), expected.to_owned())], "{text:?}");
            assert!(errors.is_empty(), "{text:?}: {errors:?}");
        }
    }

    #[test]
    fn a_bad_line_is_named_and_the_rest_is_read() {
        let (variables, errors) = parse("no assignment\n1A=x\nA='open\nB=\"x\" y\nexportC=1\nD=2");
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["exportC", "D"]);
        let lines: Vec<usize> = errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n\t\"'\\\\=#é]*") {
            parse(&text);
        }
    }
}
