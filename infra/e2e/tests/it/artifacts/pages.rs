//! Untrusted pages in a real browser.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;
use sequent_artifacts::{Description, Origin};
use sequent_core::ArtifactId;
use serde_json::{Value, json};

use super::{artifacts, tenant};
use crate::{
    browser::browser,
    clients::installed,
    surface::{Call, Person},
    system::System,
};

const ATTACK: &str = include_str!("../../../node/attack.js");

/// Stores bytes and requests a preview.
async fn preview(system: &System, person: &Person, media_type: &str, bytes: Bytes) -> (u16, Value) {
    let description = Description {
        title: "A page".to_owned(),
        entity_type: "website".to_owned(),
        tags: Vec::new(),
        media_type: media_type.to_owned(),
    };
    let tenant = tenant(person).await;
    let id = ArtifactId::new();
    artifacts(system).save(tenant, id, description, Origin::default(), bytes).await.unwrap();
    let call = Call::to(format!("/api/artifacts/{id}/preview"));
    let answer = person.read("POST", &call, &person.bearer()).await;
    (answer.status.as_u16(), answer.json())
}

/// Builds a ZIP archive of uncompressed files.
fn archive(files: &[(&str, &[u8])]) -> Bytes {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let size = content.len() as u32;
        let start = out.len() as u32;
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        fields.extend(crc32fast::hash(content).to_le_bytes());
        fields.extend([size.to_le_bytes(), size.to_le_bytes()].concat());
        fields.extend([(name.len() as u16).to_le_bytes(), [0; 2]].concat());
        out.extend([b"PK\x03\x04", fields.as_slice(), name.as_bytes(), content].concat());
        directory.extend([b"PK\x01\x02\x14\x03", fields.as_slice(), &[0; 10]].concat());
        directory.extend([&start.to_le_bytes(), name.as_bytes()].concat());
    }
    let count = files.len() as u16;
    let offset = out.len() as u32;
    let end = [
        b"PK\x05\x06\0\0\0\0".as_slice(),
        &count.to_le_bytes(),
        &count.to_le_bytes(),
        &(directory.len() as u32).to_le_bytes(),
        &offset.to_le_bytes(),
        &[0; 2],
    ];
    [out, directory, end.concat()].concat().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_pages_reach_no_cookie_no_storage_and_no_api() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "victim@example.com").await;
    let app = system.stack.origin_url().trim_end_matches('/').to_owned();
    let attack = format!("const APP = '{app}';\n{ATTACK}");
    let style = "<style>html { background: rgb(1, 2, 3) }</style>";
    let page = format!("<!doctype html>{style}<script>{attack}</script>");
    let index =
        "<!doctype html><link rel=stylesheet href=assets/style.css><script src=assets/attack.js></script>";
    let bundle = archive(&[
        ("index.html", index.as_bytes()),
        ("assets/attack.js", attack.as_bytes()),
        ("assets/style.css", b"html { background: rgb(1, 2, 3) }"),
        ("worker.js", b"onfetch = null"),
    ]);
    let drawing =
        format!("<svg xmlns='http://www.w3.org/2000/svg'><script><![CDATA[{attack}]]></script></svg>");
    let mut urls = Vec::new();
    for (media_type, bytes) in
        [("text/html", page.into()), ("application/zip", bundle), ("image/svg+xml", drawing.into())]
    {
        let (status, preview) = preview(&system, &person, media_type, bytes).await;
        assert_eq!(status, 201, "{preview}");
        urls.push(preview["url"].as_str().unwrap().to_owned());
    }
    let seen = open(&person, &app, &urls);

    // From a page of the app the same attack succeeds, which shows that it works.
    let control = &seen["control"];
    assert!(control["fetch"]["got"].as_str().unwrap().contains("victim@example.com"), "{control}");
    assert!(control["localStorage"]["got"].as_str().unwrap().contains("of the app"), "{control}");

    for (page, url) in seen["seen"].as_array().unwrap().iter().zip(&urls) {
        let policy = page["headers"]["content-security-policy"].as_str().unwrap();
        assert!(policy.starts_with("sandbox allow-scripts;"), "{policy}");
        assert_eq!(page["shell"], json!("frame-src 'self'"), "{url}");
        assert_eq!(page["headers"]["x-content-type-options"], "nosniff");
        assert!(page["headers"]["set-cookie"].is_null(), "{page}");
        assert_eq!(
            (&page["cookies"], &page["sent"]),
            (&json!(0), &Value::Null),
            "{url}: no cookie, either way"
        );
        nothing_was_got(&page["loot"]);
        nothing_was_got(&page["framed"]["loot"]);
        assert_eq!(page["framed"]["stays"], true, "{url}: it did not take the app away");
        assert_eq!(
            (&page["answers"], &page["framed"]["answers"]),
            (&json!([]), &json!([])),
            "{url}: the app said nothing"
        );
    }
    for page in &seen["seen"].as_array().unwrap()[..2] {
        assert_eq!(page["color"], "rgb(1, 2, 3)", "what belongs to the page is shown");
    }
    let projects = person.get("/api/projects").await;
    assert_eq!(projects["items"], json!([]), "nothing was planted");
}

