//! The sign-in of a user to a server: begun here, continued in the user's browser, finished here.
//!
//! The redirect goes to a page of the application, which sends the code here with the credential of its user. So no other
//! person can finish a sign-in, whatever address a browser is made to open. A sign-in belongs to one tenant, user and
//! server, ends after ten minutes, and is finished once.

use std::{sync::Arc, time::Duration};

use sequent_core::{ExposeSecret, SecretString, TenantId, Timestamp, UserId};
use sequent_identity::secret::SealError;
use sequent_tables::{Error as DataError, Update, attribute, exists, key};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Failure, Name, Server, Servers, ToolListing, listing,
    oauth::{AuthorizationServer, Exchange, OAuthClient, TokenGrant, digest, discover, random_text},
    pin::Pins,
    server::{Endpoint, Stored, purpose},
};

/// Time within which a sign-in has to be finished.
const LIFETIME: Duration = Duration::from_secs(600);

/// A sign-in to begin.
#[derive(Debug, Clone)]
pub struct NewSignIn {
    /// The page that the authorization server redirects the browser to.
    pub redirect_uri: String,
    /// A client that was registered at the authorization server. Without one, a client is registered now.
    pub client_id: Option<String>,
    /// The secret of that client, if it has one.
    pub client_secret: Option<SecretString>,
}

/// A sign-in that was begun.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BegunSignIn {
    /// The address to open in the user's browser.
    #[cfg_attr(feature = "openapi", schema(format = "uri"))]
    pub authorization_url: String,
    /// The `state` that the redirect repeats.
    pub state: String,
    /// The time by which the sign-in has to be finished.
    pub expires_at: Timestamp,
}

/// The parameters of a redirect.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "plain data")]
pub struct Redirected {
    pub code: SecretString,
    pub state: SecretString,
    /// The parameter `iss`, if there is one.
    pub issuer: Option<String>,
}

/// The begun sign-in in the row of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredSignIn {
    state_digest: String,
    user_id: UserId,
    expires_at: Timestamp,
    /// The secret part, [`Pending`], in its sealed form.
    sealed: String,
}

/// The secret part of a begun sign-in.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) verifier: String,
    pub(crate) client: OAuthClient,
    pub(crate) token_endpoint: String,
    pub(crate) resource: String,
    pub(crate) redirect_uri: String,
    issuer: String,
    states_issuer: bool,
}

/// The purpose that the tokens for a server, and a sign-in to it, are sealed for.
pub(crate) fn grant_purpose(tenant: TenantId, server: &Server) -> String {
    format!("grant for {}", purpose(tenant, &server.name, &server.host))
}

impl Servers {
    /// Begins the sign-in of a user to a server.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Server`] if the server does not say how to sign in, or if the table or the secret
    /// fails.
    pub async fn begin_sign_in(
        &self,
        tenant: TenantId,
        user: UserId,
        name: &Name,
        new: NewSignIn,
        now: Timestamp,
    ) -> Result<BegunSignIn, Error> {
        let inner = self.inner();
        let Stored { server, sealed_endpoint, .. } = self.stored(tenant, name).await?;
        let keys = inner.vault.sealing_of(&sealed_endpoint).await?;
        let endpoint = Endpoint::open(&keys, &sealed_endpoint, &purpose(tenant, name, &server.host))?;
        let url = inner.guard.admit(endpoint.url.expose_secret())?;
        let web = inner.web()?;
        let exchange = Exchange { guard: &inner.guard, web: &web };
        let authority = Box::pin(discover(exchange, url.url())).await?;
        let client = match new.client_id {
            Some(id) => {
                let secret = new.client_secret.map(|secret| secret.expose_secret().to_owned());
                OAuthClient { id, secret }
            }
            None => authority.register(exchange, &new.redirect_uri).await?,
        };
        let state = random_text()?;
        let verifier = random_text()?;
        let expires_at = now + LIFETIME;
        let authorization_url = authority.authorization_url(&client, &new.redirect_uri, &state, &verifier);
        let pending = Pending {
            verifier,
            client,
            token_endpoint: authority.token_endpoint,
            resource: authority.resource,
            redirect_uri: new.redirect_uri,
            issuer: authority.issuer,
            states_issuer: authority.states_issuer,
        };
        let text = serde_json::to_string(&pending).map_err(|_| SealError::Unopenable)?;
        let keys = inner.vault.sealing().await?;
        let sealed = keys.seal(&text.into(), &grant_purpose(tenant, &server))?;
        let begun = StoredSignIn { state_digest: digest(&state), user_id: user, expires_at, sealed };
        let row = Update::of(&key::mcp_server(tenant, name.as_str())).set("sign_in", &begun);
        match inner.store.write(row.when(exists())).await {
            Ok(_) => Ok(BegunSignIn { authorization_url, state, expires_at }),
            Err(DataError::Conflict(_)) => Err(Error::NotFound),
            Err(error) => Err(error.into()),
        }
    }

