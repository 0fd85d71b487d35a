use futures::{FutureExt, stream};
use tokio::time::sleep;

use super::*;
use crate::{FinishReason, Message, ModelName, Request};

fn text(text: &str) -> Result<Raw, Error> {
    Ok(Raw::Chunk(Chunk::TextDelta(text.into())))
}

fn stop(usage: Option<Usage>) -> Result<Raw, Error> {
    Ok(Raw::Finished { finish_reason: FinishReason::Stop, usage })
}

/// A stream of items, each after a delay in milliseconds, without an end.
fn spoken(items: Vec<(u64, Result<Raw, Error>)>) -> RawStream {
    stream::iter(items)
        .then(|(seconds, item)| sleep(Duration::from_secs(seconds)).map(|()| item))
        .chain(stream::pending())
        .boxed()
}

fn chunks(raw: RawStream) -> Chunks {
    chunks_with(raw, Activity::default())
}

fn chunks_with(raw: RawStream, activity: Activity) -> Chunks {
    let request = Request::new(ModelName::DEMO, vec![Message::user("12345678")]);
    let limits = Limits {
        first_token: Duration::from_secs(30),
        idle: Duration::from_secs(10),
        deadline: Instant::now() + Duration::from_secs(100),
    };
    Chunks::new(raw, Meter::new(&request), limits, activity)
}