/// The address of the page in the frame of a preview.
fn content_of(url: &str, origin: &str) -> String {
    format!("{origin}/content{}", url.strip_prefix(origin).unwrap())
}

/// Ways to make a browser send something to the address `SENTINEL`, each as a page. The browser clicks on `#go`.
const ESCAPES: [(&str, &str); 14] = [
    ("location", "<script>location = 'SENTINEL'</script>"),
    ("replace", "<script>location.replace('SENTINEL')</script>"),
    ("top", "<script>top.location = 'SENTINEL'</script>"),
    ("parent", "<script>parent.location = 'SENTINEL'</script>"),
    ("refresh", "<meta http-equiv=refresh content='0;url=SENTINEL'>"),
    ("link", "<a id=go href='SENTINEL'>go</a>"),
    ("link to the top", "<a id=go target=_top href='SENTINEL'>go</a>"),
    ("link to a new tab", "<a id=go target=_blank href='SENTINEL'>go</a>"),
    ("ping", "<a id=go ping='SENTINEL' href='#here'>go</a>"),
    ("get form", "<form action='SENTINEL'><button id=go>go</button></form>"),
    ("post form", "<form method=post action='SENTINEL'><button id=go>go</button></form>"),
    ("open", "<script>open('SENTINEL')</script>"),
    ("open on a click", "<button id=go onclick=\"open('SENTINEL')\">go</button>"),
    ("prefetch", "<link rel=prefetch href='SENTINEL'><link rel=prerender href='SENTINEL'>"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_cannot_carry_its_content_to_another_server() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "reader@example.com").await;
    let sentinel = Sentinel::start();
    let mut urls = Vec::new();
    for (name, page) in ESCAPES {
        let name = name.replace(' ', "-");
        let page = page.replace("SENTINEL", &format!("{}/{name}", sentinel.url));
        let page = format!("<!doctype html><title>tried</title>{page}");
        let (status, preview) = preview(&system, &person, "text/html", page.into()).await;
        assert_eq!(status, 201, "{preview}");
        urls.push(preview["url"].as_str().unwrap().to_owned());
    }
    let mut command = Command::new("node");
    command.args(["escape.mjs", "--sentinel", &sentinel.url]).arg("--browser").arg(browser()).args(&urls);
    let command = command.current_dir(installed()).stderr(Stdio::inherit());
    let output = tokio::task::block_in_place(|| command.output().expect("node starts"));
    assert!(output.status.success(), "the browser failed");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["shown"], json!(ESCAPES.len()), "every page was loaded in its frame");
    // The browser itself opens this address after each page: the sentinel is reached when nothing prevents it.
    assert_eq!(sentinel.requests(), vec!["GET /control HTTP/1.1"; ESCAPES.len()]);
}

