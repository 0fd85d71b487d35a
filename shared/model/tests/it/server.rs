//! A provider with scripted behaviour: HTTP over a socket, with a list of actions for each request.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sequent_model::{Client, Config, config::Endpoint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// An action of the provider on a connection.
#[derive(Clone)]
pub(crate) enum Act {
    /// Writes all bytes at once.
    Write(Vec<u8>),
    /// Writes the bytes one by one.
    Trickle(Vec<u8>),
    /// Writes the bytes one by one, with a pause before each.
    Drip(Vec<u8>, Duration),
    /// Waits for the test.
    Await(Arc<Notify>),
    /// Keeps the connection open and sends nothing more.
    Hang,
    /// Notifies the test when the client has closed the connection.
    Tell(Arc<Notify>),
}

pub(crate) struct Server {
    pub(crate) address: String,
    requests: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server that handles request `n` with behaviour `n`, and later requests with the last one.
    pub(crate) async fn start(behaviours: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(AtomicUsize::new(0));
        let received = Arc::new(Mutex::new(Vec::new()));
        let counter = requests.clone();
        let log = received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let n = counter.fetch_add(1, Ordering::SeqCst);
                let acts = behaviours[n.min(behaviours.len() - 1)].clone();
                tokio::spawn(serve(stream, acts, log.clone()));
            }
        });
        Self { address, requests, received }
    }

    /// Returns the number of requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Returns the heads and bodies of the requests.
    pub(crate) fn received(&self) -> Vec<String> {
        self.received.lock().expect("the lock is not poisoned").clone()
    }

    /// Creates a client of this server with short timeouts.
    pub(crate) fn client(&self, adjust: impl FnOnce(&mut Config)) -> Client {
        let base = format!("{}/v1", self.address);
        let endpoint = Endpoint::new(&base, Some(KEY.into())).expect("an address");
        let mut config = Config::demo();
        config.openai = Some(endpoint.clone());
        config.anthropic = Some(endpoint);
        config.retry.base = Duration::from_millis(1);
        adjust(&mut config);
        let client = Client::new(config);
        // Reading certificates takes longer than some timeouts of the tests.
        client.warm();
        client
    }
}

/// The key. It must appear in requests only.
pub(crate) const KEY: &str = "test-key-5f2c";

async fn serve(mut stream: TcpStream, acts: Vec<Act>, log: Arc<Mutex<Vec<String>>>) {
    stream.set_nodelay(true).expect("a socket");
    let request = read_request(&mut stream).await;
    log.lock().expect("the lock is not poisoned").push(request);
    for act in acts {
        let written = match act {
            Act::Write(bytes) => stream.write_all(&bytes).await,
            Act::Trickle(bytes) => trickle(&mut stream, &bytes, Duration::ZERO).await,
            Act::Drip(bytes, pause) => trickle(&mut stream, &bytes, pause).await,
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

async fn trickle(stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    for byte in bytes {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
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

/// Returns the head of an event stream whose body ends with the connection.
pub(crate) fn head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_vec()
}

/// Returns a complete response that is not a stream.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Act {
    let length = body.len();
    Act::Write(
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
            .into_bytes(),
    )
}

/// Returns a response with an event stream.
pub(crate) fn events(frames: &[String]) -> Vec<u8> {
    [head(), frames.concat().into_bytes()].concat()
}
