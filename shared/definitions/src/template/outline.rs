//! The part of the template language that is allowed, and the names that a template uses.
//!
//! Allowed are text, comments, `{% raw %}`, `{{ expression }}`, `{% if %}`, `{% elif %}`, `{% else %}`, `{% endif %}` and
//! `{% include "name" %}`. Expressions have variables, texts, numbers, comparisons, `and`, `or`, `not`, `in`, `a if b else c`,
//! parentheses and the filters. Whatever could multiply a text is missing: loops, assignments, macros, calls and operators. The
//! lengths and depths are limited, because the parser and its result are recursive.

use std::collections::BTreeMap;

use minijinja::{
    machinery::{Token, tokenize},
    syntax::SyntaxConfig,
};

use super::Flaw;

/// Filters that a template may use.
const FILTERS: [&str; 3] = ["upper", "lower", "trim"];
/// Words of expressions that stand between operands.
const OPERATORS: [&str; 6] = ["and", "or", "not", "in", "if", "else"];
const CONSTANTS: [&str; 3] = ["true", "false", "none"];
/// Parts of one tag at most.
const MAX_TOKENS: usize = 64;
/// Conditions inside each other at most. Each `elif` counts as one inside the one before.
const MAX_DEPTH: u32 = 32;

/// The names that a template uses, each with the first line that has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) variables: BTreeMap<String, u32>,
    pub(crate) includes: BTreeMap<String, u32>,
}

/// A part of a tag, with its line.
type TagPart<'a> = (Token<'a>, u32);

/// Reads the parts of a template in their order.
#[derive(Default)]
struct OutlineReader<'a> {
    outline: Outline,
    tag: Vec<TagPart<'a>>,
    /// The conditions that are open, each with the number of its `elif`.
    open: Vec<u32>,
}

impl Outline {
    pub(super) fn of(source: &str) -> Result<Self, Flaw> {
        let mut reader = OutlineReader::default();
        for token in tokenize(source, false, SyntaxConfig::default()) {
            let (token, span) = token?;
            reader.read(token, u32::from(span.start_line))?;
        }
        Ok(reader.outline)
    }
}

impl<'a> OutlineReader<'a> {
    fn read(&mut self, token: Token<'a>, line: u32) -> Result<(), Flaw> {
        match token {
            Token::TemplateData(_) => Ok(()),
            Token::VariableStart | Token::BlockStart => {
                self.tag.clear();
                Ok(())
            }
            Token::VariableEnd => {
                let tag = std::mem::take(&mut self.tag);
                self.expression(&tag)
            }
            Token::BlockEnd => {
                let tag = std::mem::take(&mut self.tag);
                self.statement(&tag, line)
            }
            _ if self.tag.len() == MAX_TOKENS => {
                Err(Flaw::at(line, format!("a tag has at most {MAX_TOKENS} parts")))
            }
            token => {
                self.tag.push((token, line));
                Ok(())
            }
        }
    }

    fn statement(&mut self, tag: &[TagPart<'a>], line: u32) -> Result<(), Flaw> {
        let Some(((Token::Ident(word), line), rest)) = tag.split_first() else {
            return Err(Flaw::at(line, "a tag begins with a word"));
        };
        match *word {
            "if" => {
                self.open.push(1);
                self.check_depth(*line)?;
                self.expression(rest)
            }
            "elif" => {
                self.open.last_mut().into_iter().for_each(|conditions| *conditions += 1);
                self.check_depth(*line)?;
                self.expression(rest)
            }
            "else" if rest.is_empty() => Ok(()),
            "endif" if rest.is_empty() => {
                self.open.pop();
                Ok(())
            }
            "include" => self.include(rest, *line),
            word => {
                let allowed = "if, elif, else, endif, include and raw";
                Err(Flaw::at(
                    *line,
                    format!("`{word}` is not allowed there; the words of tags are {allowed}"),
                ))
            }
        }
    }

    fn check_depth(&self, line: u32) -> Result<(), Flaw> {
        let depth: u32 = self.open.iter().sum();
        if depth <= MAX_DEPTH {
            return Ok(());
        }
        Err(Flaw::at(line, format!("conditions are at most {MAX_DEPTH} deep, and each elif counts")))
    }

    fn include(&mut self, rest: &[TagPart<'a>], line: u32) -> Result<(), Flaw> {
        let [(Token::Str(name), _)] = rest else {
            return Err(Flaw::at(
                line,
                "an include has the name of a prompt in quotation marks, and nothing else",
            ));
        };
        self.outline.includes.entry((*name).to_owned()).or_insert(line);
        Ok(())
    }

    fn expression(&mut self, parts: &[TagPart<'a>]) -> Result<(), Flaw> {
        let mut before: Option<&Token<'_>> = None;
        for (token, line) in parts {
            match token {
                Token::Ident(name) if matches!(before, Some(Token::Pipe)) => check_filter(name, *line)?,
                Token::Ident("is") => return Err(Flaw::at(*line, "`is` is not allowed; compare with ==")),
                Token::Ident(word) if OPERATORS.contains(word) || CONSTANTS.contains(word) => {}
                Token::Ident(name) => {
                    self.outline.variables.entry((*name).to_owned()).or_insert(*line);
                }
                Token::ParenOpen if before.is_some_and(is_operand) => {
                    return Err(Flaw::at(*line, "functions and arguments are not allowed"));
                }
                Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Float(_) => {}
                Token::Eq | Token::Ne | Token::Gt | Token::Gte | Token::Lt | Token::Lte => {}
                Token::ParenOpen | Token::ParenClose | Token::Pipe => {}
                other => return Err(Flaw::at(*line, format!("{other} is not allowed in a template"))),
            }
            before = Some(token);
        }
        Ok(())
    }
}

fn check_filter(name: &str, line: u32) -> Result<(), Flaw> {
    if FILTERS.contains(&name) {
        return Ok(());
    }
    Err(Flaw::at(line, format!("there is no filter `{name}`; the filters are {}", FILTERS.join(", "))))
}

/// Returns `true` if a parenthesis after the token would be a call.
fn is_operand(token: &Token<'_>) -> bool {
    match token {
        Token::Ident(word) => !OPERATORS.contains(word),
        Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Float(_) | Token::ParenClose => true,
        _ => false,
    }
}
