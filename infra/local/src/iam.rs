//! IAM on one machine. Each function has credentials of its own, and a proxy in front of the emulator carries out a request
//! only if the role that the template gives the function allows it.
//!
//! Invariant: what is not understood is refused, be it a form of a policy (the stack does not start) or a request (its
//! caller is denied).

mod answer;
mod arn;
mod condition;
mod credentials;
mod denials;
mod pattern;
mod platform;
mod policy;
mod proxy;
mod report;
mod request;
mod roles;
#[cfg(test)]
mod tests;
mod used;

use std::collections::BTreeMap;
use std::path::Path;

use tokio::task::JoinHandle;

use crate::aws::{self, Endpoint};
use crate::deploy::Deployed;
use crate::template::Template;

pub use denials::Denials;
pub use policy::Permission;
pub use report::{Report, report};
pub use roles::{Role, Roles};

use arn::Resources;
use proxy::Proxy;
use request::World;
use used::Used;

/// Reasons not to start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "plain data")]
pub enum Error {
    /// A policy has a form that is not understood.
    #[error("the policies of {resource}: {reason}")]
    Policy { resource: String, reason: String },
    /// A role lacks a permission that Lambda needs to invoke the function.
    #[error("the role of {function} does not allow Lambda to perform {need}")]
    Platform { function: String, need: String },
    /// The emulator did not create the credentials.
    #[error("cannot create the credentials of the functions: {0}")]
    Credentials(#[from] aws::Error),
    /// A port or a file cannot be used.
    #[error("cannot use {what}: {source}")]
    Io { what: String, source: std::io::Error },
}

impl Error {
    fn at(resource: &str, reason: String) -> Self {
        Self::Policy { resource: resource.to_owned(), reason }
    }
}

/// The running proxy. Dropping it ends it.
#[derive(Debug)]
pub struct Iam {
    /// Endpoint and credentials of each function by its logical id.
    callers: BTreeMap<String, Endpoint>,
    denials: Denials,
    server: JoinHandle<()>,
}

impl Iam {
    /// Creates credentials for each function and starts the proxy. `used` is a folder in which the permissions that
    /// functions use are noted.
    ///
    /// # Errors
    /// If a policy is not understood, or if credentials, port or folder cannot be used.
    pub async fn start(
        emulator: &Endpoint,
        template: &Template,
        deployed: &Deployed,
        used: Option<&Path>,
    ) -> Result<Self, Error> {
        let region = emulator.region();
        let roles = Roles::read(template, &deployed.resources, region)?;
        let resources = Resources { template, ids: &deployed.resources, region };
        let used = Used::open(used)
            .map_err(|source| Error::Io { what: "the folder of used permissions".into(), source })?;
        used.note(platform::used(&roles, resources)?);
        let keys = credentials::create(emulator, roles.iter().map(|role| role.function.as_str())).await?;
        let denials = Denials::default();
        let functions = keys.iter().map(|(function, key)| (key.access_key_id().to_owned(), function.clone()));
        let proxy =
            Proxy::new(emulator, roles, World::new(resources), functions.collect(), denials.clone(), used);
        let port = |source| Error::Io { what: "a port for the IAM proxy".into(), source };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(port)?;
        let url = format!("http://{}", listener.local_addr().map_err(port)?);
        let callers = keys.into_iter().map(|(function, key)| (function, emulator.seen_by(&url, key)));
        Ok(Self { callers: callers.collect(), denials, server: tokio::spawn(proxy.serve(listener)) })
    }

    /// Returns the endpoint of a function, with its credentials.
    pub fn endpoint_of(&self, function: &str) -> Option<&Endpoint> {
        self.callers.get(function)
    }

    /// Returns the list of denied requests.
    pub fn denials(&self) -> &Denials {
        &self.denials
    }
}

impl Drop for Iam {
    fn drop(&mut self) {
        self.server.abort();
    }
}
