//! An authorization server at the address of the scripted server. It refuses what the RFCs forbid.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::Reply;
use crate::oauth::digest;

/// An authorization server whose user allows everything.
#[derive(Debug)]
pub struct Authority {
    base: String,
    /// The members of its metadata beside the endpoints.
    pub described: Value,
    /// The description of the protected resource.
    pub resource: Value,
    /// Clients can register themselves.
    pub registers: bool,
    /// The lifetime of an access token in seconds.
    pub lifetime: u64,
    /// The redirect address of each client.
    clients: BTreeMap<String, String>,
    /// The parameters of the authorization that each code is for.
    codes: BTreeMap<String, BTreeMap<String, String>>,
    access: BTreeSet<String>,
    refresh: BTreeSet<String>,
    spent: BTreeSet<String>,
    granted: usize,
    renewals: usize,
}

impl Authority {
    pub(super) fn at(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            described: json!({"code_challenge_methods_supported": ["plain", "S256"],
                "authorization_response_iss_parameter_supported": true}),
            resource: json!({"resource": format!("{base}/mcp"), "authorization_servers": [format!("{base}/as")],
                "scopes_supported": ["notes"]}),
            registers: true,
            lifetime: 3600,
            clients: BTreeMap::new(),
            codes: BTreeMap::new(),
            access: BTreeSet::new(),
            refresh: BTreeSet::new(),
            spent: BTreeSet::new(),
            granted: 0,
            renewals: 0,
        }
    }

    /// Returns the issuer, which its redirects state.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("{}/as", self.base)
    }

    /// Registers a client by hand.
    pub fn register(&mut self, id: &str, redirect_uri: &str) {
        self.clients.insert(id.to_owned(), redirect_uri.to_owned());
    }

    /// Opens an authorization address as a user who allows it. Returns the code.
    pub fn allow(&mut self, url: &str) -> String {
        let url = Url::parse(url).unwrap();
        let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(url.path(), "/as/authorize");
        assert_eq!(
            (asked["response_type"].as_str(), asked["code_challenge_method"].as_str()),
            ("code", "S256")
        );
        assert_eq!(self.clients[&asked["client_id"]], asked["redirect_uri"], "of the registered client");
        assert!(asked["state"].len() >= 43 && asked["code_challenge"].len() == 43, "{asked:?}");
        let code = format!("code-{}", self.codes.len() + 1);
        self.codes.insert(code.clone(), asked);
        code
    }

    /// Returns the number of times that tokens were granted.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.granted
    }

    /// Returns the number of times that a client has asked for a renewal.
    #[must_use]
    pub fn renewals(&self) -> usize {
        self.renewals
    }

    /// Refuses all access tokens from now on.
    pub fn revoke_access(&mut self) {
        self.access.clear();
    }

    /// Refuses all tokens from now on.
    pub fn revoke_all(&mut self) {
        self.access.clear();
        self.refresh.clear();
    }

    /// Refuses a request without a token of this server.
    pub(super) fn challenge(&self, authorization: &str) -> Option<Reply> {
        if authorization.strip_prefix("Bearer ").is_some_and(|token| self.access.contains(token)) {
            return None;
        }
        let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", self.base);
        let challenge = format!("Bearer error=\"invalid_token\", resource_metadata=\"{metadata}\"");
        Some(Reply { header: Some(("www-authenticate", challenge)), ..Reply::raw(401, "text/plain", "") })
    }

    /// Replies to a request of its own. Returns `None` for others.
    pub(super) fn reply(&mut self, line: &str, body: &[u8]) -> Option<Reply> {
        match line {
            "GET /.well-known/oauth-protected-resource/mcp" => Some(document(200, &self.resource)),
            "GET /.well-known/openid-configuration/as" => Some(document(200, &self.description())),
            "POST /as/register" if self.registers => Some(self.registered(body)),
            "POST /as/token" => Some(match self.token(body) {
                Some(token) => document(200, &token),
                None => document(400, &json!({"error": "invalid_grant"})),
            }),
            line if line.starts_with("GET /.well-known") => Some(document(404, &json!({}))),
            _ => None,
        }
    }

    fn description(&self) -> Value {
        let issuer = self.issuer();
        let mut described = self.described.clone();
        for name in ["authorize", "token", "register"] {
            let member = if name == "authorize" {
                "authorization_endpoint".to_owned()
            } else {
                format!("{name}_endpoint")
            };
            described[member] = format!("{issuer}/{name}").into();
        }
        if let Some(described) = described.as_object_mut() {
            let endpoint = described.remove("register_endpoint").filter(|_| self.registers);
            described.extend(endpoint.map(|endpoint| ("registration_endpoint".to_owned(), endpoint)));
            described.insert("issuer".to_owned(), issuer.into());
        }
        described
    }

    fn registered(&mut self, body: &[u8]) -> Reply {
        let client: Value = serde_json::from_slice(body).unwrap();
        let id = format!("client-{}", self.clients.len() + 1);
        self.register(&id, client["redirect_uris"][0].as_str().unwrap());
        document(201, &json!({"client_id": id}))
    }

    fn token(&mut self, body: &[u8]) -> Option<Value> {
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let has = |name: &str, value: &str| form.get(name).is_some_and(|sent| sent == value);
        if !has("resource", &format!("{}/mcp", self.base)) {
            return None;
        }
        match form["grant_type"].as_str() {
            "authorization_code" => {
                let asked = self.codes.remove(&form["code"])?;
                let is_proved = digest(&form["code_verifier"]) == asked["code_challenge"];
                let same = |name: &str| form.get(name) == asked.get(name);
                (is_proved && same("client_id") && same("redirect_uri")).then(|| self.granted_token())
            }
            "refresh_token" => {
                self.renewals += 1;
                let token = &form["refresh_token"];
                if self.spent.contains(token) {
                    self.revoke_all(); // a stolen token, as far as this server can tell
                }
                self.refresh.take(token).map(|spent| {
                    self.spent.insert(spent);
                    self.granted_token()
                })
            }
            _ => None,
        }
    }

    fn granted_token(&mut self) -> Value {
        self.granted += 1;
        let access = format!("access-{}", self.granted);
        let refresh = format!("refresh-{}", self.granted);
        self.access.insert(access.clone());
        self.refresh.insert(refresh.clone());
        json!({"access_token": access, "token_type": "bearer", "expires_in": self.lifetime, "refresh_token": refresh})
    }
}

fn document(status: u16, document: &Value) -> Reply {
    Reply::raw(status, "application/json", document.to_string())
}
