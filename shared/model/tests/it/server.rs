//! A provider that does as the test says: real HTTP over a real socket, one behaviour for each request in turn.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use sequent_model::{Client, Config, config::Endpoint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// One thing a provider does with a connection.
#[derive(Clone)]
pub(crate) enum Act {
    /// Writes bytes at once.
    Write(Vec<u8>),
    /// Writes every byte by itself.
    Trickle(Vec<u8>),
    /// Goes on when the test says so.
    Await(Arc<Notify>),
    /// Says nothing more and keeps the connection.
    Hang,
    /// Tells the test when the client has closed the connection.
    Tell(Arc<Notify>),
}

pub(crate) struct Server {
    pub(crate) address: String,
    requests: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Request `n` meets behaviour `n`; later ones the last.
    pub(crate) async fn start(behaviours: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(AtomicUsize::new(0));
        let received = Arc::new(Mutex::new(Vec::new()));
        let (counter, log) = (requests.clone(), received.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let n = counter.fetch_add(1, Ordering::SeqCst);
                let acts = behaviours[n.min(behaviours.len() - 1)].clone();
                tokio::spawn(serve(stream, acts, log.clone()));
            }
        });
        Self { address, requests, received }
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The requests' heads and bodies.
    pub(crate) fn received(&self) -> Vec<String> {
        self.received.lock().expect("no panic while held").clone()
    }

    /// A client of this server, impatient enough for tests.
    pub(crate) fn client(&self, adjust: impl FnOnce(&mut Config)) -> Client {
        let base = format!("{}/v1", self.address);
        let endpoint = Endpoint::new(&base, Some(KEY.into())).expect("an address");
        let mut config = Config::demo();
        config.openai = Some(endpoint.clone());
        config.anthropic = Some(endpoint);
        config.retry.base = std::time::Duration::from_millis(1);
        adjust(&mut config);
        let client = Client::new(config);
        // Reading certificates takes longer than some of the tests' timeouts.
        client.warm();
        client
    }
}

/// The key that must appear nowhere but in the request.
pub(crate) const KEY: &str = "test-key-5f2c";

async fn serve(mut stream: TcpStream, acts: Vec<Act>, log: Arc<Mutex<Vec<String>>>) {
    stream.set_nodelay(true).expect("a socket");
    let request = read_request(&mut stream).await;
    log.lock().expect("no panic while held").push(request);
    for act in acts {
        let written = match act {
            Act::Write(bytes) => stream.write_all(&bytes).await,
            Act::Trickle(bytes) => trickle(&mut stream, &bytes).await,
            Act::Await(notify) => {
                notify.notified().await;
                Ok(())
            }
            Act::Hang => std::future::pending().await,
            Act::Tell(notify) => {
                let mut buffer = [0; 1024];
                while matches!(stream.read(&mut buffer).await, Ok(n) if n > 0) {}
                notify.notify_one();
                Ok(())
            }
        };
        if written.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

async fn trickle(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return text.into_owned(),
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

/// The head of an event stream whose body ends with the connection.
pub(crate) fn head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_vec()
}

/// A whole answer that is not a stream.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Act {
    let length = body.len();
    Act::Write(
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
            .into_bytes(),
    )
}

/// An event stream.
pub(crate) fn events(frames: &[String]) -> Vec<u8> {
    [head(), frames.concat().into_bytes()].concat()
}
