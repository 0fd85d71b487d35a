//! A tool as the agent calls it.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE},
};
use reqwest::Client;
use sequent_core::{TenantId, Timestamp};
use sequent_tool::{Call, Error, Handler, Output, Tool, ToolKind, ToolPolicy};
use sequent_webhooks::signature;
use tokio::time::timeout;

use crate::{
    HttpTool,
    answer::ServerAnswer,
    failure::CallFailure,
    header::sent,
    request::ToolRequest,
    sealed::{ToolSecrets, purpose},
    tool::StoredTool,
    tools::Inner,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The time that the handler has beyond that of the tool, so that its own message is the one that a model reads.
const MARGIN: Duration = Duration::from_secs(2);

/// The handler that calls a tool on its server.
pub(crate) struct HttpCall {
    inner: Arc<Inner>,
    tenant: TenantId,
    stored: StoredTool,
    time: Duration,
}

impl HttpCall {
    /// The tool for an agent of the tenant. `longest` limits the time of a call.
    pub(crate) fn tool(inner: &Arc<Inner>, tenant: TenantId, stored: StoredTool, longest: Duration) -> Tool {
        let HttpTool { name, description, input_schema, idempotent, policy, max_result_bytes, .. } =
            stored.tool.clone();
        let target =
            format!("{} {}", Method::from(stored.tool.method), String::from(stored.tool.url.clone()));
        let time = Duration::from_secs(stored.tool.timeout_seconds.into()).min(longest);
        let handler = Self { inner: Arc::clone(inner), tenant, stored, time };
        let kind = ToolKind::Runs(Arc::new(handler));
        Tool {
            idempotent,
            needs_approval: policy != ToolPolicy::Always,
            timeout: time + MARGIN,
            target,
            max_result_bytes: usize::try_from(max_result_bytes).unwrap_or(Tool::MAX_RESULT_BYTES),
            ..Tool::new(name.as_str(), description, input_schema, kind)
        }
    }

    async fn answer(&self, mut call: Call<'_>) -> Result<String, CallFailure> {
        let arguments = call.parse().map_err(|error| CallFailure::Refused(error.message().to_owned()))?;
        let request = ToolRequest::of(&self.stored.tool, arguments)?;
        let secrets = self.secrets().await?;
        let exchange = Box::pin(self.exchange(&request, &call.idempotency_key, &secrets));
        let late = |_| Err(CallFailure::Lost(format!("The server did not answer within {:?}.", self.time)));
        let answer = timeout(self.time, exchange).await.unwrap_or_else(late)?;
        answer.text(&self.stored.tool, &secrets)
    }

    async fn exchange(
        &self,
        request: &ToolRequest,
        key: &str,
        secrets: &ToolSecrets,
    ) -> Result<ServerAnswer, CallFailure> {
        let admitted = self.inner.guard.admit(&request.url).map_err(|refusal| CallFailure::from(&refusal))?;
        // The rules may have changed since the tool was set up.
        if !admitted.keeps_secrets() {
            return Err(CallFailure::Refused("The address of the tool is not https.".to_owned()));
        }
        let method = Method::from(self.stored.tool.method);
        let sending = self.client()?.request(method, admitted.url().clone());
        let sending = sending.headers(self.headers(request, key, secrets)).body(request.body.clone());
        let response = sending.send().await.map_err(|error| CallFailure::of_client(&error))?;
        ServerAnswer::read(response).await
    }

    /// The headers of a request: the usual ones, and those of the tool.
    fn headers(&self, request: &ToolRequest, key: &str, secrets: &ToolSecrets) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/*;q=0.9"));
        if self.stored.tool.method.has_body() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let shown = self.stored.tool.headers.iter();
        let shown = shown.filter_map(|header| Some((header.name.as_str(), header.value.as_deref()?)));
        let secret = secrets.headers.iter().map(|(name, value)| {
            use sequent_core::ExposeSecret as _;
            (name.as_str(), value.expose_secret())
        });
        for (name, value) in shown.chain(secret) {
            if let Ok(name) = name.parse::<HeaderName>()
                && let Some(value) = sent(value)
            {
                headers.insert(name, value);
            }
        }
        let signed = signature::headers(key, Timestamp::now(), request.body.as_bytes(), [&secrets.signing]);
        let signed = signed.map(|(name, value)| (HeaderName::from_static(name), value));
        for (name, value) in signed.into_iter().chain([(IDEMPOTENCY_KEY, key.to_owned())]) {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        headers
    }

    async fn secrets(&self) -> Result<ToolSecrets, CallFailure> {
        self.inner.open(self.tenant, &self.stored).await.map_err(|error| {
            tracing::error!(tenant = %self.tenant, tool = %self.stored.tool.name, %error, "could not open the secrets of an HTTP tool; the call fails");
            CallFailure::Unreached("The tool cannot be called now.".to_owned())
        })
    }

    fn client(&self) -> Result<&Client, CallFailure> {
        self.inner.client().map_err(|error| {
            tracing::error!(%error, "could not create the HTTP client for tools of tenants; the call fails");
            CallFailure::Unreached("Tools cannot be called now.".to_owned())
        })
    }
}

impl Handler for HttpCall {
    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        async move {
            let HttpTool { name, idempotent, .. } = &self.stored.tool;
            let answered = self.answer(call).await;
            answered.map(Output::text).map_err(|failure| failure.of_tool(name.as_str(), *idempotent))
        }
        .boxed()
    }
}

impl Inner {
    /// Opens the secrets of a tool.
    pub(crate) async fn open(
        &self,
        tenant: TenantId,
        StoredTool { tool, sealed, .. }: &StoredTool,
    ) -> Result<ToolSecrets, crate::Error> {
        let keys = self.vault.sealing_of(sealed).await?;
        Ok(ToolSecrets::open(&keys, sealed, &purpose(tenant, &tool.name, tool.url.base()))?)
    }
}