    /// Finishes a sign-in: stores the tokens sealed, enables the server and lists its tools. They are accepted as they are
    /// if none were accepted before.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::SignIn`] if the user has begun no such sign-in, [`Error::Server`] if no token is
    /// granted or the server does not list its tools, or if the table or the secret fails.
    pub async fn finish_sign_in(
        &self,
        tenant: TenantId,
        user: UserId,
        name: &Name,
        redirected: Redirected,
        now: Timestamp,
    ) -> Result<(Server, ToolListing), Error> {
        let inner = self.inner();
        let mut stored = self.stored(tenant, name).await?;
        let state_digest = digest(redirected.state.expose_secret());
        let is_it = |begun: &StoredSignIn| {
            begun.state_digest == state_digest && begun.user_id == user && now < begun.expires_at
        };
        let begun = stored.sign_in.take().filter(is_it).ok_or(Error::SignIn)?;
        let row_key = key::mcp_server(tenant, name.as_str());
        let once = attribute(["sign_in", "state_digest"]).equals(&state_digest);
        match inner.store.write(Update::of(&row_key).remove("sign_in").when(once)).await {
            Ok(_) => {}
            Err(DataError::Conflict(_)) => return Err(Error::SignIn),
            Err(error) => return Err(error.into()),
        }
        let purpose = grant_purpose(tenant, &stored.server);
        let opened = inner.vault.sealing_of(&begun.sealed).await?.open(&begun.sealed, &purpose)?;
        let pending: Pending =
            serde_json::from_str(opened.expose_secret()).map_err(|_| SealError::Unopenable)?;
        // Another authorization server may have sent the browser here, with a code of its own (RFC 9207).
        match &redirected.issuer {
            Some(issuer) if *issuer != pending.issuer => return Err(Error::SignIn),
            None if pending.states_issuer => return Err(Error::SignIn),
            _ => {}
        }
        let web = inner.web()?;
        let exchange = Exchange { guard: &inner.guard, web: &web };
        let code = redirected.code.expose_secret();
        let grant = Box::pin(TokenGrant::of_code(exchange, &pending, code, now)).await?;
        let sealed_grant = grant.seal(&*inner.vault.sealing().await?, &purpose)?;
        stored.server.enabled = true;
        stored.server.signed_in = true;
        stored.sealed_grant = Some(sealed_grant);
        stored.signed_in_at = Some(now.millis());
        let row = Update::of(&row_key)
            .set("sealed_grant", &stored.sealed_grant)
            .set("signed_in_at", stored.signed_in_at)
            .set("signed_in", true)
            .set("enabled", true)
            .remove("renewing_until");
        inner.store.write(row.when(exists())).await?;
        self.list_after_sign_in(tenant, stored).await
    }

    async fn list_after_sign_in(
        &self,
        tenant: TenantId,
        mut stored: Stored,
    ) -> Result<(Server, ToolListing), Error> {
        let inner = self.inner();
        let link = Arc::new(inner.open(tenant, &stored).await?);
        let definitions = listing::definitions(&link, &stored.server.name).await?;
        if stored.pins.is_empty() {
            stored.pins = Pins::of(&definitions.tools);
            let row =
                Update::of(&key::mcp_server(tenant, stored.server.name.as_str())).set("pins", &stored.pins);
            inner.store.write(row.when(exists())).await?;
        }
        inner.note_pending(tenant, &mut stored, &definitions.tools).await;
        let listed = listing::listing(&stored, definitions, &link);
        Ok((stored.server, listed))
    }
}

impl AuthorizationServer {
    /// Returns the address at which a user allows this client to use the server.
    fn authorization_url(
        &self,
        client: &OAuthClient,
        redirect_uri: &str,
        state: &str,
        verifier: &str,
    ) -> String {
        let mut url = self.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("state", state)
            .append_pair("code_challenge", &digest(verifier))
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &self.resource);
        if let Some(scope) = &self.scope {
            url.query_pairs_mut().append_pair("scope", scope);
        }
        url.into()
    }
}

impl From<SealError> for Failure {
    fn from(_: SealError) -> Self {
        Self::Unreached("The tokens for the server cannot be read now. Try again later.".into())
    }
}
