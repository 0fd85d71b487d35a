use sequent_tables::testing;

use super::*;

fn at(seconds: u64) -> Timestamp {
    // The beginning of a day.
    Timestamp::from_millis(1_900_022_400_000) + Duration::from_secs(seconds)
}

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

fn account(email: &Email) -> GuardedAccount<'_> {
    GuardedAccount { email, unlocks: 0 }
}

fn stranger(number: u32) -> Lane {
    Lane::Network(format!("203.0.113.{number}"))
}

async fn guess(store: &Store, email: &Email, lane: &Lane, now: Timestamp) -> Result<u32, Error> {
    Attempt::begin(store, account(email), lane, now).await?.fail(store, now).await
}

fn wait_of<T: std::fmt::Debug>(refused: Result<T, Error>) -> u64 {
    match refused.unwrap_err() {
        Error::SlowDown(wait) => wait.as_secs(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn waits_double_and_have_an_upper_bound() {
    let waits: Vec<_> =
        [0, 1, 4, 5, 6, 7, 14, 16, 17, 99, u32::MAX].map(|n| wait_after(n).as_secs()).to_vec();
    assert_eq!(waits, [0, 0, 0, 1, 2, 4, 512, 2048, 3600, 3600, 3600]);
    let waits: Vec<_> = [0, 19, 20, 29, 30, 80, 99, u32::MAX].map(|n| account_wait(n).as_secs()).to_vec();
    assert_eq!(waits, [0, 0, 5, 5, 10, 300, 300, 300]);
}

#[tokio::test]
async fn wrong_passwords_slow_down_their_own_client_and_account_only() {
    let store = testing::store().await;
    let ann = email("ann@example.com");
    let bob = email("bob@example.com");
    for _ in 0..5 {
        guess(&store, &ann, &stranger(1), at(0)).await.unwrap();
    }
    assert_eq!(wait_of(guess(&store, &ann, &stranger(1), at(0)).await), 1);
    guess(&store, &ann, &stranger(2), at(0)).await.unwrap();
    guess(&store, &bob, &stranger(1), at(0)).await.unwrap();
    let right = Attempt::begin(&store, account(&ann), &stranger(1), at(1)).await.unwrap();
    right.forgive(&store).await.unwrap();
    assert_eq!(guess(&store, &ann, &stranger(1), at(1)).await.unwrap(), 1, "all failures are forgotten");
}

#[tokio::test]
async fn an_attempt_by_a_clock_that_is_behind_does_not_wait_without_a_reason() {
    let store = testing::store().await;
    let ann = email("ann@example.com");
    guess(&store, &ann, &stranger(1), at(1)).await.unwrap();
    assert_eq!(guess(&store, &ann, &stranger(1), at(0)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_hundred_wrong_passwords_of_a_day_keep_the_owner_waiting_for_at_most_five_minutes() {
    let store = testing::store().await;
    let ann = email("ann@example.com");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"k");
    let known = Lane::Device(DeviceToken::issue(&key, &ann).unwrap());
    let mut checked = 0;
    for number in 0..100 {
        let now = at(number * 860);
        checked += u32::from(guess(&store, &ann, &stranger(1), now).await.is_ok());
    }
    assert!((20..60).contains(&checked), "{checked} guesses of one stranger were compared");

    let now = at(100 * 860);
    Attempt::begin(&store, account(&ann), &known, now)
        .await
        .expect("a known device does not wait")
        .forgive(&store)
        .await
        .unwrap();
    let wait = wait_of(Attempt::begin(&store, account(&ann), &stranger(2), now).await);
    assert!((1..=300).contains(&wait), "{wait} s");
    // The stranger goes on meanwhile. The place of the owner is its own.
    let _ = guess(&store, &ann, &stranger(1), now + Duration::from_secs(1)).await;
    let right = Attempt::begin(&store, account(&ann), &stranger(2), now + Duration::from_secs(wait)).await;
    right.expect("the wait is over").forgive(&store).await.unwrap();
}

#[tokio::test]
async fn many_networks_together_wait_from_the_twentieth_failure_of_a_day_on() {
    let store = testing::store().await;
    let ann = email("ann@example.com");
    for number in 0..20 {
        assert_eq!(guess(&store, &ann, &stranger(number), at(0)).await.unwrap(), number + 1);
    }
    assert_eq!(wait_of(guess(&store, &ann, &stranger(21), at(0)).await), 5);
    assert_eq!(wait_of(guess(&store, &ann, &stranger(21), at(2)).await), 3, "the wait is not prolonged");
    guess(&store, &ann, &stranger(21), at(5)).await.unwrap();
    assert_eq!(wait_of(guess(&store, &ann, &stranger(21), at(5)).await), 5, "each attempt waits");
    guess(&store, &ann, &stranger(22), at(24 * 3600)).await.expect("the next day begins without a wait");
}

#[tokio::test]
async fn a_lane_forgets_a_failure_an_hour() {
    let store = testing::store().await;
    let ann = email("ann@example.com");
    for _ in 0..5 {
        guess(&store, &ann, &stranger(1), at(0)).await.unwrap();
    }
    for _ in 0..2 {
        guess(&store, &ann, &stranger(1), at(2 * 3600)).await.expect("two of five are forgotten");
    }
    assert_eq!(wait_of(guess(&store, &ann, &stranger(1), at(2 * 3600)).await), 1);
}

#[tokio::test]
async fn an_unlocked_account_has_no_counts() {
    let store = testing::store().await;
    let ann = email("ann@example.com");
    for _ in 0..5 {
        guess(&store, &ann, &stranger(1), at(0)).await.unwrap();
    }
    let unlocked = GuardedAccount { email: &ann, unlocks: 1 };
    let attempt = Attempt::begin(&store, unlocked, &stranger(1), at(0)).await.unwrap();
    assert_eq!(attempt.failures, 1);
}

#[tokio::test]
async fn of_many_concurrent_guesses_of_a_client_five_are_compared() {
    let store = testing::store().await;
    let ann = email("ann@example.com");
    let guesses: Vec<_> = (0..60)
        .map(|_| {
            let store = store.clone();
            let ann = ann.clone();
            tokio::spawn(async move { guess(&store, &ann, &stranger(1), at(0)).await })
        })
        .collect();
    let mut compared = 0;
    for guess in guesses {
        compared += u32::from(guess.await.unwrap().is_ok());
    }
    assert!((1..=5).contains(&compared), "{compared}");
    while guess(&store, &ann, &stranger(1), at(0)).await.is_ok() {
        compared += 1;
    }
    assert_eq!(compared, 5);
}
