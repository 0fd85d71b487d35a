//! The commands of `infra/docs/your-own-agent.md`, as they stand there.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use sequent_local::Options;

use crate::system::System;

const PAGE: &str = include_str!("../../../docs/your-own-agent.md");

/// The shop of the page, and the lines that it prints.
struct Shop {
    process: Child,
    lines: Receiver<String>,
}

impl Shop {
    fn start(port: u16, folder: &std::path::Path) -> Self {
        let script = Options::repository().join("infra/e2e/node/shop.mjs");
        let mut command = Command::new("node");
        command.arg(script).arg(port.to_string()).arg(folder).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let shop = Self { process, lines };
        shop.until("listening");
        shop
    }

    /// Waits for a line with this text.
    fn until(&self, text: &str) {
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            let line = self.lines.recv_timeout(give_up.saturating_duration_since(Instant::now()));
            if line.unwrap_or_else(|_| panic!("the shop does not print `{text}`")).contains(text) {
                return;
            }
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait();
    }
}

/// The commands of the page, with other addresses.
fn commands(origin: &str, port: u16, folder: &std::path::Path) -> String {
    let blocks = PAGE.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let all: String = blocks.collect();
    all.replace("http://localhost:8787", origin)
        .replace("8899", &port.to_string())
        .replace("/tmp/shop", folder.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_walk_of_the_page_works_as_it_is_written() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(port, folder.path());
    let system = System::start(&[("SSRF_ALLOW", &format!("127.0.0.1:{port}"))]).await;
    let script = commands(system.stack.origin_url().trim_end_matches('/'), port, folder.path());
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &script]).kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_secs(240), bash.output()).await;
    let output = ended.expect("the commands end").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for expected in ["Your name is Mira.", "customers of Tidal Books", "shipped", "Cuxhaven"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    shop.until("GET /orders/17 200");
    shop.until("verified run.finished");
    shop.until("POST /orders/17/refund 200");
}