/// Returns the number of items and the last one, after which nothing may follow.
async fn end(mut chunks: Chunks) -> (usize, Result<Chunk, Error>) {
    let mut before = 0;
    loop {
        let item = chunks.next().await.unwrap();
        if matches!(item, Ok(Chunk::Finished { .. }) | Err(_)) {
            assert_eq!(chunks.next().await, None);
            assert_eq!(chunks.next().await, None);
            return (before, item);
        }
        before += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn every_phase_has_its_own_timeout() {
    let cases = [
        (vec![(31, text("late"))], 0, 30, Phase::FirstToken),
        (vec![(29, text("a")), (11, text("b"))], 1, 39, Phase::Idle),
        ((0..20).map(|_| (9, text("a"))).collect(), 11, 100, Phase::Total),
    ];
    for (items, before, seconds, phase) in cases {
        let began = Instant::now();
        let (seen, last) = end(chunks(spoken(items))).await;
        assert_eq!(last, Err(Error::Timeout(phase)));
        assert_eq!((seen, began.elapsed().as_secs()), (before, seconds));
    }
}

/// As [`spoken`], where `None` is something that gives no chunk, such as a comment.
fn noisy(items: Vec<(u64, Option<Result<Raw, Error>>)>) -> Chunks {
    let activity = Activity::default();
    let noted = activity.clone();
    let raw = stream::iter(items)
        .then(|(seconds, item)| sleep(Duration::from_secs(seconds)).map(|()| item))
        .filter_map(move |item| {
            noted.note();
            std::future::ready(item)
        })
        .chain(stream::pending())
        .boxed();
    chunks_with(raw, activity)
}

#[tokio::test(start_paused = true)]
async fn only_silence_counts_before_and_after_the_first_chunk() {
    let comment = None;
    let working = vec![
        (1, Some(text("a"))),
        (9, comment.clone()),
        (9, comment.clone()),
        (9, Some(text("b"))),
        (1, Some(stop(None))),
    ];
    let (before, last) = end(noisy(working)).await;
    assert_eq!(before, 2);
    assert!(last.is_ok());

    // A model that reasons longer than the limit of the first chunk, while its server sends comments.
    let reasoning = vec![(29, None), (29, None), (29, None), (1, Some(text("a"))), (1, Some(stop(None)))];
    let (before, last) = end(noisy(reasoning)).await;
    assert_eq!(before, 1);
    assert!(last.is_ok());

    let silent = vec![(29, None), (62, Some(text("late")))];
    assert_eq!(end(noisy(silent)).await.1, Err(Error::Timeout(Phase::FirstToken)));
    let endless = vec![(29, None); 9];
    assert_eq!(end(noisy(endless)).await.1, Err(Error::Timeout(Phase::Total)));
}

#[tokio::test]
async fn an_end_without_a_reason_is_a_cut() {
    let raw = stream::iter([text("half")]).boxed();
    assert_eq!(end(chunks(raw)).await, (1, Err(Error::Truncated)));
    let empty = chunks(stream::iter([]).boxed()).started().await;
    assert_eq!(empty.unwrap_err(), Error::Truncated);
}

#[tokio::test]
async fn nothing_follows_an_end() {
    let raw = stream::iter([text("a"), Err(Error::Unauthorized), text("b"), stop(None)]);
    assert_eq!(end(chunks(raw.boxed())).await, (1, Err(Error::Unauthorized)));
    let raw = stream::iter([stop(None), text("b")]);
    assert_eq!(end(chunks(raw.boxed())).await.0, 0);
}

#[tokio::test]
async fn started_keeps_the_first_chunk() {
    let raw = stream::iter([text("a"), stop(None)]).boxed();
    let mut begun = chunks(raw).started().await.unwrap();
    assert_eq!(begun.next().await, Some(Ok(Chunk::TextDelta("a".into()))));
    assert_eq!(end(begun).await.0, 0);
}

#[tokio::test]
async fn usage_is_the_providers_report_or_a_marked_estimate() {
    let reported = Usage { input_tokens: 9, output_tokens: 1, ..Usage::default() };
    let estimate = Usage { input_tokens: 2, output_tokens: 4, estimated: true, ..Usage::default() };
    let zero = Usage::default();
    let cases = [(Some(reported), reported), (None, estimate), (Some(zero), estimate)];
    for (usage, expected) in cases {
        let raw = stream::iter([text("12345678"), text("日本"), stop(usage)]).boxed();
        let mut chunks = chunks(raw);
        let mut last = None;
        while let Some(item) = chunks.next().await {
            last = Some(item);
        }
        let finished = Chunk::Finished { finish_reason: FinishReason::Stop, usage: expected };
        assert_eq!(last, Some(Ok(finished)));
        assert_eq!(chunks.usage(), expected);
    }
}

#[tokio::test]
async fn an_answer_that_does_not_end_costs_the_input_that_was_reported() {
    let reported = Usage { input_tokens: 150_000, cached_input_tokens: 149_988, ..Usage::default() };
    let told = || Ok(Raw::Usage(reported));
    let expected = Usage { output_tokens: 2, estimated: true, ..reported };
    let mut cancelled = chunks(stream::iter([told(), text("12345678")]).chain(stream::pending()).boxed());
    assert_eq!(cancelled.next().await, Some(Ok(Chunk::TextDelta("12345678".into()))));
    assert_eq!(cancelled.usage(), expected);
    let mut failed = chunks(stream::iter([told(), text("12345678"), Err(Error::Truncated)]).boxed());
    while failed.next().await.is_some() {}
    assert_eq!(failed.usage(), expected);
}

#[tokio::test]
async fn a_report_without_an_input_has_the_estimated_one() {
    let reported = Usage { output_tokens: 7, ..Usage::default() };
    let mut answer = chunks(stream::iter([text("a"), stop(Some(reported))]).boxed());
    while answer.next().await.is_some() {}
    assert_eq!(answer.usage(), Usage { input_tokens: 2, estimated: true, ..reported });
}

#[tokio::test]
async fn an_endless_answer_is_stopped() {
    let raw = stream::repeat_with(|| text(&"x".repeat(1 << 20))).boxed();
    let (before, last) = end(chunks(raw)).await;
    assert_eq!(before, 16);
    assert!(matches!(last, Err(Error::InvalidAnswer(_))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_ignores_its_limit_is_ended() {
    let limited = |text_of: &'static str, limit: u32| {
        let raw = stream::repeat_with(move || text(text_of)).boxed();
        let request = Request {
            max_output_tokens: Some(limit),
            ..Request::new(ModelName::DEMO, vec![Message::user("12345678")])
        };
        let limits = Limits {
            first_token: Duration::from_secs(30),
            idle: Duration::from_secs(10),
            deadline: Instant::now() + Duration::from_secs(100),
        };
        Chunks::new(raw, Meter::new(&request), limits, Activity::default())
    };
    // A token each, in the tokenizers of today: English, Russian and Chinese text.
    for word in [" word", " слово", "语"] {
        let (words, last) = end(limited(word, 1000)).await;
        assert!((1000..6000).contains(&words), "{word}: {words}");
        let Ok(Chunk::Finished { finish_reason, usage }) = last else { panic!("{last:?}") };
        assert_eq!((finish_reason, usage.estimated), (FinishReason::Length, true));
        assert!(usage.output_tokens > 1000, "the provider has not kept to the limit: {usage:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_estimate_of_an_answer_is_not_above_its_limit() {
    let request = Request {
        max_output_tokens: Some(10),
        ..Request::new(ModelName::DEMO, vec![Message::user("12345678")])
    };
    let mut meter = Meter::new(&request);
    meter.add(&Chunk::TextDelta("десять токенов кириллицы, не больше".into()));
    assert_eq!((meter.usage().output_tokens, meter.exceeds_limit()), (10, false));
}
