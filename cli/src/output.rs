//! The only place that prints. Standard output carries what was asked for: tables for people, or with
//! `--json` exactly one document, errors included. Everything else goes to standard error.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stderr, stdout};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    is_json: bool,
    is_quiet: bool,
    has_colour: bool,
}

/// What the text on standard error is about.
#[derive(Clone, Copy, Debug)]
enum Tone {
    Bad,
    Doubtful,
    Faint,
}

impl Output {
    /// `colour` is what the user asked for; it stays off where standard error is not a terminal.
    pub(crate) fn new(is_json: bool, is_quiet: bool, colour: bool) -> Self {
        Self { is_json, is_quiet, has_colour: colour && stderr().is_terminal() }
    }

    /// True if programs read standard output.
    pub(crate) const fn is_json(self) -> bool {
        self.is_json
    }

    /// True if a person can be asked.
    pub(crate) fn is_interactive(self) -> bool {
        !self.is_json && std::io::stdin().is_terminal() && stderr().is_terminal()
    }

    /// Prints the command's result: the document for programs, `human` for people.
    pub(crate) fn result<T: Serialize>(self, document: &T, human: impl FnOnce() -> String) {
        if self.is_json {
            match serde_json::to_string_pretty(document) {
                Ok(text) => out(&text),
                Err(error) => self.failure(&Failure::failed(format!(
                    "the result cannot be written as JSON: {error}"
                ))),
            }
        } else {
            out(human().trim_end_matches('\n'));
        }
    }

    /// Prints one of a row of results that does not end: a line each.
    pub(crate) fn line<T: Serialize>(self, document: &T, human: impl FnOnce() -> String) {
        if self.is_json {
            if let Ok(text) = serde_json::to_string(document) {
                out(&text);
            }
        } else {
            out(&human());
        }
    }

    /// Prints a document for programs; people are told in other words.
    pub(crate) fn machine_line<T: Serialize>(self, document: &T) {
        if self.is_json {
            self.line(document, String::new);
        }
    }

    /// Tells people something; programs and `--quiet` do not see it.
    pub(crate) fn note(self, text: &str) {
        if !self.is_quiet {
            err(text);
        }
    }

    /// As [`Self::note`], less loud.
    pub(crate) fn aside(self, text: &str) {
        if !self.is_quiet {
            err(&self.paint(Tone::Faint, text));
        }
    }

    /// Tells people of one of several things that are wrong; programs find them in the document.
    pub(crate) fn problem(self, text: &str) {
        if !self.is_json {
            err(&format!("{} {text}", self.paint(Tone::Bad, "error:")));
        }
    }

    /// Tells people of something that is probably not as they want it.
    pub(crate) fn warn(self, text: &str) {
        err(&format!("{} {text}", self.paint(Tone::Doubtful, "warning:")));
    }

    /// Prints how the command ended.
    pub(crate) fn failure(self, failure: &Failure) {
        if failure.is_already_told() {
            return;
        }
        if self.is_json {
            let document = serde_json::json!({ "error": failure });
            out(&format!("{document:#}"));
            return;
        }
        err(&format!("{} {}", self.paint(Tone::Bad, "error:"), failure.message));
        if let Some(hint) = &failure.hint {
            err(&format!("{} {hint}", self.paint(Tone::Faint, "hint:")));
        }
    }

    /// Asks a person; `assume_yes` answers for them.
    pub(crate) fn confirm(self, question: &str, assume_yes: bool) -> Result<(), Failure> {
        if assume_yes {
            return Ok(());
        }
        if !self.is_interactive() {
            return Err(Failure::refused(format!("{question} Nobody is here to answer"))
                .kind("confirmation_needed")
                .hint("repeat the command with --yes"));
        }
        let _ = write!(stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes") {
            return Ok(());
        }
        Err(Failure::refused("nothing was done, as you answered").kind("declined"))
    }

    fn paint(self, tone: Tone, text: &str) -> String {
        if !self.has_colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Bad => "1;31",
            Tone::Doubtful => "1;33",
            Tone::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Prints text as it is, for people and programs alike: a script, a schema, a transcript.
pub(crate) fn verbatim(text: &str) {
    out(text.trim_end_matches('\n'));
}

/// Lays rows out under headings; an empty table is the sentence `when_empty`.
pub(crate) fn table(headings: &[&str], rows: Vec<Vec<String>>, when_empty: &str) -> String {
    if rows.is_empty() {
        return when_empty.to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Lays out names and values, the values under each other.
pub(crate) fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in rows {
        for (index, line) in value.lines().enumerate() {
            let name = if index == 0 { name } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:width$}  {line}");
        }
    }
    text
}

/// A reader that went away (`| head`) is not an error of ours.
fn out(text: &str) {
    let _ = writeln!(stdout().lock(), "{text}");
}

fn err(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_a_sentence() {
        assert_eq!(table(&["name"], Vec::new(), "no keys yet"), "no keys yet");
    }

    #[test]
    fn columns_stand_under_each_other() {
        let rows =
            vec![vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), "2".to_owned()]];
        assert_eq!(table(&["name", "n"], rows, ""), "NAME    N\na       1\nlonger  2");
    }

    #[test]
    fn facts_keep_further_lines_under_the_value() {
        assert_eq!(
            facts(&[("home", "/h".to_owned()), ("x", "1\n2".to_owned())]),
            "home  /h\nx     1\n      2\n"
        );
    }
}
