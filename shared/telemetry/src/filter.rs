//! The filter of log lines.

use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets,
    layer::{Context, Filter as LayerFilter},
};

/// The highest levels of libraries that log whole events, requests or credentials at finer ones. No setting overrides
/// them: `lambda_runtime` logs the raw event at TRACE, and the AWS SDK logs signing input below INFO.
const CAPPED: [(&str, Level); 6] = [
    ("lambda_", Level::DEBUG),
    ("aws_", Level::INFO),
    ("hyper", Level::INFO),
    ("h2", Level::INFO),
    ("rustls", Level::INFO),
    ("reqwest", Level::INFO),
];

/// The level per target, limited for libraries that would log secrets.
#[derive(Debug, Clone)]
pub struct Filter(Targets);

impl Filter {
    /// `AWS_LAMBDA_LOG_LEVEL` (set by Lambda's logging configuration), else `RUST_LOG`, else INFO.
    #[must_use]
    pub fn from_env() -> Self {
        let read = |name| std::env::var(name).ok().filter(|text: &String| !text.trim().is_empty());
        let asked = read("AWS_LAMBDA_LOG_LEVEL").or_else(|| read("RUST_LOG"));
        Self::parse(asked.as_deref().unwrap_or("info"))
    }

    /// Parses `info`, `FATAL` or `warn,sequent_http=debug`. A malformed level is INFO. This setting is not refused like
    /// others, because the logs must work before a refusal can be reported.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = if text.eq_ignore_ascii_case("fatal") { "error" } else { text };
        Self(text.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO)))
    }

    fn lets_through(&self, metadata: &Metadata<'_>) -> bool {
        let capped = CAPPED.iter().any(|(prefix, finest)| {
            metadata.target().starts_with(prefix) && metadata.level() > finest // finer levels are greater
        });
        !capped && self.0.would_enable(metadata.target(), metadata.level())
    }
}

impl<S> LayerFilter<S> for Filter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.lets_through(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        if self.lets_through(metadata) {
            tracing::subscriber::Interest::always()
        } else {
            tracing::subscriber::Interest::never()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::capture_at;

    #[test]
    fn trace_never_shows_raw_events() {
        let (guard, lines) = capture_at("trace");
        tracing::trace!(target: "lambda_runtime::layers::api_response", body = "raw event", "raw JSON event");
        tracing::debug!(target: "aws_sigv4::http_request::sign", "canonical request");
        tracing::debug!(target: "lambda_runtime::runtime", "fine");
        tracing::trace!(target: "sequent_http", "ours");
        drop(guard);
        let text = lines.text();
        assert!(!text.contains("raw event") && !text.contains("canonical"), "{text}");
        assert!(text.contains("fine") && text.contains("ours"), "{text}");
    }

    #[test]
    fn levels_of_lambda_and_of_rust_are_understood() {
        for (asked, info, error) in
            [("FATAL", false, true), ("info", true, true), ("sequent=loud", true, true)]
        {
            let (guard, lines) = capture_at(asked);
            tracing::info!("an info line");
            tracing::error!("an error line");
            drop(guard);
            assert_eq!(lines.text().contains("info line"), info, "{asked}");
            assert_eq!(lines.text().contains("error line"), error, "{asked}");
        }
    }
}
