//! Finds the authorization server that a server trusts.

use serde_json::{Value, json};
use url::Url;

use super::{Exchange, OAuthClient};
use crate::Failure;

/// An authorization server, as far as a sign-in needs it.
#[derive(Debug)]
pub(crate) struct AuthorizationServer {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: String,
    registration_endpoint: Option<String>,
    /// It names itself in its redirect (RFC 9207).
    pub(crate) states_issuer: bool,
    /// The server for which a token is.
    pub(crate) resource: String,
    pub(crate) scope: Option<String>,
}

fn refused(text: &str) -> Failure {
    Failure::Refused(text.to_owned())
}

/// Finds the authorization server of `server`.
pub(crate) async fn discover(exchange: Exchange<'_>, server: &Url) -> Result<AuthorizationServer, Failure> {
    let challenge = challenge(exchange, server).await?.unwrap_or_default();
    let metadata = protected_resource(exchange, server, parameter(&challenge, "resource_metadata")).await?;
    let issuer = match metadata["authorization_servers"][0].as_str() {
        Some(issuer) => issuer.to_owned(),
        // As in MCP 2025-03-26: the server is its own.
        None => server.origin().ascii_serialization(),
    };
    let described = description(exchange, &issuer).await?;
    let endpoint = |name: &str| described[name].as_str().map(str::to_owned);
    let methods = described["code_challenge_methods_supported"].as_array();
    if !methods.is_some_and(|methods| methods.contains(&"S256".into())) {
        return Err(refused("The authorization server does not support PKCE with S256, which is required."));
    }
    let incomplete = || refused("The authorization server does not state its endpoints.");
    let scopes = metadata["scopes_supported"]
        .as_array()
        .map(|scopes| scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
    Ok(AuthorizationServer {
        issuer,
        authorization_endpoint: exchange
            .admit(&endpoint("authorization_endpoint").ok_or_else(incomplete)?)?,
        token_endpoint: endpoint("token_endpoint").ok_or_else(incomplete)?,
        registration_endpoint: endpoint("registration_endpoint"),
        states_issuer: described["authorization_response_iss_parameter_supported"] == true,
        resource: metadata["resource"].as_str().unwrap_or(server.as_str()).to_owned(),
        scope: parameter(&challenge, "scope").or(scopes).filter(|scope| !scope.is_empty()),
    })
}

/// Returns the challenge with which the server refuses a request without a token.
async fn challenge(exchange: Exchange<'_>, server: &Url) -> Result<Option<String>, Failure> {
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "sequent", "version": env!("CARGO_PKG_VERSION")}});
    let start = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    Ok(exchange.post_json(server.as_str(), &start).await?.challenge)
}

/// Returns a parameter of a challenge: `resource_metadata="https://..."`.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let mark = format!("{name}=\"");
    let starts = |at: &usize| challenge[..*at].ends_with([' ', ',']);
    let (at, _) = challenge.match_indices(&mark).find(|(at, _)| starts(at))?;
    let rest = &challenge[at + mark.len()..];
    Some(rest[..rest.find('"')?].to_owned())
}

/// Returns the server's description of what protects it, or null if it has none.
async fn protected_resource(
    exchange: Exchange<'_>,
    server: &Url,
    stated: Option<String>,
) -> Result<Value, Failure> {
    let origin = server.origin().ascii_serialization();
    let well_known = |path: &str| format!("{origin}/.well-known/oauth-protected-resource{path}");
    let candidates = match stated {
        Some(url) => vec![url],
        None => vec![well_known(server.path().trim_end_matches('/')), well_known("")],
    };
    for url in candidates {
        let reply = exchange.get(&url).await?;
        if reply.status.is_success() && reply.body.is_object() {
            let of_another =
                reply.body["resource"].as_str().is_some_and(|resource| !covers(resource, server));
            return if of_another {
                Err(refused("The server describes the protection of another one (`resource`)."))
            } else {
                Ok(reply.body)
            };
        }
    }
    Ok(Value::Null)
}

/// Returns `true` if the server is the resource, or below it.
fn covers(resource: &str, server: &Url) -> bool {
    Url::parse(resource).is_ok_and(|resource| {
        let rest = server.path().strip_prefix(resource.path().trim_end_matches('/'));
        resource.origin() == server.origin()
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Returns the description of an authorization server (RFC 8414, or OpenID Connect Discovery).
async fn description(exchange: Exchange<'_>, issuer: &str) -> Result<Value, Failure> {
    let url = exchange.admit(issuer)?;
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    let mut candidates = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        candidates.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    for candidate in candidates {
        let reply = exchange.get(&candidate).await?;
        let stated = reply.body["issuer"].as_str().map(|issuer| issuer.trim_end_matches('/'));
        if reply.status.is_success() && stated == Some(issuer.trim_end_matches('/')) {
            return Ok(reply.body);
        }
    }
    Err(refused(
        "The server requires no sign-in, or does not say where: it has no authorization server that describes itself.",
    ))
}

impl AuthorizationServer {
    /// Registers this client for a redirect to `redirect_uri`.
    pub(crate) async fn register(
        &self,
        exchange: Exchange<'_>,
        redirect_uri: &str,
    ) -> Result<OAuthClient, Failure> {
        let Some(endpoint) = &self.registration_endpoint else {
            return Err(refused(
                "The authorization server registers no clients on its own. Register one there, and send its `client_id`.",
            ));
        };
        let client = json!({
            "client_name": "Sequent",
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let reply = exchange.post_json(endpoint, &client).await?;
        match reply.body["client_id"].as_str().filter(|_| reply.status.is_success()) {
            Some(id) => {
                let secret = reply.body["client_secret"].as_str().map(str::to_owned);
                Ok(OAuthClient { id: id.to_owned(), secret })
            }
            None => Err(refused("The authorization server did not register this client.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_challenge_are_found() {
        let challenge =
            r#"Bearer error="invalid_token", resource_metadata="https://a.example/meta",scope="read write""#;
        assert_eq!(parameter(challenge, "resource_metadata").as_deref(), Some("https://a.example/meta"));
        assert_eq!(parameter(challenge, "scope").as_deref(), Some("read write"));
        assert_eq!(parameter(challenge, "metadata"), None, "a part of another name");
        assert_eq!(parameter("Bearer", "scope"), None);
        assert_eq!(parameter("Bearer scope=\"x", "scope"), None);
    }

    #[test]
    fn a_resource_covers_what_is_below_it() {
        let server = Url::parse("https://a.example/v1/mcp").unwrap();
        for resource in
            ["https://a.example", "https://a.example/", "https://a.example/v1", "https://a.example/v1/mcp"]
        {
            assert!(covers(resource, &server), "{resource}");
        }
        for other in [
            "https://b.example/v1/mcp",
            "http://a.example/v1/mcp",
            "https://a.example/v1/m",
            "https://a.example/v2",
            "a",
        ] {
            assert!(!covers(other, &server), "{other}");
        }
    }
}
