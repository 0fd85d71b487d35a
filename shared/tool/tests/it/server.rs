//! A web server that returns prepared responses and counts connections, and a name server with prepared
//! addresses.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::future::{self, BoxFuture, FutureExt};
use sequent_core::{RunId, TenantId};
use sequent_tool::{
    Call, Error, Guard, Output, Registry, Tool,
    guard::{Allow, Resolve},
    web_fetch,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A web server on loopback. It stops with the test's runtime.
pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Server {
    /// Starts a server that answers each path with raw bytes, and other paths with 404. `*` matches every
    /// path. For an empty response, the server hangs.
    pub(crate) async fn start(answers: &[(&str, String)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let answers: HashMap<String, String> = answers
            .iter()
            .map(|(path, answer)| ((*path).to_owned(), answer.replace("{port}", &port.to_string())))
            .collect();
        let answers = Arc::new(answers);
        let seen = Arc::new(Seen::default());
        accept(listener, Arc::clone(&answers), Arc::clone(&seen));
        // Connections over IPv6 must be counted as well.
        if let Ok(six) = TcpListener::bind(("::1", port)).await {
            accept(six, answers, Arc::clone(&seen));
        }
        Self { port, seen }
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn accept(listener: TcpListener, answers: Arc<HashMap<String, String>>, seen: Arc<Seen>) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            seen.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&seen)));
        }
    });
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<HashMap<String, String>>,
    seen: Arc<Seen>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.requests.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    let missing = ok_status("404 Not Found", "text/plain", "missing");
    let answer = answers.get(&path).or_else(|| answers.get("*")).unwrap_or(&missing);
    if answer.is_empty() {
        return std::future::pending().await;
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Returns a complete response with status 200.
pub(crate) fn ok(content_type: &str, body: &str) -> String {
    ok_status("200 OK", content_type, body)
}

/// A whole answer with a status.
pub(crate) fn ok_status(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
}

pub(crate) fn moved(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
}

/// A name server: each name has a list of addresses, one per query. The last one is repeated.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<HashMap<String, Answers>>>);

#[derive(Default)]
struct Answers {
    queries: usize,
    addresses: Vec<IpAddr>,
}

impl Names {
    pub(crate) fn new(names: &[(&str, &[&str])]) -> Self {
        let answers = |ips: &[&str]| Answers {
            queries: 0,
            addresses: ips.iter().map(|ip| ip.parse().expect("an address")).collect(),
        };
        let names = names.iter().map(|(name, ips)| ((*name).to_owned(), answers(ips))).collect();
        Self(Arc::new(Mutex::new(names)))
    }

    /// The number of queries for the name.
    pub(crate) fn queries(&self, name: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[name].queries
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = names.get_mut(name).map(|answers| {
            let last = answers.addresses.len() - 1;
            let address = answers.addresses[answers.queries.min(last)];
            answers.queries += 1;
            vec![address]
        });
        future::ready(answer.ok_or_else(|| io::Error::other("no such name"))).boxed()
    }
}

/// A guard that allows `port`, so that only the address can refuse a request.
pub(crate) fn guard(port: u16, allow: &str, names: Names) -> Guard {
    let mut ports = Guard::PORTS.to_vec();
    ports.push(port);
    Guard::with_ports(ports, Allow::parse_list(allow).expect("exceptions"), names)
}

/// Creates `web_fetch` with that guard.
pub(crate) fn tool(guard: &Guard, settings: web_fetch::Settings) -> Tool {
    web_fetch::tool(guard, settings)
}

/// Makes a call as the agent does.
pub(crate) async fn fetch(tool: &Tool, arguments: &str) -> Result<Output, Error> {
    let registry = Registry::new([tool.clone()]).expect("a usable tool");
    let arguments = registry.check("web_fetch", arguments)?;
    let call = Call::new(TenantId::from_bits(1), RunId::from_bits(2), "call_1", arguments);
    sequent_tool::run(tool, call).await
}

pub(crate) async fn get(tool: &Tool, url: &str) -> Result<Output, Error> {
    fetch(tool, &serde_json::json!({"url": url}).to_string()).await
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
