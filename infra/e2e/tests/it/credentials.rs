//! Only a valid credential in its proper place opens a route.

mod corpus;
mod forge;

use std::net::TcpListener;

use crate::{
    stripe::{Stripe, selling},
    surface::{Access, Answer, Belongings, Call, Entry, Header, Person, entries},
    system::{System, scaled},
};
use corpus::{Loot, forgeries};
use forge::Forge;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

/// Public address of the deployment, with https as in production, so that cookies have their production
/// names.
const SITE: &str = "https://chat.example";
const COOKIE: &str = "__Host-sequent_access";

/// Number of concurrent requests.
const ABREAST: usize = 16;

/// A request that must be refused: its fault, its headers, and an addition to its query.
/// Switches billing on, with more credits than a test can spend.
const PAID: [(&str, &str); 3] = [
    ("PUBLIC_URL", SITE),
    ("BILLING_WELCOME", "1000000000000"),
    ("BILLING_PLANS", r#"{"pro":{"concurrent_runs":1000}}"#),
];

struct Attack {
    name: String,
    headers: Vec<Header>,
    query: Option<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_forged_token_opens_any_route() {
    let (stripe, system) = selling(&PAID).await;
    let scene = Scene::set(&stripe, &system).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let loot = Loot {
        others_token: &scene.bob.token,
        other_credentials: &[
            ("a refresh token", scene.alice.refresh_token.clone()),
            ("a CSRF token", scene.csrf.clone()),
            ("a page cursor", scene.alices.cursors.runs.clone()),
        ],
        address: &format!("http://{}", listener.local_addr().unwrap()),
    };
    let forge = Forge::of(&system, &scene.alice).await;
    // A well-formed token of the forge is accepted, so a refusal has the reason that the test names.
    let sound = forge.sign(&forge.header, &forge.claims);
    let me = scene.alice.read("GET", &Call::to("/api/auth/me"), &bearer(&sound)).await;
    assert_eq!(me.status, 200, "{me:?}");

    let attack = |name: String, headers| Attack { name, headers, query: None };
    let forgeries = forgeries(&forge, &loot);
    let bearers = forgeries.iter().map(|(name, token)| attack(format!("{name}, as bearer"), bearer(token)));
    let attacks: Vec<Attack> = bearers.collect();
    let by_bearer = scene.repels(&attacks, 1).await;
    let cookies =
        forgeries.iter().map(|(name, token)| attack(format!("{name}, in the cookie"), scene.cookie(token)));
    let attacks: Vec<Attack> = cookies.collect();
    let by_cookie = scene.repels(&attacks, scaled(7, 1)).await;
    println!(
        "{} forgeries, {by_bearer} requests with them as bearer, {by_cookie} in the cookie",
        forgeries.len()
    );
    let fetched = listener.accept().err().map(|error| error.kind());
    assert_eq!(fetched, Some(std::io::ErrorKind::WouldBlock), "nobody fetches a key from where a token says");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_valid_token_is_accepted_only_where_it_belongs() {
    let (stripe, system) = selling(&PAID).await;
    let scene = Scene::set(&stripe, &system).await;
    println!("{} requests", scene.repels(&scene.misplaced(), 1).await);

    // A browser adds the cookie to the requests of every page.
    let with_cookie = ("cookie", format!("{COOKIE}={}", scene.alice.token));
    let csrf = "x-csrf-token";
    let from = |origin: &str| vec![with_cookie.clone(), ("origin", origin.to_owned())];
    let with_csrf = |origin: &str, token: &str| [from(origin), vec![(csrf, token.to_owned())]].concat();
    for entry in scene.entries.iter().filter(|entry| entry.access == Access::Required) {
        let reads = entry.method() == "GET";
        let starts_a_run = entry.route == "GET /api/projects/{id}/messages/stream";
        let mut forged = Vec::new();
        if !reads {
            forged.extend([
                from(SITE),
                with_csrf(SITE, "AAAA"),
                with_csrf(SITE, &scene.bobs_csrf),
                vec![with_cookie.clone()],
            ]);
        }
        if !reads || starts_a_run {
            forged.extend(["https://evil.example", "null"].map(|origin| with_csrf(origin, &scene.csrf)));
        }
        for headers in forged {
            let answer = scene.alice.read(entry.method(), &scene.call(entry), &headers).await;
            assert_eq!(answer.status, 403, "{}: {headers:?}: {answer:?}", entry.route);
        }
    }
    scene.is_untouched().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_valid_credential_opens_every_route() {
    let (stripe, system) = selling(&PAID).await;
    let scene = Scene::set(&stripe, &system).await;
    let key = ("x-api-key", scene.key.clone());
    let credentials = [scene.alice.bearer(), scene.cookie(&scene.alice.token), vec![key], bearer(&scene.key)];
    let mut refused = Vec::new();
    for entry in scene.entries.iter().filter(|entry| is_open_to_all(entry)) {
        for (at, credential) in credentials.iter().enumerate() {
            let status = scene.alice.send(entry.method(), &scene.call(entry), credential).await.status();
            // Only the first delete finds its object.
            let served = if at == 0 {
                status.is_success() || status == 409 || status == 422
            } else {
                !status.is_server_error()
            };
            let refused_by_the_call = REFUSED_CALLS.contains(&(entry.route, status.as_u16()));
            if !refused_by_the_call && (!served || status == 401 || status == 403) {
                refused.push(format!("{}: {}: {status}", entry.route, credential[0].0));
            }
        }
    }
    assert_eq!(refused, Vec::<String>::new());
}

/// Calls of the table that are refused whatever the credential: with a wrong current password, on a stack without mail,
/// and with the id of another user.
const REFUSED_CALLS: [(&str, u16); 3] =
    [("POST /api/auth/password", 401), ("POST /api/auth/verification", 404), ("DELETE /api/auth/me", 404)];

/// Returns `true` if each kind of credential opens the route, and is still valid afterwards.
fn is_open_to_all(entry: &Entry) -> bool {
    let ends_the_session = entry.route.ends_with("/logout");
    matches!(entry.access, Access::Required | Access::Optional) && !ends_the_session
}

/// Alice, who is attacked, and Bob, another user.
struct Scene {
    alice: Person,
    bob: Person,
    alices: Belongings,
    csrf: String,
    bobs_csrf: String,
    /// An API key of Alice's with every scope.
    key: String,
    entries: Vec<Entry>,
    /// A snapshot of Alice's data.
    before: Value,
}

impl Scene {
    async fn set(stripe: &Stripe, system: &System) -> Self {
        let (alice, bob) = tokio::join!(
            Person::sign_up(system, "alice@example.com"),
            Person::sign_up(system, "bob@example.com")
        );
        stripe.subscribed(&alice).await;
        let alices = Belongings::of(&alice).await;
        let key = json!({"name": "all", "scopes":
            ["projects:read", "projects:write", "chat", "runs:read", "runs:write", "artifacts:read",
            "artifacts:write", "agents:read", "agents:write", "evaluations:read", "evaluations:write", "schedules:read", "schedules:write", "tools:read", "tools:write", "webhooks:read", "webhooks:write", "account"]});
        let key = alice.post(Call::to("/api/auth/api-keys").body(key)).await.json();
        Self {
            csrf: csrf(&alice).await,
            bobs_csrf: csrf(&bob).await,
            key: key["key"].as_str().unwrap().to_owned(),
            entries: entries(&alice).await,
            before: alices.snapshot(&alice).await,
            alice,
            bob,
            alices,
        }
    }

    /// Returns a call of the route that concerns Alice's data.
    fn call(&self, entry: &Entry) -> Call {
        (entry.calls)(&self.alices).swap_remove(0)
    }

    /// Returns the headers of a browser on our own pages, with the token in the cookie.
    fn cookie(&self, token: &str) -> Vec<Header> {
        let site = ("origin", SITE.to_owned());
        vec![("cookie", format!("{COOKIE}={token}")), site, ("x-csrf-token", self.csrf.clone())]
    }

    /// Tries every attack on every `stride`th route, and checks that all are refused and nothing has changed.
    /// Returns the number of requests.
    async fn repels(&self, attacks: &[Attack], stride: usize) -> usize {
        let asking = self.entries.iter().filter(|entry| entry.access != Access::Public);
        let routes: Vec<(&Entry, Call)> = asking.map(|entry| (entry, self.call(entry))).collect();
        let tries = attacks.iter().enumerate().flat_map(|(at, attack)| {
            routes.iter().skip(at % stride).step_by(stride).map(move |(entry, call)| (attack, entry, call))
        });
        let outcomes = stream::iter(tries).map(|(attack, entry, call)| self.attempt(attack, entry, call));
        let outcomes: Vec<Option<String>> = outcomes.buffer_unordered(ABREAST).collect().await;
        let accepted: Vec<&str> = outcomes.iter().flatten().map(String::as_str).collect();
        assert!(accepted.is_empty(), "{} were accepted:\n{}", accepted.len(), accepted.join("\n"));
        self.is_untouched().await;
        outcomes.len()
    }

    /// Returns the fault of the response, or `None`.
    async fn attempt(&self, attack: &Attack, entry: &Entry, call: &Call) -> Option<String> {
        let and = if call.path.contains('?') { '&' } else { '?' };
        let queried = |query| Call { path: format!("{}{and}{query}", call.path), ..call.clone() };
        let queried = attack.query.as_ref().map(queried);
        let answer = self.alice.read(entry.method(), queried.as_ref().unwrap_or(call), &attack.headers).await;
        // Logout works without a credential. It must then end no session, which the snapshot shows.
        let tolerated = entry.access == Access::Optional && answer.status == 204;
        let refused = tolerated || is_refusal(&answer);
        (!refused).then(|| format!("{} by {}: {}", entry.route, attack.name, answer.status))
    }

    async fn is_untouched(&self) {
        assert_eq!(self.alices.snapshot(&self.alice).await, self.before, "nothing of hers has changed");
    }

    /// Returns valid credentials in places where they must be ignored, or beside an invalid one.
    fn misplaced(&self) -> Vec<Attack> {
        let token = &self.alice.token;
        let key = &self.key;
        let refresh = &self.alice.refresh_token;
        let (message, others_signature) =
            (token.rsplit_once('.').unwrap().0, self.bob.token.rsplit_once('.').unwrap().1);
        let forged = format!("{message}.{others_signature}");
        let authorization = |value: &str| ("authorization", value.to_owned());
        let cookie = |value: String| [self.cookie("").split_off(1), vec![("cookie", value)]].concat();
        let valid_cookie = || self.cookie(token);
        let mut attacks = Vec::new();
        let mut push = |name: &str, headers: Vec<Header>| {
            attacks.push(Attack { name: name.to_owned(), headers, query: None });
        };
        push("nothing", Vec::new());
        let good = format!("Bearer {token}");
        let bad = format!("Bearer {forged}");
        for (one, two) in [(&good, &bad), (&bad, &good), (&good, &good)] {
            push("two Authorization headers", vec![authorization(one), authorization(two)]);
            push("two in one Authorization header", vec![authorization(&format!("{one},{two}"))]);
            push("two behind one scheme", vec![authorization(&format!("{one} {}", &two[7..]))]);
        }
        for scheme in ["", "Bearer:", "Token ", "JWT ", "Basic ", "DPoP ", "BearerBearer ", "Bearer Bearer "]
        {
            push(&format!("scheme {scheme:?}"), vec![authorization(&format!("{scheme}{token}"))]);
        }
        for value in ["", "Bearer", "Basic YWxpY2VAZXhhbXBsZS5jb206eA==", &bad, "Bearer sk_x"] {
            let headers = [valid_cookie(), vec![authorization(value)]].concat();
            push(&format!("Authorization {value:?} before a valid cookie"), headers);
        }
        for value in [token, &forged, refresh, "sk_x", ""] {
            push(
                "x-api-key before a valid cookie",
                [valid_cookie(), vec![("x-api-key", value.to_owned())]].concat(),
            );
        }
        push("the token as API key", vec![("x-api-key", token.clone())]);
        for name in [
            "x-access-token",
            "x-auth-token",
            "x-authorization",
            "x-forwarded-authorization",
            "x-original-authorization",
            "x-amzn-remapped-authorization",
            "proxy-authorization",
            "x-amz-security-token",
            "x-sequent-access",
        ] {
            push(name, vec![(name, format!("Bearer {token}"))]);
            push(name, vec![(name, token.clone())]);
        }
        for name in [
            "sequent_access",
            "__Secure-sequent_access",
            "__host-sequent_access",
            "__Host-sequent_refresh",
            "__Secure-sequent_refresh",
            "access_token",
            "token",
            "Authorization",
        ] {
            push(&format!("cookie {name}"), cookie(format!("{name}={token}")));
        }
        push("the refresh token in the access cookie", self.cookie(refresh));
        // Bob's cookie, because logout accepts a refresh cookie.
        push("the refresh cookie", cookie(format!("__Secure-sequent_refresh={}", self.bob.refresh_token)));
        push("the API key in the cookie", self.cookie(key));
        push("a forged cookie before a valid one", cookie(format!("{COOKIE}={forged}; {COOKIE}={token}")));
        push("a quoted cookie", self.cookie(&format!("\"{token}\"")));
        for name in
            ["access_token", "token", "jwt", "authorization", "Authorization", "api_key", "x-api-key", "key"]
        {
            for value in [token, key] {
                let query = format!("{name}={value}");
                attacks.push(Attack {
                    name: format!("in the query: {query}"),
                    headers: Vec::new(),
                    query: Some(query),
                });
            }
        }
        attacks
    }
}

/// Returns `true` if the response is the standard refusal.
fn is_refusal(answer: &Answer) -> bool {
    let code = || answer.json()["code"].clone();
    answer.status == 401
        && answer.headers.contains_key("www-authenticate")
        && (code() == "invalid_credential" || code() == "unauthenticated")
}

fn bearer(token: &str) -> Vec<Header> {
    vec![("authorization", format!("Bearer {token}"))]
}

async fn csrf(person: &Person) -> String {
    person.get("/api/auth/csrf-token").await["csrf_token"].as_str().unwrap().to_owned()
}
