//! Sign-in to servers that require one.

use std::time::Duration;

use futures::future::join_all;

use super::*;
use crate::{BegunSignIn, NewSignIn, Redirected};

const PAGE: &str = "https://app.example/signed-in";

/// A server that requires a sign-in, and a client of it for one tenant.
struct Bench {
    remote: Scripted,
    store: Store,
    tenant: TenantId,
    user: UserId,
}

impl Bench {
    async fn new() -> Self {
        let remote = Scripted::start(json!([tool("note")])).await;
        remote.require_sign_in();
        let bench =
            Self { remote, store: testing::store().await, tenant: TenantId::new(), user: UserId::new() };
        let off = NewServer { enabled: false, ..new("s", &bench.remote.url()) };
        add(&bench.process(), bench.tenant, off).await.unwrap();
        bench
    }

    /// A process of its own.
    fn process(&self) -> Servers {
        servers(&self.store, &[&self.remote])
    }

    async fn begin(&self) -> Result<BegunSignIn, Error> {
        let new = NewSignIn { redirect_uri: PAGE.to_owned(), client_id: None, client_secret: None };
        let process = self.process();
        Box::pin(process.begin_sign_in(self.tenant, self.user, &name("s"), new, Timestamp::now())).await
    }

    /// Lets the user allow what was begun. Returns the parameters of the redirect.
    fn allowed(&self, begun: &BegunSignIn) -> Redirected {
        let code = self.remote.authority(|authority| authority.allow(&begun.authorization_url));
        let issuer = self.remote.authority(|authority| authority.issuer());
        Redirected { code: code.into(), state: begun.state.as_str().into(), issuer: Some(issuer) }
    }

    async fn finish(&self, redirected: Redirected) -> Result<(Server, ToolListing), Error> {
        let process = self.process();
        Box::pin(process.finish_sign_in(self.tenant, self.user, &name("s"), redirected, Timestamp::now()))
            .await
    }

    async fn signed_in() -> Self {
        let bench = Self::new().await;
        let begun = bench.begin().await.unwrap();
        bench.finish(bench.allowed(&begun)).await.unwrap();
        bench
    }

    fn granted(&self) -> usize {
        self.remote.authority(|authority| authority.granted())
    }
}

