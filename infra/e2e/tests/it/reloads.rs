//! A chat in a real browser that is reloaded while its answer is written, with an unmodified `useChat`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use crate::{browser::browser, clients::installed, providers::KEY, system::System};

/// The parts of the conversation: the message of a person with two files, and an answer of three responses.
const PARTS: [(&str, usize); 9] = [
    ("data-sequent-event", 1),
    ("file", 2),
    ("reasoning", 4),
    ("source-url", 1),
    ("step-start", 3),
    ("text", 5),
    ("tool-cite_source", 1),
    ("tool-save_artifact", 1),
    ("tool-web_fetch", 1),
];

/// The versions 7 and 6 of the SDK each show a conversation in two pages. One is reloaded at ten random moments, once more
/// while the answer ends, and after the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_shows_the_same_after_every_reload_as_without_one() {
    let seed = fastrand::u32(..);
    println!("seed {seed}");
    let mut pages = Pages::open(seed);
    let server = pages.next();
    let address = server["address"].as_str().unwrap();
    let url = format!("http://{address}/v1");
    let system = System::start(&[
        ("OPENAI_BASE_URL", &url),
        ("OPENAI_API_KEY", KEY),
        ("DEFAULT_MODEL", "gpt-4o"),
        ("MODEL_FIRST_TOKEN_TIMEOUT_MS", "600000"),
        ("MODEL_IDLE_TIMEOUT_MS", "600000"),
        ("SSRF_ALLOW", address),
        ("ACCESS_TOKEN_TTL_S", "3600"),
    ])
    .await;
    pages.tell(system.stack.origin_url());
    for major in [7, 6] {
        let seen = pages.next();
        println!("{seen}");
        assert_eq!(seen["major"], major);
        assert_eq!(seen["moments"].as_array().unwrap().len(), 10);
        let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
        for part in seen["parts"].as_array().unwrap() {
            *parts.entry(part.as_str().unwrap()).or_default() += 1;
        }
        assert_eq!(parts, BTreeMap::from(PARTS));
        assert!(seen["pixels"].as_u64() > Some(100_000), "the picture shows the conversation: {seen}");
        assert_eq!(seen["different"], 0, "pixels differ");
    }
}

/// The program with the browser and the model server.
struct Pages {
    process: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Pages {
    fn open(seed: u32) -> Self {
        let mut command = Command::new("node");
        command.args(["reloads.mjs", "--seed", &seed.to_string(), "--browser"]).arg(browser());
        command.current_dir(installed()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("node starts");
        let input = process.stdin.take().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, input, lines }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Waits for the next line.
    fn next(&mut self) -> Value {
        let line = tokio::task::block_in_place(|| self.lines.next());
        serde_json::from_str(&line.expect("the pages show the same").unwrap()).unwrap()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended by itself
        let _ = self.process.wait();
    }
}