/// A server that nothing should reach.
struct Sentinel {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Sentinel {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let received = Arc::clone(&requests);
        // The thread ends with the process.
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let received = Arc::clone(&received);
                thread::spawn(move || {
                    let mut line = String::new();
                    if BufReader::new(&stream).read_line(&mut line).is_ok() && !line.is_empty() {
                        received.lock().unwrap().push(line.trim_end().to_owned());
                    }
                    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                    let _ = stream.write_all(answer.as_bytes()); // the browser may have left
                });
            }
        });
        Self { url, requests }
    }

    /// The request lines, without the icon that browsers request for every site.
    fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|line| !line.contains("/favicon.ico")).cloned().collect()
    }
}

/// Checks that the attack ran to its end without an origin, and that every attempt was stopped or got
/// nothing.
fn nothing_was_got(loot: &Value) {
    assert_eq!(
        (&loot["ran"], &loot["done"], &loot["origin"]),
        (&json!(true), &json!(true), &json!("null")),
        "{loot}"
    );
    for (attempt, outcome) in loot.as_object().unwrap() {
        // A blocked form reports nothing. The app's responses show that it reached nothing.
        if matches!(attempt.as_str(), "ran" | "done" | "origin" | "form" | "top") {
            continue;
        }
        assert!(outcome["stopped"].is_string(), "{attempt}: {outcome}");
    }
}

fn open(person: &Person, app: &str, urls: &[String]) -> Value {
    let mut command = Command::new("node");
    command.args(["preview.mjs", "--base", app, "--email", &person.email, "--attack", "attack.js"]);
    command.args(["--password", "correct horse battery staple"]).arg("--browser").arg(browser()).args(urls);
    let command = command.current_dir(installed()).stderr(Stdio::inherit());
    let output = tokio::task::block_in_place(|| command.output().expect("node starts"));
    assert!(output.status.success(), "the browser failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invented_addresses_and_dishonest_archives_are_refused() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    let site = archive(&[("index.html", b"<p>home"), ("docs/index.html", b"<p>docs"), ("a.bin", b"\0")]);
    let (_, shown) = preview(&system, &person, "application/zip", site).await;
    let url = shown["url"].as_str().unwrap();
    let own = system.stack.own_origin_url();
    let browser = reqwest::Client::new();
    let get = async |url: String| {
        // As the frame of the shell does.
        let answer = browser.get(url).header("sec-fetch-dest", "iframe").send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), kind, answer.text().await.unwrap())
    };
    assert!(url.starts_with(own), "{url}");
    let html = "text/html; charset=utf-8".to_owned();
    let content = content_of(url, own);
    assert_eq!(get(content.clone()).await, (200, html.clone(), "<p>home".to_owned()));
    assert_eq!(get(format!("{content}docs/")).await, (200, html, "<p>docs".to_owned()));
    assert_eq!(get(format!("{content}a.bin")).await.1, "application/octet-stream");
    let mut forged = url.to_owned();
    let at = own.len() + 60;
    let other = if &forged[at..=at] == "A" { "B" } else { "A" };
    forged.replace_range(at..=at, other);
    for missing in [
        format!("{content}missing.html"),
        format!("{content}..%2f..%2fetc/passwd"),
        forged,
        format!("{own}/x/"),
    ] {
        assert_eq!(get(missing.clone()).await.0, 404, "{missing}");
    }
    // The preview origin serves no API, and the app's origin serves its own page in place of a preview.
    assert_eq!(get(format!("{own}/api/health")).await.0, 404);
    let token = url.strip_prefix(own).unwrap();
    let at_the_app = format!("{}{token}", system.stack.origin_url().trim_end_matches('/'));
    assert!(get(at_the_app).await.2.contains("<title>Sequent</title>"));

    let zeros = vec![0; 17 << 20];
    for (what, bytes) in [
        ("slips out", archive(&[("index.html", b""), ("../../etc/cron.d/x", b"x")])),
        ("is absolute", archive(&[("/etc/passwd", b"x")])),
        ("is too large", archive(&[("index.html", &zeros)])),
        ("is none", Bytes::from_static(b"<html>")),
    ] {
        let (status, refused) = preview(&system, &person, "application/zip", bytes).await;
        assert_eq!((status, &refused["code"]), (422, &json!("validation_failed")), "{what}: {refused}");
    }
}
