//! The fixture template served without an emulator, a client, and the gate through which a test controls the
//! probe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use sequent_local::front::{self, Front};
use sequent_local::logs::Logs;
use sequent_local::runtime::{Config, Environment, Runtime};
use sequent_local::template::Template;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Far longer than anything here takes. A test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture.yaml")
}

/// Copies the probe into a folder, under the names that the fixture's functions expect.
pub(crate) fn install_probe(dir: &Path) {
    let exe = std::env::current_exe().unwrap();
    // target/debug/deps/it-... -> target/debug/examples/probe
    let probe = exe.ancestors().nth(2).unwrap().join("examples/probe");
    for name in ["probe", "sequent-stream-function"] {
        // Copied under another name, then renamed, so that no reader gets a half-written binary.
        let fresh = dir.join(format!("{name}.new"));
        std::fs::copy(&probe, &fresh).unwrap();
        std::fs::rename(&fresh, dir.join(name)).unwrap();
    }
}

/// The functions of the fixture and their origin.
pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) control: String,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) bin: TempDir,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(env: &[(&str, &str)]) -> Self {
        let bin = tempfile::tempdir().unwrap();
        install_probe(bin.path());
        let template = Template::read(&fixture(), &BTreeMap::from([("Stage".into(), "dev".into())])).unwrap();
        let functions = template.functions().unwrap();
        let config = |function: &sequent_local::template::Function| Config {
            logical_id: function.logical_id.clone(),
            name: format!("test-{}", function.logical_id),
            binary: bin.path().join(&function.binary),
            timeout: Duration::from_secs(function.timeout_s),
            memory_mb: function.memory_mb,
            concurrency: function.reserved_concurrency.unwrap_or(50),
            idle_timeout: Duration::from_secs(300),
            freezes: true,
            environment: Environment::default().with(env.iter().copied()),
            region: "us-east-1".into(),
            logs: Logs::stdout(),
        };
        let runtime = Arc::new(Runtime::new(functions.iter().map(config).collect()));
        let listener = front::listen(0).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let front = Arc::new(Front::new(template.distribution(), &functions, runtime.clone()));
        tokio::spawn(front.serve(listener));
        let listener = front::listen(0).await.unwrap();
        let control = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(sequent_local::control::serve(listener, runtime.clone()));
        Self { url, control, runtime, bin }
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Incoming> {
        send(Request::get(format!("{}{path}", self.url)).body(Full::default()).unwrap()).await
    }

    pub(crate) async fn invoke(&self, function: &str, event: &'static str) -> Response<Incoming> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.control);
        send(Request::post(url).body(Full::from(event)).unwrap()).await
    }

    /// Waits until the list of instances satisfies a condition.
    pub(crate) async fn until(&self, condition: impl Fn(&[sequent_local::runtime::InstanceInfo]) -> bool) {
        let met = async {
            while !condition(&self.runtime.instances()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, met).await.expect("the instances did not reach the expected state");
    }
}

pub(crate) async fn send(request: Request<Full<Bytes>>) -> Response<Incoming> {
    // One connection per request. It closes when the response is dropped, as when a client leaves.
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    tokio::time::timeout(PATIENCE, client.request(request)).await.expect("no answer").unwrap()
}

pub(crate) async fn json(response: Response<Incoming>) -> serde_json::Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("not JSON: {bytes:?}"))
}

/// The listener to which probes connect.
pub(crate) struct Gate(TcpListener);

/// An invocation that the test controls. Dropping it lets the invocation end.
pub(crate) struct Held {
    pub(crate) pid: u32,
    stream: BufReader<TcpStream>,
}

impl Gate {
    pub(crate) async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// Waits for the next invocation that connects.
    pub(crate) async fn held(&self) -> Held {
        let (stream, _) =
            tokio::time::timeout(PATIENCE, self.0.accept()).await.expect("no invocation connected").unwrap();
        let mut stream = BufReader::new(stream);
        let mut pid = String::new();
        stream.read_line(&mut pid).await.unwrap();
        Held { pid: pid.trim().parse().unwrap(), stream }
    }
}

impl Held {
    /// Waits until the probe's task has acknowledged once more.
    pub(crate) async fn acknowledged(&mut self) {
        let mut ack = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut ack)).await;
        assert_eq!(read.expect("the task makes no progress").unwrap(), 2, "the probe is gone");
    }

    /// Reads what the probe's task has acknowledged so far.
    pub(crate) fn drain(&mut self) {
        self.stream.consume(self.stream.buffer().len());
        let mut bytes = [0; 4096];
        while self.stream.get_mut().try_read(&mut bytes).is_ok_and(|read| read > 0) {}
    }

    /// Makes the probe send a chunk, and waits until the runtime has taken it.
    pub(crate) async fn chunk(&mut self, text: &str) {
        self.stream.get_mut().write_all(format!("{text}\n").as_bytes()).await.unwrap();
        let mut ack = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut ack)).await;
        assert_eq!(read.expect("the chunk was not taken").unwrap(), 2, "the probe is gone");
    }
}

/// Waits for the next chunk of a response.
pub(crate) async fn chunk(response: &mut Response<Incoming>) -> Option<Result<String, hyper::Error>> {
    let frame = tokio::time::timeout(PATIENCE, response.frame()).await.expect("no chunk came")?;
    Some(frame.map(|frame| String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()))
}
