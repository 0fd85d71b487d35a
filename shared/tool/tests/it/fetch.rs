//! `web_fetch` against a server: the pages it reads, and its errors.

use std::time::Duration;

use sequent_tool::{Error, Guard, Tool, WebFetch, web_fetch::Settings};

use crate::server::{Names, Server, fetch, get, guard, local, moved, ok, ok_status, tool};

/// A tool that may read from `server` under its address.
fn reader(server: &Server, settings: Settings) -> (Tool, String) {
    let base = format!("http://{}", local(server.port));
    (tool(&guard(server.port, &local(server.port).to_string(), Names::default()), settings), base)
}

#[tokio::test]
async fn pages_become_text() {
    let server = Server::start(&[
        ("/page", ok("text/html; charset=utf-8", "<title>T</title><h1>Hi</h1><a href=/next>next</a>")),
        ("/data", ok("application/json", r#"{"a":1}"#)),
        ("/image", ok("image/png", "x")),
        ("/away", moved("/page")),
    ])
    .await;
    let (tool, base) = reader(&server, Settings::default());
    let page = format!("Address: {base}/page\nTitle: T\n\n# Hi\n\n[next]({base}/next)");
    assert_eq!(get(&tool, &format!("{base}/page")).await.unwrap().content, page);
    assert_eq!(
        get(&tool, &format!("{base}/away")).await.unwrap().content,
        page,
        "the address is that of the last page"
    );
    let data = get(&tool, &format!("{base}/data")).await.unwrap();
    assert!(data.content.ends_with("\n\n{\"a\":1}") && data.effects.is_empty(), "{data:?}");
    let image = get(&tool, &format!("{base}/image")).await.unwrap_err();
    assert!(matches!(&image, Error::Refused(why) if why.contains("image/png")), "{image:?}");
}

#[tokio::test]
async fn a_setting_limits_the_hosts_of_pages_and_of_their_redirects() {
    let server =
        Server::start(&[("/page", ok("text/plain", "here")), ("/away", moved("http://elsewhere.example/"))])
            .await;
    let guard = guard(server.port, &local(server.port).to_string(), Names::default());
    let base = format!("http://{}", local(server.port));
    let within = |setting: &str| WebFetch::new(&guard, Settings::default()).within(setting.parse().unwrap());
    assert!(within("off").tool().is_none());
    let tool = within("127.0.0.1").tool().unwrap();
    assert!(get(&tool, &format!("{base}/page")).await.is_ok());
    let away = get(&tool, &format!("{base}/away")).await.unwrap_err();
    assert!(matches!(&away, Error::Refused(why) if why.contains("do not allow its host")), "{away:?}");
    let narrowed = within("127.0.0.1").within("example.com".parse().unwrap()).tool().unwrap();
    let refused = get(&narrowed, &format!("{base}/page")).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(_)), "a page must be allowed by both");
}

#[tokio::test]
async fn a_request_carries_no_cookies_and_no_credentials() {
    let server = Server::start(&[
        ("/", "HTTP/1.1 302 Found\r\nset-cookie: id=1\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n".into()),
        ("/b", ok("text/plain", "b")),
    ])
    .await;
    let (tool, base) = reader(&server, Settings::default());
    get(&tool, &base).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        let mut names: Vec<_> =
            request.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
        names.sort_unstable();
        assert!(request.starts_with("GET /"), "{request}");
        assert_eq!(names, ["accept", "host", "user-agent"], "{request}");
    }
}

#[tokio::test]
async fn an_error_states_whether_a_retry_can_help() {
    let server = Server::start(&[
        ("/busy", ok_status("503 Service Unavailable", "text/plain", "")),
        ("/slow", ok_status("429 Too Many Requests", "text/plain", "")),
        ("/zip", "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx".into()),
        ("/cut", "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 100\r\n\r\nx".into()),
        ("/noise", "no HTTP at all\r\n\r\n".into()),
        ("/loop", moved("/loop")),
    ])
    .await;
    let (tool, base) = reader(&server, Settings::default());
    for (path, is_temporary, text) in [
        ("/missing", false, "404 Not Found"),
        ("/busy", true, "503"),
        ("/slow", true, "429"),
        ("/zip", false, "gzip"),
        ("/cut", true, "was lost"),
        ("/noise", true, "was lost"),
        ("/loop", false, "too many redirects"),
    ] {
        let error = get(&tool, &format!("{base}{path}")).await.unwrap_err();
        assert_eq!(matches!(error, Error::Unavailable(_)), is_temporary, "{path}: {error:?}");
        assert!(error.message().contains(text), "{path}: {error:?}");
    }
    let loops = server.requests().iter().filter(|head| head.starts_with("GET /loop")).count();
    assert_eq!(loops, 6, "the first and five redirects");
}

#[tokio::test]
async fn a_name_without_an_address_is_unavailable() {
    let guard = Guard::new(Vec::new(), Names::default());
    let error = get(&tool(&guard, Settings::default()), "https://no.such.name.test/").await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(why) if why.contains("could not be resolved")), "{error:?}");
}

#[tokio::test]
async fn a_closed_port_is_unavailable() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let guard = guard(closed, &local(closed).to_string(), Names::default());
    let error =
        get(&tool(&guard, Settings::default()), &format!("http://{}/", local(closed))).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(why) if why.contains("cannot be reached")), "{error:?}");
}

#[tokio::test]
async fn the_limit_of_a_page_holds() {
    let server = Server::start(&[("/", ok("text/plain", &"ä".repeat(5000)))]).await;
    let (tool, base) = reader(&server, Settings { max_body_bytes: 1001, ..Settings::default() });
    let page = get(&tool, &base).await.unwrap().content;
    assert!(page.contains("only its first 1001 bytes"), "{page}");
    assert_eq!(page.matches('ä').count(), 500);
    let short = fetch(&tool, &format!(r#"{{"url":"{base}","max_bytes":10}}"#)).await.unwrap().content;
    assert_eq!(short.matches('ä').count(), 5);
    let greedy = fetch(&tool, &format!(r#"{{"url":"{base}","max_bytes":1002}}"#)).await;
    assert!(matches!(greedy, Err(Error::Refused(why)) if why.contains("at /max_bytes")));
}

#[tokio::test]
async fn an_endless_page_is_read_up_to_the_limit() {
    // The body is longer than the limit and never complete: reading must depend on neither.
    let endless = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 99999999\r\n\r\n{}",
        "x".repeat(3 << 20)
    );
    let server = Server::start(&[("/", endless)]).await;
    let (tool, base) = reader(&server, Settings::default());
    let page = get(&tool, &base).await.unwrap().content;
    assert!(page.contains("only its first 1048576 bytes") && page.contains("[Cut: "), "{}", &page[..200]);
    assert!(page.len() <= Tool::MAX_RESULT_BYTES);
}

#[tokio::test]
async fn a_silent_server_is_a_timeout() {
    let server = Server::start(&[("/", String::new())]).await;
    let (tool, base) = reader(&server, Settings { total: Duration::from_secs(2), ..Settings::default() });
    let error = get(&tool, &base).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(why) if why.contains("within 2s")), "{error:?}");
    assert_eq!(server.connections(), 1);
}
