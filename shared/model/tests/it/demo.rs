//! The demo, through the public interface.

use futures::StreamExt;
use sequent_model::{
    AllowedModels, Chunk, Client, Config, Context, Error, Message, MicroUsd, ModelName, Phase, Provider,
    Request, Usage,
};

fn ask(text: &str) -> Request {
    Request::new(ModelName::DEMO, vec![Message::user(text)])
}

#[tokio::test(start_paused = true)]
async fn the_demo_answers_without_a_key_and_is_labelled() {
    let client = Client::new(Config::demo());
    let model = client.default_model().await;
    let info = client.describe(&model);
    assert_eq!((info.provider, info.demo, info.configured), (Provider::Demo, true, true));
    let mut chunks = client.stream(ask("ping"), Context::default()).await.unwrap();
    let mut text = String::new();
    let mut last = None;
    while let Some(chunk) = chunks.next().await {
        match chunk.unwrap() {
            Chunk::TextDelta(more) => text.push_str(&more),
            other => last = Some(other),
        }
    }
    assert!(text.contains("“ping”"));
    let Some(Chunk::Finished { usage, .. }) = last else {
        panic!("the stream has no end: {last:?}");
    };
    assert_eq!(chunks.usage(), usage);
    assert_eq!(client.cost(&model, &usage), Some(MicroUsd(0)));
}

#[tokio::test(start_paused = true)]
async fn its_errors_are_those_of_a_real_provider() {
    let client = Client::new(Config::demo());
    let end = async |text: &str| {
        let chunks = client.stream(ask(text), Context::default()).await;
        match chunks {
            Ok(chunks) => chunks.collect::<Vec<_>>().await.pop(),
            Err(error) => Some(Err(error)),
        }
    };
    let cut = end("/demo fail_after=3 error=truncated").await;
    assert_eq!(cut, Some(Err(Error::Truncated)));
    let silent = end("/demo hang_after=3").await;
    assert_eq!(silent, Some(Err(Error::Timeout(Phase::Idle))));
    let late = end("/demo delay_first=91000").await;
    assert_eq!(late, Some(Err(Error::Timeout(Phase::FirstToken))));
    let unknown = end("/demo what").await.unwrap().unwrap_err();
    assert_eq!(unknown.code(), "model_bad_request");
}

#[tokio::test]
async fn a_provider_that_is_not_configured_is_an_error() {
    let client = Client::new(Config::demo());
    for (name, provider) in [("gpt-4o", "openai"), ("claude-sonnet-4-6", "anthropic")] {
        let model: ModelName = name.parse().unwrap();
        assert!(!client.describe(&model).configured);
        let request = Request::new(model, vec![Message::user("hi")]);
        let error = client.stream(request, Context::default()).await.unwrap_err();
        assert_eq!(error, Error::NotConfigured(provider));
    }
}

#[tokio::test]
async fn without_a_provider_and_the_demo_the_error_names_what_to_configure() {
    let client = Client::new(Config { demo: false, ..Config::demo() });
    for model in ["demo", "gpt-4o"] {
        let request = Request::new(model.parse().unwrap(), vec![Message::user("hi")]);
        let error = client.stream(request, Context::default()).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("model_not_configured", false));
        assert!(
            error.public_message().contains("scripts/secret STACK set models"),
            "{}",
            error.public_message()
        );
    }
}

#[tokio::test]
async fn a_model_that_is_not_allowed_is_refused_before_the_provider_is_asked() {
    let config = Config { allowed: AllowedModels::listed("gpt-5*"), ..Config::demo() };
    let client = Client::new(config);
    let request = |model: &str| Request::new(model.parse().unwrap(), vec![Message::user("hi")]);
    let error = client.stream(request("gpt-4o"), Context::default()).await.unwrap_err();
    assert_eq!(error, Error::NotAllowed);
    let error = client.stream(request("gpt-5.4-mini"), Context::default()).await.unwrap_err();
    assert_eq!(error, Error::NotConfigured("openai"));
}

#[tokio::test]
async fn requests_that_no_provider_accepts_are_refused() {
    let client = Client::new(Config::demo());
    let mut short = ask("hi");
    short.max_output_tokens = Some(0);
    let huge = ask(&"x".repeat(9 << 20));
    let empty = Request::new(ModelName::DEMO, vec![]);
    for request in [short, huge, empty] {
        let error = client.stream(request, Context::default()).await.unwrap_err();
        assert_eq!(error.code(), "model_bad_request");
    }
}

#[test]
fn unknown_models_have_no_cost() {
    let client = Client::new(Config::demo());
    let usage = Usage { input_tokens: 1_000_000, output_tokens: 1_000_000, ..Usage::default() };
    let cost = |name: &str| client.cost(&name.parse().unwrap(), &usage);
    assert_eq!(cost("openai/gpt-4o"), Some(MicroUsd(12_500_000)));
    assert_eq!(cost("claude-haiku-4-5-20251001"), Some(MicroUsd(6_000_000)));
    assert_eq!(cost("my-own-model"), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_and_its_answer_can_move_between_threads() {
    let client = Client::new(Config::demo());
    let asked = tokio::spawn(async move {
        let chunks = client.stream(ask("hi"), Context::default()).await.unwrap();
        tokio::spawn(chunks.count()).await.unwrap()
    });
    assert!(asked.await.unwrap() > 10);
}
