//! The demo's words, one step at a time.

use crate::{
    Chunk, Error, FinishReason, Request, ToolSpec, Usage,
    chunk::Raw,
    meter::{self, Meter},
};

use super::script::Script;

/// What the demo does next.
pub(super) enum Step {
    /// Says something that counts as this many tokens of the timetable.
    Say(Raw, u64),
    Fail(Error),
    /// Ends as a lost connection does.
    Cut,
    Hang,
}

/// An answer that is made as it is read.
pub(super) struct Answer {
    script: Script,
    /// The reply proper; what `tokens` asks beyond it is filled up.
    reply: Vec<String>,
    total: u64,
    reasoned: u64,
    said: u64,
    input_tokens: u64,
    call: Vec<Chunk>,
    /// The tokens of the calls.
    called: u64,
    finish: FinishReason,
    over: bool,
}

/// Longest quote of what the person said, in characters.
const QUOTE: usize = 400;

impl Answer {
    pub(super) fn new(request: &Request, said: &str, result: Option<&str>, script: Script) -> Self {
        let reply = split(&reply(said, result));
        let mut total = script.tokens.unwrap_or(reply.len() as u64);
        let mut finish = script.finish;
        if let Some(limit) = request.max_output_tokens
            && u64::from(limit) < total
        {
            total = limit.into();
            finish = FinishReason::Length;
        }
        let offered = |(name, _): &&(String, String)| request.tools.iter().any(|tool| tool.name == *name);
        let mut call = Vec::new();
        // Read from the end. The ids depend on the conversation only, so that they are the same every time and new in every turn.
        let mut calls: Vec<_> = script.tools.iter().filter(offered).cloned().collect();
        if calls.is_empty() && request.must_call {
            calls.extend(request.tools.first().map(example));
        }
        let called = calls.iter().map(|(_, arguments)| meter::tokens(arguments)).sum();
        for (n, (name, arguments)) in calls.into_iter().enumerate().rev() {
            finish = FinishReason::ToolCalls;
            let id = format!("call_demo_{}_{n}", request.messages.len());
            call.push(Chunk::ToolCallEnd { id: id.clone() });
            call.push(Chunk::ToolCallDelta { id: id.clone(), arguments });
            call.push(Chunk::ToolCallStart { id, name });
        }
        Self {
            script,
            reply,
            total,
            reasoned: 0,
            said: 0,
            input_tokens: Meter::new(request).usage().input_tokens,
            call,
            called,
            finish,
            over: false,
        }
    }

    pub(super) fn next_step(&mut self) -> Step {
        if self.over {
            return Step::Cut;
        }
        if self.script.fail_after == Some(self.said) && self.reasoned >= self.script.reasoning {
            self.over = true;
            return self.script.error.clone().map_or(Step::Cut, Step::Fail);
        }
        if self.script.hang_after == Some(self.said) && self.reasoned >= self.script.reasoning {
            return Step::Hang;
        }
        if self.reasoned < self.script.reasoning {
            self.reasoned += 1;
            return Step::Say(Raw::Chunk(Chunk::ReasoningDelta(filler(self.reasoned))), 1);
        }
        if self.said < self.total {
            let text = match self.reply.get(self.said as usize) {
                Some(word) => word.clone(),
                None => filler(self.said + 1),
            };
            self.said += 1;
            return Step::Say(Raw::Chunk(Chunk::TextDelta(text)), 1);
        }
        if let Some(chunk) = self.call.pop() {
            return Step::Say(Raw::Chunk(chunk), 0);
        }
        self.over = true;
        let usage = self.script.reports_usage.then(|| self.usage());
        let finish_reason = self.finish;
        Step::Say(Raw::Finished { finish_reason, usage }, 0)
    }

    /// The demo counts its own tokens; its input is an estimate like any other.
    fn usage(&self) -> Usage {
        Usage {
            input_tokens: self.input_tokens,
            output_tokens: self.said + self.reasoned + self.called,
            cached_input_tokens: 0,
            reasoning_tokens: self.reasoned,
            estimated: true,
        }
    }
}

/// A call of `tool` with arguments that its schema gives as an example.
fn example(tool: &ToolSpec) -> (String, String) {
    let arguments =
        tool.parameters["examples"].get(0).map_or_else(|| "{}".to_owned(), |example| example.to_string());
    (tool.name.clone(), arguments)
}

fn reply(said: &str, result: Option<&str>) -> String {
    let quote = |text: &str| {
        let mut quoted: String = text.trim().chars().take(QUOTE).collect();
        if quoted.len() < text.trim().len() {
            quoted.push('…');
        }
        quoted
    };
    let heard = match result {
        Some(result) => format!("The tool answered: “{}”.", quote(result)),
        None => format!("You said: “{}”.", quote(said)),
    };
    format!(
        "This is the demo provider: no language model is configured, so nobody has thought about this answer. {heard} \
         Set OPENAI_API_KEY (with OPENAI_BASE_URL for another server) or ANTHROPIC_API_KEY to talk to a real model."
    )
}

/// Words with the white space before them; very long ones in pieces. Joined again they are the text.
fn split(text: &str) -> Vec<String> {
    const LONGEST: usize = 24;
    let mut words: Vec<String> = Vec::new();
    let mut length = LONGEST;
    let mut in_word = true;
    for c in text.chars() {
        let begins_word = c.is_whitespace() && in_word;
        in_word = !c.is_whitespace();
        if begins_word || length >= LONGEST {
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

/// Readable words without end, numbered now and then so that a missing or repeated one is seen.
fn filler(n: u64) -> String {
    const WORDS: [&str; 19] = [
        "the", "log", "is", "the", "truth", "and", "nothing", "is", "shown", "that", "is", "not", "stored",
        "so", "every", "token", "can", "be", "replayed",
    ];
    match n % 20 {
        0 => format!(" [{n}]"),
        place => format!(" {}", WORDS[place as usize - 1]),
    }
}