#[tokio::test]
async fn a_user_signs_in_and_agents_use_the_server_with_the_token() {
    let bench = Bench::new().await;
    let on = add(&bench.process(), TenantId::new(), new("on", &bench.remote.url())).await.unwrap_err();
    assert!(on.to_string().contains("requires a token or a sign-in"), "{on}");
    let begun = bench.begin().await.unwrap();
    assert!(begun.authorization_url.contains("scope=notes"), "{}", begun.authorization_url);
    let (server, listing) = bench.finish(bench.allowed(&begun)).await.unwrap();
    assert!(server.enabled && server.signed_in && !server.has_token);
    assert!(listing.tools[0].usable);
    let tools = bench.process().tools(bench.tenant).await.unwrap();
    assert_eq!(call(&tools, "s__note", json!({"n": 1})).await.unwrap().content, r#"{"n":1}"#);
    assert_eq!(bench.remote.received("tools/call")[0].0, "Bearer access-1");
    assert_eq!(bench.granted(), 1);
    let row: Value = bench.store.get(&key::mcp_server(bench.tenant, "s")).await.unwrap().unwrap();
    let shown = format!("{row} {server:?}");
    assert!(!shown.contains("access-1") && !shown.contains("refresh-1"), "{shown}");
}

#[tokio::test]
async fn a_token_is_renewed_once_when_it_is_refused_however_many_processes_need_it() {
    let bench = Bench::signed_in().await;
    let processes = [bench.process(), bench.process()];
    let listings = join_all(processes.iter().map(|process| process.tools(bench.tenant))).await;
    let tools: Vec<_> = listings.into_iter().map(Result::unwrap).collect();
    bench.remote.authority(|authority| authority.revoke_access());
    let calls = tools.iter().flat_map(|tools| (0..3).map(move |n| call(tools, "s__note", json!({"n": n}))));
    for outcome in join_all(calls).await {
        outcome.unwrap();
    }
    assert_eq!(bench.granted(), 2, "a refresh token that is used twice would end the sign-in");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let bench = Bench::new().await;
    bench.remote.authority(|authority| authority.lifetime = 30);
    let begun = bench.begin().await.unwrap();
    bench.finish(bench.allowed(&begun)).await.unwrap();
    let before = bench.granted();
    bench.remote.authority(|authority| authority.lifetime = 3600);
    let tools = bench.process().tools(bench.tenant).await.unwrap();
    call(&tools, "s__note", json!({})).await.unwrap();
    assert_eq!(bench.granted(), before + 1);
    assert!(bench.remote.received("tools/call")[0].0.ends_with(&format!("access-{}", before + 1)));
}

#[tokio::test]
async fn a_sign_in_that_has_ended_is_shown_and_another_one_mends_it() {
    let bench = Bench::signed_in().await;
    let tools = bench.process().tools(bench.tenant).await.unwrap();
    bench.remote.authority(|authority| authority.revoke_all());
    let ended = call(&tools, "s__note", json!({})).await.unwrap_err();
    assert!(matches!(&ended, ToolError::Refused(why) if why.contains("Sign in again")), "{ended:?}");
    assert!(!bench.process().list(bench.tenant).await.unwrap()[0].signed_in);
    let begun = bench.begin().await.unwrap();
    let (server, _) = bench.finish(bench.allowed(&begun)).await.unwrap();
    assert!(server.signed_in);
    call(&tools, "s__note", json!({})).await.expect("the process takes the new tokens");
}

#[tokio::test]
async fn a_process_that_has_a_session_takes_the_tokens_of_a_second_sign_in() {
    let bench = Bench::signed_in().await;
    let warm = bench.process();
    call(&warm.tools(bench.tenant).await.unwrap(), "s__note", json!({})).await.unwrap();
    let begun = bench.begin().await.unwrap();
    bench.finish(bench.allowed(&begun)).await.unwrap();
    warm.expire(bench.tenant);
    call(&warm.tools(bench.tenant).await.unwrap(), "s__note", json!({})).await.unwrap();
    let tokens: Vec<String> =
        bench.remote.received("tools/call").into_iter().map(|(token, _)| token).collect();
    // The server still accepts the first token, perhaps that of another account.
    assert_eq!(tokens, ["Bearer access-1", "Bearer access-2"]);
}

#[tokio::test]
async fn a_renewal_never_replaces_a_sign_in_that_was_made_meanwhile() {
    type Revoke = fn(&mut crate::testing::Authority);
    let cases: [(Revoke, usize); 2] =
        [(crate::testing::Authority::revoke_access, 2), (crate::testing::Authority::revoke_all, 1)];
    for (revoke, granted) in cases {
        let bench = Bench::signed_in().await;
        let process = bench.process();
        let tools = process.tools(bench.tenant).await.unwrap();
        bench.remote.authority(revoke);
        let held = bench.remote.hold_renewals().await;
        let renews = call(&tools, "s__note", json!({}));
        let signs_in = async {
            // The renewal was carried out, or refused, and its result is on its way.
            while bench.remote.authority(|authority| authority.renewals()) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(bench.granted(), granted);
            let begun = bench.begin().await.unwrap();
            bench.finish(bench.allowed(&begun)).await.unwrap();
            drop(held);
        };
        let (outcome, ()) = tokio::join!(renews, signs_in);
        outcome.unwrap();
        assert!(bench.process().list(bench.tenant).await.unwrap()[0].signed_in);
        for tools in [tools, bench.process().tools(bench.tenant).await.unwrap()] {
            call(&tools, "s__note", json!({})).await.unwrap();
        }
        let token = format!("Bearer access-{}", granted + 1);
        let used = bench.remote.received("tools/call");
        assert!(used.iter().rev().take(3).all(|(used, _)| *used == token), "{used:?}");
    }
}

#[tokio::test]
async fn a_sign_in_is_finished_once_by_its_user_and_in_time() {
    let bench = Bench::new().await;
    let process = bench.process();
    let now = Timestamp::now();
    let begun = bench.begin().await.unwrap();
    let redirected = bench.allowed(&begun);
    let finish = async |tenant, user, redirected, now| {
        Box::pin(process.finish_sign_in(tenant, user, &name("s"), redirected, now)).await
    };
    let refused = async |user, redirected, now| {
        let outcome = finish(bench.tenant, user, redirected, now).await;
        assert!(matches!(outcome, Err(Error::SignIn)), "{outcome:?}");
    };
    refused(UserId::new(), redirected.clone(), now).await;
    refused(bench.user, Redirected { state: "guessed".into(), ..redirected.clone() }, now).await;
    refused(bench.user, redirected.clone(), now + Duration::from_secs(601)).await;
    let elsewhere = finish(TenantId::new(), bench.user, redirected.clone(), now).await;
    assert!(matches!(elsewhere, Err(Error::NotFound)));
    assert_eq!(bench.granted(), 0);

    let both = tokio::join!(bench.finish(redirected.clone()), bench.finish(redirected.clone()));
    assert_eq!(usize::from(both.0.is_ok()) + usize::from(both.1.is_ok()), 1, "{both:?}");
    refused(bench.user, redirected, now).await;

    for issuer in [None, Some("https://other.example".to_owned())] {
        let begun = bench.begin().await.unwrap();
        let mixed = Redirected { issuer, ..bench.allowed(&begun) };
        refused(bench.user, mixed, now).await;
    }
    assert_eq!(bench.granted(), 1);
}

#[tokio::test]
async fn a_sign_in_is_not_begun_if_it_would_not_be_safe() {
    let refused = async |change: fn(&mut crate::testing::Authority), why: &str| {
        let bench = Bench::new().await;
        bench.remote.authority(change);
        let error = bench.begin().await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(|authority| authority.described = json!({}), "PKCE").await;
    refused(|authority| authority.described["code_challenge_methods_supported"] = json!(["plain"]), "PKCE")
        .await;
    refused(|authority| authority.registers = false, "send its `client_id`").await;
    let inside = |authority: &mut crate::testing::Authority| {
        authority.resource["authorization_servers"] = json!(["http://169.254.169.254/as"]);
    };
    refused(inside, "not on the public internet").await;
    let in_clear = |authority: &mut crate::testing::Authority| {
        authority.resource["authorization_servers"] = json!(["http://auth.example.com"]);
    };
    refused(in_clear, "must be https").await;
    refused(
        |authority| authority.resource["resource"] = json!("https://other.example/mcp"),
        "of another one",
    )
    .await;

    let bench = Bench::new().await;
    bench.remote.authority(|authority| {
        authority.registers = false;
        authority.register("by-hand", PAGE);
    });
    let client_id = Some("by-hand".to_owned());
    let new = NewSignIn { redirect_uri: PAGE.to_owned(), client_id, client_secret: None };
    let begun =
        bench.process().begin_sign_in(bench.tenant, bench.user, &name("s"), new, Timestamp::now()).await;
    bench.finish(bench.allowed(&begun.unwrap())).await.unwrap();
}
