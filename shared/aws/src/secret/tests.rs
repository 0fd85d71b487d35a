//! The cache, over a source that answers when the test allows it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;

/// A source that answers once for each permit, and otherwise not at all. Each answer is the number of its request.
struct Source {
    asked: AtomicUsize,
    answers: Semaphore,
    is_failing: AtomicBool,
}

impl Source {
    fn start() -> (Arc<Self>, Secrets<usize>) {
        let source = Arc::new(Self {
            asked: AtomicUsize::new(0),
            answers: Semaphore::new(0),
            is_failing: AtomicBool::new(false),
        });
        let secrets = Secrets::read_by("app", {
            let source = Arc::clone(&source);
            move || Arc::clone(&source).answer()
        });
        (source, secrets)
    }

    async fn answer(self: Arc<Self>) -> Result<usize, Error> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.answers.acquire().await.unwrap().forget();
        if self.is_failing.load(Ordering::SeqCst) {
            return Err(Error::Read { id: "app".to_owned(), source: "the source fails".into() });
        }
        Ok(asked)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn wait_until_asked(&self, times: usize) {
        while self.asked() < times {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn many(secrets: &Secrets<usize>) -> Vec<Option<usize>> {
    let all =
        (0..50).map(|_| secrets.clone()).map(|secrets| tokio::spawn(async move { secrets.get().await }));
    let mut values = Vec::new();
    for one in all.collect::<Vec<_>>() {
        values.push(one.await.unwrap().ok().map(|value| *value));
    }
    values
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_for_a_slow_and_failing_source_while_a_value_is_known() {
    let (source, secrets) = Source::start();
    source.answers.add_permits(1);
    assert_eq!(*secrets.get().await.unwrap(), 1);
    source.is_failing.store(true, Ordering::SeqCst);
    tokio::time::advance(REFRESH).await;
    // No answer comes, so a request that waited for one would wait for ever.
    assert_eq!(many(&secrets).await, [Some(1); 50]);
    assert_eq!(many(&secrets).await, [Some(1); 50]);
    source.wait_until_asked(2).await;
    // The failure arrives. The next tries are made half a minute later.
    source.answers.add_permits(1);
    while secrets.0.known().failed_at.is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(many(&secrets).await, [Some(1); 50]);
    assert_eq!(source.asked(), 2);
    // A stranger's key does not take the value away.
    assert_eq!(*secrets.reread().await.unwrap().unwrap(), 1);
    assert_eq!(many(&secrets).await, [Some(1); 50]);
    source.wait_until_asked(3).await;
    source.is_failing.store(false, Ordering::SeqCst);
    source.answers.add_permits(1);
    while *secrets.get().await.unwrap() == 1 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(*secrets.get().await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_changed_value_is_known_five_minutes_later() {
    let (source, secrets) = Source::start();
    source.answers.add_permits(9);
    assert_eq!(*secrets.get().await.unwrap(), 1);
    tokio::time::advance(REFRESH - Duration::from_secs(1)).await;
    assert_eq!(*secrets.get().await.unwrap(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(*secrets.get().await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn refused_keys_cause_one_read_in_half_a_minute() {
    let (source, secrets) = Source::start();
    source.answers.add_permits(9);
    secrets.get().await.unwrap();
    assert_eq!(*secrets.reread().await.unwrap().unwrap(), 2);
    for _ in 0..5 {
        assert!(secrets.reread().await.unwrap().is_none());
    }
    tokio::time::advance(REREAD).await;
    assert_eq!(*secrets.reread().await.unwrap().unwrap(), 3);
}

#[tokio::test]
async fn requests_that_wait_for_the_first_value_share_one_read() {
    let (source, secrets) = Source::start();
    source.is_failing.store(true, Ordering::SeqCst);
    let waiting = {
        let secrets = secrets.clone();
        tokio::spawn(async move { many(&secrets).await })
    };
    source.wait_until_asked(1).await;
    source.answers.add_permits(1);
    // A few of the requests may begin only after the first read has failed, and try again.
    source.answers.add_permits(49);
    assert_eq!(waiting.await.unwrap(), [None; 50]);
    source.is_failing.store(false, Ordering::SeqCst);
    source.answers.add_permits(9);
    assert!(secrets.get().await.is_ok());
}

#[tokio::test]
async fn a_secret_without_a_row_is_missing_or_the_default() {
    let table = SecretTable::new(sequent_tables::testing::store().await);
    let required = Secrets::<Vec<u8>>::row(&table, SecretName::Pipeline);
    assert!(matches!(required.get().await, Err(Error::Missing { .. })));
    #[derive(Default, serde::Deserialize)]
    struct Keys {
        key: Option<String>,
    }
    let optional = Secrets::<Keys>::optional_row(&table, SecretName::Models);
    assert!(optional.get().await.unwrap().key.is_none());
    table.insert_if_missing(SecretName::Models, &serde_json::json!({ "key": "k" })).await.unwrap();
    assert_eq!(optional.reread().await.unwrap().unwrap().key.as_deref(), Some("k"));
}
