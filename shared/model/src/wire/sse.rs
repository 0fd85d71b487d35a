//! Server-sent events: bytes in pieces of any size become frames.
//!
//! The rules are those of the HTML standard (section 9.2.6), and what servers do beside them: events without a blank line
//! between them (one frame with several documents), JSON without a field name (errors of proxies, and whole answers), the
//! field `error` (llama.cpp), `data:` twice, and a last event without its end.

use memchr::memchr2;

use crate::Error;

/// An event of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// The name of the event. Empty if it has none.
    pub(crate) event: &'a str,
    pub(crate) data: &'a str,
    /// The end of the event was received. The last event of a connection that was cut has none.
    pub(crate) is_whole: bool,
}

/// The frames of a body.
#[derive(Debug, Default)]
pub(crate) struct SseFraming {
    /// The line that has not ended yet.
    line: Vec<u8>,
    event: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The data began as JSON without a field name, so lines that are no fields belong to it.
    is_bare: bool,
    /// The last byte was a CR. An LF after it belongs to the same line end.
    skips_lf: bool,
    has_begun: bool,
    /// A line was neither a field nor JSON.
    has_noise: bool,
    /// At least one frame was found.
    has_frame: bool,
}

/// Bytes of a frame at most. No server sends a larger one, unless it sends something else.
const MAX_FRAME: usize = 16 << 20;

impl SseFraming {
    /// Takes the next bytes of the body and gives each frame that they complete to `sink`.
    ///
    /// # Errors
    /// The error of `sink`, or a frame that is too large or not UTF-8.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl FnMut(Frame<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.skips_lf) && *first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.line.extend_from_slice(bytes);
                return self.check_size();
            };
            self.skips_lf = bytes[end] == b'\r';
            if self.line.is_empty() {
                self.take_line(&bytes[..end], sink)?;
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&bytes[..end]);
                self.take_line(&line, sink)?;
                line.clear();
                self.line = line;
            }
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }

    /// Takes the end of the body. The last event is a frame even without a blank line after it.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(super) fn end(&mut self, sink: &mut impl FnMut(Frame<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line, sink)?;
        }
        self.dispatch(false, sink)
    }

    /// Returns `true` if the body contains text but no frame, like a web page.
    pub(super) fn is_only_noise(&self) -> bool {
        self.has_noise && !self.has_frame
    }

    fn take_line(
        &mut self,
        line: &[u8],
        sink: &mut impl FnMut(Frame<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = if std::mem::replace(&mut self.has_begun, true) {
            line
        } else {
            line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
        };
        if line.is_empty() {
            return self.dispatch(true, sink);
        }
        if let Some((name, value)) = field(line) {
            if std::mem::take(&mut self.is_bare) {
                self.dispatch(true, sink)?;
            }
            match name {
                b"data" => self.append(without_field(value)),
                b"error" => {
                    self.event = b"error".to_vec();
                    self.append(value);
                }
                b"event" => self.event = value.to_vec(),
                _ => {} // a comment, an id or the time before a reconnect
            }
        } else if self.is_bare || matches!(line.trim_ascii_start().first(), Some(b'{' | b'[')) {
            self.is_bare = true;
            self.append(line);
        } else if !line.trim_ascii().is_empty() {
            self.has_noise = true;
        }
        self.check_size()
    }

    fn append(&mut self, value: &[u8]) {
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
    }

    /// Gives the event that was read to `sink`. One with a name but without data says only that the server is alive.
    fn dispatch(
        &mut self,
        is_whole: bool,
        sink: &mut impl FnMut(Frame<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut data = std::mem::take(&mut self.data);
        let event = std::mem::take(&mut self.event);
        self.is_bare = false;
        if !std::mem::take(&mut self.has_data) {
            return Ok(());
        }
        self.has_frame = true;
        let text = |bytes| std::str::from_utf8(bytes).map_err(|error| not_utf8(error, is_whole));
        sink(Frame { event: text(&event)?, data: text(&data)?, is_whole })?;
        data.clear();
        self.data = data; // its memory is used again
        Ok(())
    }

    fn check_size(&self) -> Result<(), Error> {
        if self.line.len() + self.data.len() <= MAX_FRAME {
            return Ok(());
        }
        Err(Error::InvalidAnswer("an event is too large".into()))
    }
}

/// Bytes that are not UTF-8. At the end of a cut connection they are the first part of a character.
fn not_utf8(error: std::str::Utf8Error, is_whole: bool) -> Error {
    if !is_whole && error.error_len().is_none() {
        return Error::Truncated;
    }
    Error::InvalidAnswer("an event is not UTF-8".into())
}

/// Splits a line into the name of a field that the standard or a server knows, and its value. Returns `None` for any other
/// line. A comment is a field without a name.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    const NAMES: [&[u8]; 6] = [b"data", b"event", b"", b"id", b"retry", b"error"];
    let end = line.iter().take(6).position(|byte| *byte == b':').unwrap_or(line.len());
    let name = NAMES.into_iter().find(|name| *name == &line[..end])?;
    let value = line.get(end + 1..).unwrap_or_default();
    Some((name, value.strip_prefix(b" ").unwrap_or(value)))
}

/// Removes the field names that a proxy has added to events which had them already.
fn without_field(value: &[u8]) -> &[u8] {
    let mut value = value;
    while let Some(rest) = value.strip_prefix(b"data:") {
        value = rest.trim_ascii_start();
    }
    value
}

#[cfg(test)]
mod tests;
