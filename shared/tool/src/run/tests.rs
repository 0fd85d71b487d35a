use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use sequent_core::{RunId, TenantId};
use sequent_event::size::encoded_bytes;
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::{Citation, Effect, Handler};

enum Behaviour {
    Returns(String),
    Refuses(String),
    Hangs(Arc<AtomicBool>),
    PanicsAtOnce,
    PanicsLater,
}

struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Handler for Behaviour {
    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        assert!(!matches!(self, Self::PanicsAtOnce), "at once");
        Box::pin(async move {
            match self {
                Self::Returns(text) => {
                    let source =
                        Citation { url: "https://a.test/".into(), title: call.idempotency_key, quote: None };
                    Ok(Output { content: text.clone(), effects: vec![Effect::Cited(source)] })
                }
                Self::Refuses(text) => Err(Error::Refused(text.clone())),
                Self::Hangs(dropped) => {
                    let _held = Dropped(Arc::clone(dropped));
                    std::future::pending().await
                }
                Self::PanicsAtOnce | Self::PanicsLater => {
                    tokio::task::yield_now().await;
                    panic!("later")
                }
            }
        })
    }
}

fn tool(behaviour: Behaviour) -> Tool {
    Tool {
        max_result_bytes: 200,
        ..Tool::new("try", "Tries.", json!({}), ToolKind::Runs(Arc::new(behaviour)))
    }
}

async fn call(tool: &Tool) -> Result<Output, Error> {
    run(tool, Call::new(TenantId::from_bits(1), RunId::from_bits(2), "call_1", json!({}))).await
}

#[tokio::test]
async fn a_result_and_its_effects_are_returned() {
    let output = call(&tool(Behaviour::Returns("well".into()))).await.unwrap();
    assert_eq!(output.content, "well");
    let [Effect::Cited(source)] = output.effects.as_slice() else { panic!("{:?}", output.effects) };
    assert_eq!(source.title, format!("{}:call_1", RunId::from_bits(2)), "the key contains run and call");
}

#[tokio::test]
async fn long_results_and_long_errors_are_cut_with_a_note() {
    let output = call(&tool(Behaviour::Returns("ä".repeat(500)))).await.unwrap();
    assert!(output.content.len() <= 200, "{}", output.content.len());
    assert!(output.content.starts_with("ää") && output.content.contains("1000 bytes"), "{}", output.content);
    assert_eq!(output.effects.len(), 1, "effects are not cut");
    let Error::Refused(why) = call(&tool(Behaviour::Refuses("x".repeat(500)))).await.unwrap_err() else {
        panic!()
    };
    assert!(why.len() <= 200 && why.contains("500 bytes"), "{why}");
}

#[tokio::test]
async fn a_result_fits_an_event_however_json_escapes_it() {
    let coloured = "\u{1b}[31mred\u{1b}[0m\n".repeat(5_000);
    for text in ["\"".repeat(60_000), coloured, "\0".repeat(60_000)] {
        let tool =
            Tool { max_result_bytes: Tool::MAX_RESULT_BYTES, ..tool(Behaviour::Returns(text.clone())) };
        let content = call(&tool).await.unwrap().content;
        assert!(encoded_bytes(&content) <= MAX_TEXT_BYTES, "{}", encoded_bytes(&content));
        assert!(encoded_bytes(&content) > MAX_TEXT_BYTES - 10, "no more is cut than must be");
        assert!(content.contains("[Cut: the result has"), "the model knows");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_cancelled_at_its_timeout() {
    for idempotent in [true, false] {
        let dropped = Arc::new(AtomicBool::new(false));
        let tool = Tool {
            idempotent,
            timeout: Duration::from_secs(7),
            ..tool(Behaviour::Hangs(Arc::clone(&dropped)))
        };
        let started = Instant::now();
        let error = call(&tool).await.unwrap_err();
        assert_eq!(started.elapsed().as_secs(), 7);
        assert!(dropped.load(Ordering::SeqCst), "the call must be cancelled");
        assert!(error.message().contains("7s"), "{error}");
        assert_eq!(matches!(error, Error::Unavailable(_)), idempotent, "{error:?}");
        assert_eq!(matches!(error, Error::Unknown(_)), !idempotent, "{error:?}");
    }
}

#[tokio::test]
async fn a_panic_is_an_error() {
    for behaviour in [Behaviour::PanicsAtOnce, Behaviour::PanicsLater] {
        let error = call(&tool(behaviour)).await.unwrap_err();
        assert!(matches!(&error, Error::Unknown(text) if !text.contains("later")), "{error:?}");
    }
    let safe = Tool { idempotent: true, ..tool(Behaviour::PanicsLater) };
    assert!(matches!(call(&safe).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn a_question_to_a_person_does_not_run() {
    assert!(matches!(call(&crate::ask_user::tool()).await, Err(Error::Refused(_))));
}
