//! The examples of the documentation verify what is sent, in the languages that are installed.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use sequent_core::{ExposeSecret as _, Timestamp};
use sequent_webhooks::signature::{self, SigningSecret};
use serde_json::{Value, json};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/docs/webhooks.md");

/// Returns the code of a language in the documentation.
fn example(language: &str) -> String {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let (_, rest) = document.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// The requests to verify, and the answers to them.
fn cases() -> (Value, Vec<bool>) {
    let secret = SigningSecret::generate().unwrap();
    let other = SigningSecret::generate().unwrap();
    let body = r#"{"id":"evt_1","seq":1,"data":{"name":"Zoë"}}"#;
    let now = Timestamp::now();
    let old = Timestamp::from_millis(now.millis() - 3_600_000);
    let mut cases = Vec::new();
    let mut expected = Vec::new();
    for (secrets, at, sent, is_valid) in [
        (vec![&secret], now, body, true),
        (vec![&other, &secret], now, body, true),
        (vec![&other], now, body, false),
        (vec![&secret], old, body, false),
        (vec![&secret], now, r#"{"id":"evt_1","seq":2}"#, false),
    ] {
        let headers = signature::headers("evt_1", at, body.as_bytes(), secrets);
        let headers: serde_json::Map<String, Value> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        cases.push(json!({ "headers": headers, "body": sent }));
        expected.push(is_valid);
    }
    (json!({ "secret": secret.text().expose_secret(), "cases": cases }), expected)
}

/// Runs a program that reads the cases and prints `true` or `false` for each.
fn check(interpreter: &str, file: &Path) {
    let (input, expected) = cases();
    let is_installed =
        Command::new(interpreter).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if is_installed.is_err() {
        eprintln!("{interpreter} is not installed; its example is not tested");
        return;
    }
    let output = Command::new(interpreter).arg(file).env("CASES", input.to_string()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<bool> = printed.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!(answers, expected, "{interpreter}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_python_example_verifies_what_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("verify.py");
    let run = "\nimport json, os\nall = json.loads(os.environ['CASES'])\nfor case in all['cases']:\n    \
               print(str(verify(all['secret'], case['headers'], case['body'].encode())).lower())\n";
    fs::write(&file, example("python") + run).unwrap();
    check("python3", &file);
}

#[test]
fn the_node_example_verifies_what_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("verify.mjs");
    let run = "\nconst all = JSON.parse(process.env.CASES);\nfor (const { headers, body } of all.cases) {\n  \
               console.log(verify(all.secret, headers, Buffer.from(body)));\n}\n";
    fs::write(&file, example("js") + run).unwrap();
    check("node", &file);
}
