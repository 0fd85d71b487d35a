//! The demo's answer, one step at a time.

use crate::{
    Chunk, Error, FinishReason, Request, ToolSpec, Usage,
    chunk::Raw,
    meter::{self, Meter},
};

use super::script::Script;

/// The next step of an answer.
pub(super) enum Step {
    /// Sends an item that takes this many tokens of the schedule.
    Send(Raw, u64),
    Fail(Error),
    /// Ends like a lost connection.
    Cut,
    Hang,
}

/// An answer that is generated while it is read.
pub(super) struct Answer {
    script: Script,
    /// The words of the reply. If the script asks for more tokens, filler follows.
    reply: Vec<String>,
    total: u64,
    reasoning_sent: u64,
    text_sent: u64,
    input_tokens: u64,
    call: Vec<Chunk>,
    /// The tokens of the calls' arguments.
    call_tokens: u64,
    finish: FinishReason,
    over: bool,
}

/// Characters of a quote at most.
const MAX_QUOTE: usize = 400;

impl Answer {
    pub(super) fn new(request: &Request, prompt: &str, result: Option<&str>, script: Script) -> Self {
        let reply = split(&reply(prompt, result));
        let mut room = request.max_output_tokens.map_or(u64::MAX, u64::from);
        // Like a real model, the demo reasons, speaks and calls within one limit.
        let mut fitted = |wanted: u64| {
            let tokens = wanted.min(room);
            room -= tokens;
            tokens
        };
        let reasoning = fitted(script.reasoning);
        let wanted = script.tokens.unwrap_or(reply.len() as u64);
        let total = fitted(wanted);
        let mut is_cut = reasoning < script.reasoning || total < wanted;
        let offered = |(name, _): &&(String, String)| request.tools.iter().any(|tool| tool.name == *name);
        let mut call = Vec::new();
        // The chunks are popped from the end. The ids depend on the conversation only: they are reproducible,
        // and differ between turns.
        let mut calls: Vec<_> = script.tools.iter().filter(offered).cloned().collect();
        if calls.is_empty() && request.must_call {
            calls.extend(request.tools.first().map(example));
        }
        let mut call_tokens = 0;
        for (_, arguments) in &mut calls {
            let wanted = meter::tokens(arguments);
            let tokens = fitted(wanted);
            if tokens < wanted {
                is_cut = true;
                arguments.truncate(arguments.floor_char_boundary(tokens as usize));
            }
            call_tokens += tokens;
        }
        let mut finish = script.finish;
        for (n, (name, arguments)) in calls.into_iter().enumerate().rev() {
            finish = FinishReason::ToolCalls;
            let id = format!("call_demo_{}_{n}", request.messages.len());
            call.push(Chunk::ToolCallEnd { id: id.clone() });
            if !arguments.is_empty() {
                call.push(Chunk::ToolCallDelta { id: id.clone(), arguments });
            }
            call.push(Chunk::ToolCallStart { id, name });
        }
        if is_cut {
            finish = FinishReason::Length;
        }
        Self {
            script: Script { reasoning, ..script },
            reply,
            total,
            reasoning_sent: 0,
            text_sent: 0,
            input_tokens: Meter::new(request).usage().input_tokens,
            call,
            call_tokens,
            finish,
            over: false,
        }
    }

    pub(super) fn next_step(&mut self) -> Step {
        if self.over {
            return Step::Cut;
        }
        if self.script.fail_after == Some(self.text_sent) && self.reasoning_sent >= self.script.reasoning {
            self.over = true;
            return self.script.error.clone().map_or(Step::Cut, Step::Fail);
        }
        if self.script.hang_after == Some(self.text_sent) && self.reasoning_sent >= self.script.reasoning {
            return Step::Hang;
        }
        if self.reasoning_sent < self.script.reasoning {
            self.reasoning_sent += 1;
            return Step::Send(Raw::Chunk(Chunk::ReasoningDelta(filler(self.reasoning_sent))), 1);
        }
        if self.text_sent < self.total {
            let text = match self.reply.get(self.text_sent as usize) {
                Some(word) => word.clone(),
                None => filler(self.text_sent + 1),
            };
            self.text_sent += 1;
            return Step::Send(Raw::Chunk(Chunk::TextDelta(text)), 1);
        }
        if let Some(chunk) = self.call.pop() {
            return Step::Send(Raw::Chunk(chunk), 0);
        }
        self.over = true;
        let usage = self.script.reports_usage.then(|| self.usage());
        let finish_reason = self.finish;
        Step::Send(Raw::Finished { finish_reason, usage }, 0)
    }

    /// The demo counts its output tokens; its input tokens are an estimate.
    fn usage(&self) -> Usage {
        Usage {
            input_tokens: self.input_tokens,
            output_tokens: self.text_sent + self.reasoning_sent + self.call_tokens,
            cached_input_tokens: 0,
            cache_write_tokens: 0,
            reasoning_tokens: self.reasoning_sent,
            estimated: true,
        }
    }
}

/// Returns the name of `tool` and the first example of its arguments.
fn example(tool: &ToolSpec) -> (String, String) {
    let arguments =
        tool.parameters["examples"].get(0).map_or_else(|| "{}".to_owned(), |example| example.to_string());
    (tool.name.clone(), arguments)
}

fn reply(prompt: &str, result: Option<&str>) -> String {
    let quote = |text: &str| {
        let mut quoted: String = text.trim().chars().take(MAX_QUOTE).collect();
        if quoted.len() < text.trim().len() {
            quoted.push('…');
        }
        quoted
    };
    let input = match result {
        Some(result) => format!("The tool answered: “{}”.", quote(result)),
        None => format!("You said: “{}”.", quote(prompt)),
    };
    format!(
        "This is the demo provider: no language model is configured, so this answer was generated by fixed rules. {input} \
         Set OPENAI_API_KEY (with OPENAI_BASE_URL for another server) or ANTHROPIC_API_KEY to talk to a real model."
    )
}

/// Splits a text into words, each with the white space before it, and long words into pieces. Joined, they
/// give the text.
fn split(text: &str) -> Vec<String> {
    const MAX_LENGTH: usize = 24;
    let mut words: Vec<String> = Vec::new();
    let mut length = MAX_LENGTH;
    let mut in_word = true;
    for c in text.chars() {
        let starts_word = c.is_whitespace() && in_word;
        in_word = !c.is_whitespace();
        if starts_word || length >= MAX_LENGTH {
            words.push(String::new());
            length = 0;
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
            length += 1;
        }
    }
    words
}

/// Returns the n-th word of an endless readable text. Every 20th is a number, so that missing or repeated
/// words are noticed.
fn filler(n: u64) -> String {
    const WORDS: [&str; 19] = [
        "the", "log", "is", "the", "truth", "and", "nothing", "is", "shown", "that", "is", "not", "stored",
        "so", "every", "token", "can", "be", "replayed",
    ];
    match n % 20 {
        0 => format!(" [{n}]"),
        position => format!(" {}", WORDS[position as usize - 1]),
    }
}
