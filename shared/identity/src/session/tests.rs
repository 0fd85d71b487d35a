use proptest::prelude::*;
use ring::hmac;

use super::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_900_000_000_000) + Duration::from_secs(seconds)
}

fn open() -> (Session, RefreshToken) {
    let token = RefreshToken::generate().unwrap();
    let device = Device { user_agent: Some("x".repeat(1000)), ..Device::default() };
    (Session::open(TenantId::new(), UserId::new(), device, &token, at(0)), token)
}

#[test]
fn a_session_slides_up_to_its_absolute_end() {
    const DAY: u64 = 24 * 3600;
    let (mut session, token) = open();
    assert_eq!(session.user_agent.as_ref().unwrap().len(), 256);
    assert_eq!(session.judge(0, at(30 * DAY - 1)), Verdict::Rotate);
    assert_eq!(session.judge(0, at(30 * DAY)), Verdict::Ended);
    for day in (20..90).step_by(20) {
        session = session.rotated(&token, at(day * DAY));
    }
    assert_eq!(session.judge(4, at(90 * DAY - 1)), Verdict::Rotate);
    assert_eq!(session.judge(4, at(90 * DAY)), Verdict::Ended);
    assert_eq!(session.expires_at(), at(90 * DAY));
}

#[test]
fn only_the_token_just_replaced_is_excused_and_only_for_a_moment() {
    let (session, token) = open();
    let session = session.rotated(&token, at(100)).rotated(&token, at(200));
    assert_eq!(session.judge(2, at(200)), Verdict::Rotate);
    assert_eq!(session.judge(1, at(210)), Verdict::Repeat);
    assert_eq!(session.judge(1, at(199)), Verdict::Repeat, "a clock that is behind does not end a session");
    assert_eq!(session.judge(1, at(211)), Verdict::Reused);
    assert_eq!(session.judge(0, at(200)), Verdict::Reused);
    assert_eq!(session.judge(3, at(200)), Verdict::Ended);
    let revoked = Session { revoked_at: Some(at(201)), ..session };
    for generation in 0..4 {
        assert_eq!(revoked.judge(generation, at(201)), Verdict::Ended);
    }
}

/// One request to the model below: which token of the chain is shown, and how long after the last one.
#[derive(Debug, Clone, Copy)]
struct Step {
    back: u64,
    wait_ms: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u64..4, prop_oneof![0u64..500, 9_000u64..11_000, 0u64..4_000_000_000]);
    prop::collection::vec(step.prop_map(|(back, wait_ms)| Step { back, wait_ms }), 1..60)
}

proptest! {
    /// However tokens are shown: a successor is unique per generation, the generation never falls, an ended session
    /// never comes back, and the session ends exactly when an inexcusable token is shown or its time is over.
    #[test]
    fn the_chain_never_forks_and_never_revives(steps in steps()) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"k");
        let (mut session, first) = open();
        let mut chain = vec![first];
        let mut now = at(0);
        for Step { back, wait_ms } in steps {
            now = now + Duration::from_millis(wait_ms);
            let shown = session.generation.saturating_sub(back);
            let token = chain[usize::try_from(shown).unwrap()].clone();
            let over = session.revoked_at.is_some() || now >= session.idle_until || now >= session.ends_at;
            match session.judge(shown, now) {
                Verdict::Rotate => {
                    prop_assert!(!over && shown == session.generation);
                    let next = token.successor(&key, session.id, session.generation + 1);
                    session = session.rotated(&next, now);
                    chain.push(next);
                }
                Verdict::Repeat => {
                    prop_assert!(!over && shown + 1 == session.generation);
                    prop_assert!(now.since(session.rotated_at) <= OVERLAP);
                    let again = token.successor(&key, session.id, session.generation);
                    prop_assert_eq!(again.digest(), session.token_digest.clone(), "the very same successor");
                }
                Verdict::Reused => {
                    prop_assert!(!over && shown < session.generation);
                    session.revoked_at = Some(now);
                }
                Verdict::Ended => prop_assert!(over),
            }
            prop_assert_eq!(chain.len() as u64, session.generation + 1);
            prop_assert!(session.expires_at() <= at(0) + LONGEST);
        }
    }
}
