use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::{Chunk, FinishReason, ModelName, ToolSpec, Usage, chunk::Raw};

fn ask(text: &str) -> Request {
    Request::new(ModelName::DEMO, vec![Message::user(text)])
}

async fn play(request: &Request) -> (Vec<Chunk>, Option<(FinishReason, Option<Usage>)>, Option<Error>) {
    let mut raw = open(request, 40).unwrap();
    let mut chunks = Vec::new();
    let mut finished = None;
    let mut failed = None;
    while let Some(item) = raw.next().await {
        match item {
            Ok(Raw::Chunk(chunk)) => chunks.push(chunk),
            Ok(Raw::Usage(_)) => {}
            Ok(Raw::Finished { finish_reason, usage }) => finished = Some((finish_reason, usage)),
            Err(error) => failed = Some(error),
        }
    }
    (chunks, finished, failed)
}

fn text(chunks: &[Chunk]) -> String {
    let texts = chunks.iter().filter_map(|chunk| match chunk {
        Chunk::TextDelta(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[tokio::test(start_paused = true)]
async fn the_answer_quotes_the_message_and_names_the_demo() {
    let request = ask("What is the   weather\nin Köln? 🌦");
    let (chunks, finished, _) = play(&request).await;
    let answer = text(&chunks);
    assert!(answer.contains("“What is the   weather\nin Köln? 🌦”"), "{answer}");
    assert!(answer.contains("demo provider: no language model"), "{answer}");
    let (reason, usage) = finished.unwrap();
    assert_eq!(reason, FinishReason::Stop);
    assert_eq!(usage.unwrap().output_tokens, chunks.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn the_script_sets_the_number_and_the_time_of_tokens() {
    for (script, tokens, millis) in [
        ("/demo tokens=500 rate=50", 500, 10_000),
        ("/demo tokens=5 rate=50", 5, 100),
        ("/demo tokens=100 delay_first=700", 100, 700 + 2_500),
        ("/demo tokens=1000 rate=0", 1000, 0),
        ("/demo tokens=0 rate=1", 0, 0),
    ] {
        let started = Instant::now();
        let (chunks, finished, _) = play(&ask(script)).await;
        assert_eq!(chunks.len(), tokens, "{script}");
        assert!(finished.is_some());
        let took = started.elapsed().as_millis() as i64;
        assert!((took - millis).abs() <= 5, "{script}: {took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_shift_the_schedule() {
    let started = Instant::now();
    let mut raw = open(&ask("/demo tokens=100 rate=100"), 40).unwrap();
    while raw.next().await.is_some() {
        sleep(Duration::from_millis(9)).await;
    }
    assert!(started.elapsed() <= Duration::from_millis(1020));
}

#[tokio::test(start_paused = true)]
async fn errors_occur_where_the_script_places_them() {
    for (name, code) in [
        ("unavailable", Some("model_unavailable")),
        ("rate_limited", Some("model_rate_limited")),
        ("overloaded", Some("model_overloaded")),
        ("garbage", Some("model_garbage")),
        ("truncated", None),
    ] {
        let script = format!("/demo tokens=9 reasoning=2 fail_after=3 error={name}");
        let (chunks, finished, failed) = play(&ask(&script)).await;
        assert_eq!((chunks.len(), finished), (2 + 3, None));
        assert_eq!(failed.map(|error| error.code()), code);
    }
    let mut raw = open(&ask("/demo hang_after=1 rate=0"), 40).unwrap();
    assert!(raw.next().await.is_some());
    let more = tokio::time::timeout(Duration::from_secs(9999), raw.next()).await;
    assert!(more.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_script_decides_the_end() {
    let (_, finished, _) = play(&ask("/demo finish=content_filter usage=none")).await;
    assert_eq!(finished, Some((FinishReason::ContentFilter, None)));
    let mut request = ask("/demo tokens=50");
    request.max_output_tokens = Some(7);
    let (chunks, finished, _) = play(&request).await;
    assert_eq!(chunks.len(), 7);
    assert_eq!(finished.unwrap().0, FinishReason::Length);
}

#[tokio::test(start_paused = true)]
async fn reasoning_text_and_calls_have_one_limit() {
    let tool = ToolSpec { name: "search".into(), description: String::new(), parameters: Default::default() };
    let arguments = format!("{{\"q\":\"{}\"}}", "x".repeat(392));
    let script = format!("/demo reasoning=20 tokens=50 tool=search args={arguments}");
    for (limit, cut) in [(10, true), (40, true), (100, true), (170, false)] {
        let mut request = ask(&script);
        request.tools = vec![tool.clone()];
        request.max_output_tokens = Some(limit);
        let (_, finished, _) = play(&request).await;
        let (reason, usage) = finished.unwrap();
        assert_eq!(reason == FinishReason::Length, cut, "{limit}");
        assert_eq!(usage.unwrap().output_tokens, u64::from(limit), "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_called_once_and_its_result_is_quoted() {
    let mut request = ask("look it up\n/demo tokens=1 tool=search args={\"q\":1}");
    let (chunks, finished, _) = play(&request).await;
    assert_eq!((chunks.len(), finished.unwrap().0), (1, FinishReason::Stop), "not offered");

    request.tools = vec![ToolSpec {
        name: "search".into(),
        description: "Searches.".into(),
        parameters: serde_json::json!({"type": "object"}),
    }];
    let (chunks, finished, _) = play(&request).await;
    let id = "call_demo_1_0".to_owned();
    let call = [
        Chunk::ToolCallStart { id: id.clone(), name: "search".into() },
        Chunk::ToolCallDelta { id: id.clone(), arguments: "{\"q\":1}".into() },
        Chunk::ToolCallEnd { id: id.clone() },
    ];
    assert_eq!(chunks[1..], call);
    assert_eq!(finished.unwrap().0, FinishReason::ToolCalls);

    request.messages.push(Message::assistant("Looking."));
    request.messages.push(Message::tool_result(id, "42 hits"));
    let (chunks, finished, _) = play(&request).await;
    assert!(text(&chunks).contains("“42 hits”"));
    assert_eq!(finished.unwrap().0, FinishReason::Stop);
}

#[tokio::test(start_paused = true)]
async fn a_required_tool_is_called_with_the_example_of_its_schema() {
    let tool =
        |name: &str, parameters| ToolSpec { name: name.into(), description: "Writes.".into(), parameters };
    let example = serde_json::json!({"type": "object", "examples": [{"a": 1}, {"a": 2}]});
    let tools = vec![tool("write", example), tool("other", serde_json::json!({"type": "object"}))];
    let mut request = Request { tools, ..ask("write it\n/demo tokens=1") };
    assert_eq!(play(&request).await.0.len(), 1, "no call is required");
    request.must_call = true;
    let arguments = |chunks: Vec<Chunk>| {
        chunks.into_iter().find_map(|chunk| match chunk {
            Chunk::ToolCallDelta { arguments, .. } => Some(arguments),
            _ => None,
        })
    };
    assert_eq!(arguments(play(&request).await.0).unwrap(), r#"{"a":1}"#);
    request.messages = vec![Message::user("/demo tool=other args={\"b\":1}")];
    assert_eq!(arguments(play(&request).await.0).unwrap(), r#"{"b":1}"#, "a script takes precedence");
}

#[test]
fn invalid_directives_are_refused() {
    for script in ["/demo token=5", "/demo tokens=100001", "/demo rate=x", "/demo error=odd", "/demo args={"]
    {
        let error = open(&ask(script), 40).err().unwrap();
        assert_eq!(error.code(), "model_bad_request", "{script}");
    }
    assert_eq!(Script::find("say /demo tokens=x, please", 0).unwrap(), Script::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_same_request_has_the_same_answer(prompt in ".{0,600}", tokens in 0..300_u32, system in ".{0,20}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut request = ask(&format!("{}\n/demo tokens={tokens} reasoning=3", prompt.replace("/demo", "")));
        request.system = Some(system);
        let (one, two) = runtime.block_on(async { (play(&request).await, play(&request).await) });
        prop_assert_eq!(&one, &two);
        prop_assert_eq!(one.0.len(), tokens as usize + 3);
    }

    #[test]
    fn the_quote_is_complete_after_the_split_into_tokens(prompt in "[^/]{1,300}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (chunks, _, _) = runtime.block_on(play(&ask(&prompt)));
        prop_assert!(text(&chunks).contains(prompt.trim()));
        prop_assert!(chunks.iter().all(|chunk| !matches!(chunk, Chunk::TextDelta(text) if text.is_empty())));
    }
}
