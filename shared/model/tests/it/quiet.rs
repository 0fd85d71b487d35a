//! The log lines of provider errors: they contain our own texts only, and no key.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use sequent_model::{Context, Message, Request};
use tracing::{Event, Metadata, Subscriber, field, span};

use crate::server::{Act, KEY, Server, answer, events};

/// A subscriber that stores every event as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().expect("the lock is not poisoned");
        let _ = writeln!(text, "{}", event.metadata().target());
        event.record(&mut Text(&mut text));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Text<'a>(&'a mut String);

impl field::Visit for Text<'_> {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        let _ = writeln!(self.0, "{field}={value:?}");
    }
}

#[tokio::test]
async fn errors_are_logged_without_keys_and_without_the_texts_of_providers() {
    let body = format!(
        r#"{{"error": {{"message": "Incorrect API key {KEY} sk-abcd***; prompt was private-words"}}}}"#
    );
    let failed = vec![answer("500 Internal Server Error", "", &body)];
    let broken = vec![Act::Write(events(&["data: private-words\n\n".into()]))];
    let server = Server::start(vec![failed, broken]).await;
    let client = server.client(|_| ());
    let log = Log::default();
    let logging = tracing::subscriber::set_default(log.clone());
    let request = Request::new("gpt-4o".parse().unwrap(), vec![Message::user("private-words")]);
    let error = client.stream(request, Context::default()).await.unwrap_err();
    drop(logging);
    assert_eq!((error.code(), server.requests()), ("model_garbage", 2));
    let text = log.0.lock().unwrap().clone();
    assert!(text.contains("sequent_model::retry") && text.contains("model_unavailable"), "{text}");
    for secret in [KEY, "sk-abcd", "private-words"] {
        assert!(!text.contains(secret), "{text}");
    }
}
