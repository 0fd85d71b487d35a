//! The output of many processes on one stream. Each line begins with the name of its writer.

use std::io::Write;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Longest line in bytes. A longer one is split.
const LINE_LIMIT: u64 = 64 * 1024;

/// The destination of log lines. Clones are cheap.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    silent: Arc<bool>,
}

impl Logs {
    /// Writes lines to standard output.
    pub fn stdout() -> Self {
        Self::default()
    }

    /// Discards all lines of the functions.
    pub fn silent() -> Self {
        Self { silent: Arc::new(true) }
    }

    /// Writes one line with the name of its writer.
    pub fn line(&self, writer: &str, text: &str) {
        if *self.silent {
            return;
        }
        let name = writer.strip_suffix("Function").unwrap_or(writer).to_lowercase();
        // A closed terminal must not stop the stack.
        let _ = writeln!(std::io::stdout().lock(), "{name:>9} | {text}");
    }

    /// Copies lines until the stream ends.
    pub(crate) fn follow(&self, writer: &str, stream: impl AsyncRead + Send + Unpin + 'static) {
        let logs = self.clone();
        let writer = writer.to_owned();
        tokio::spawn(async move {
            use tokio::io::AsyncReadExt;
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            loop {
                line.clear();
                match (&mut reader).take(LINE_LIMIT).read_until(b'\n', &mut line).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => logs.line(&writer, String::from_utf8_lossy(&line).trim_end()),
                }
            }
        });
    }
}
