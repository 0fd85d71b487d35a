//! A database that misbehaves on order: a small HTTP proxy in front of the real one.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A fault that one request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the request is carried out and answered.
    None,
    /// The request is carried out, but its answer is lost.
    LostAnswer,
    /// The request is lost before it reaches the database.
    LostRequest,
    /// Another transaction has the row of the first write: nothing is carried out.
    Contention,
}

/// Faults that the next requests meet, in order. Requests after the last one are answered as usual.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Fault>>>);

impl Faults {
    /// Lets the next requests meet these faults.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Number of planned faults that no request has met.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn next(&self) -> Fault {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(Fault::None)
    }
}

/// Starts the proxy in front of `database` and returns its address.
pub(super) async fn serve(database: SocketAddr, faults: Faults) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(connection(client, database, faults.clone()));
        }
    });
    address
}

/// Serves the requests of one connection. The end of the connection is a lost answer to the client.
async fn connection(mut client: TcpStream, database: SocketAddr, faults: Faults) -> std::io::Result<()> {
    while let Some(request) = message(&mut client).await? {
        let fault = faults.next();
        match fault {
            Fault::LostRequest => return Ok(()),
            Fault::Contention => client.write_all(&cancelled()).await?,
            Fault::None | Fault::LostAnswer => {
                let mut upstream = TcpStream::connect(database).await?;
                upstream.write_all(&request).await?;
                let Some(answer) = message(&mut upstream).await? else { return Ok(()) };
                if fault == Fault::LostAnswer {
                    return Ok(());
                }
                client.write_all(&answer).await?;
            }
        }
    }
    Ok(())
}

/// Reads one HTTP/1.1 message whose body has a `Content-Length`. Returns `None` at the end of the connection.
async fn message(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let end = head + length.unwrap_or(0_usize);
    while bytes.len() < end {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

/// The answer of DynamoDB to a transaction that met another one.
fn cancelled() -> Vec<u8> {
    let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"cancelled","CancellationReasons":[{"Code":"TransactionConflict","Message":"conflict"}]}"#;
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}
