//! Resolves names to addresses.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use futures::future::{BoxFuture, FutureExt};
use reqwest::dns::{self, Name, Resolving};

use super::Guard;

/// A resolver of names. A trait, so that tests can replace the name server.
pub trait Resolve: Send + Sync {
    /// Returns all addresses of `name`.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let lookup = tokio::net::lookup_host((name, 0));
        async { Ok(lookup.await?.map(|address| address.ip()).collect()) }.boxed()
    }
}

impl dns::Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = Guard::resolve(&guard, name.as_str()).await?;
            // Port 0 means the port of the URL.
            let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as dns::Addrs)
        })
    }
}
