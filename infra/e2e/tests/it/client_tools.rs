//! Answers that wait for their client, in a real browser with an unmodified `useChat`.

use std::process::Command;

use serde_json::{Value, json};

use crate::{browser::browser, clients::installed, system::System};

/// The versions 7 and 6 of the SDK each carry out a tool of the page, approve a call and deny one: at once, after a reload, and in
/// another tab. The program compares what the pages show before and after a reload at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_answer_calls_and_decide_about_others_also_after_a_reload_and_in_another_tab() {
    let system = System::start(&[("ACCESS_TOKEN_TTL_S", "3600")]).await;
    let mut command = Command::new("node");
    command.args(["answered-calls.mjs", "--base", system.stack.origin_url(), "--browser"]).arg(browser());
    command.current_dir(installed());
    let output = tokio::task::block_in_place(|| command.output()).expect("node starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, major) in lines.iter().zip([7, 6]) {
        assert_eq!(line["major"], major);
        assert_eq!(line["seen"].as_array().unwrap().len(), 9, "{line}");
        assert_eq!(line["seen"][8], json!("denied in another tab"));
    }
    assert_eq!(lines.len(), 2);
}
