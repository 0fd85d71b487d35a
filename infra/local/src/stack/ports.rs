//! The ports of a stack, all on loopback, and the servers on them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Error, io};
use crate::control;
use crate::front::{self, Front};
use crate::runtime::Runtime;
use crate::template::{Distribution, Function};

/// Listeners of a stack that is being started.
pub(super) struct Ports {
    pub(super) urls: Urls,
    origin: TcpListener,
    own_origin: TcpListener,
    control: TcpListener,
}

#[derive(Debug, Clone)]
pub(super) struct Urls {
    /// The URL that the user opens.
    pub(super) origin: String,
    /// The URL of a function that is an origin of its own. It has another host name than `origin`, because
    /// browsers ignore the port of cookies and would send one origin's cookies to the other.
    pub(super) own_origin: String,
    pub(super) control: String,
}

impl Ports {
    /// Opens all ports: the origin at `port`, the others at any free port.
    pub(super) async fn open(port: u16) -> Result<Self, Error> {
        let origin = front::listen(port).await.map_err(|e| match e.kind() {
            std::io::ErrorKind::AddrInUse => Error::PortTaken(port),
            _ => io("origin port", e),
        })?;
        let own_origin = front::listen(0).await.map_err(|e| io("port", e))?;
        let control = front::listen(0).await.map_err(|e| io("control port", e))?;
        let urls = Urls {
            origin: format!("http://localhost:{}", address(&origin)?.port()),
            own_origin: format!("http://{}", address(&own_origin)?),
            control: format!("http://{}", address(&control)?),
        };
        Ok(Self { urls, origin, own_origin, control })
    }

    /// Serves requests until the tasks are aborted.
    pub(super) fn serve(
        self,
        distribution: Distribution,
        functions: &[Function],
        runtime: &Arc<Runtime>,
        console: PathBuf,
    ) -> Vec<JoinHandle<()>> {
        let front = |distribution| Front::new(distribution, functions, runtime.clone());
        let mut servers = vec![tokio::spawn(control::serve(self.control, runtime.clone()))];
        let alone =
            functions.iter().find(|function| function.url.is_some() && !distribution.leads_to(function));
        if let Some(function) = alone {
            let own = Arc::new(front(Distribution::of_url(function)));
            servers.push(tokio::spawn(own.serve(self.own_origin)));
        }
        let origin = Arc::new(front(distribution).with_console(console));
        servers.push(tokio::spawn(origin.serve(self.origin)));
        servers
    }
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|e| io("port", e))
}
