//! A sentinel server on loopback. No spelling of its address, no redirect and no name server leads
//! `web_fetch` to it.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use sequent_tool::{Error, Guard, guard, web_fetch::Settings};

use crate::server::{Names, Server, get, guard, local, moved, ok, tool};

/// URLs that must be refused. `{port}` is the sentinel's port, which the guard allows, so only the address
/// can be the reason.
const CORPUS: &[&str] = &[
    // Plain
    "http://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "http://127.0.0.2:{port}/",
    "http://127.255.255.254:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://LocalHost.:{port}/",
    "http://localhost..:{port}/",
    "http://a.b.localhost:{port}/",
    "http://localhost.localdomain:{port}/",
    "http://ip6-localhost:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]:{port}/",
    // Decimal, hexadecimal, octal, short and mixed forms
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0X7F.1:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.0000.0000.0001:{port}/",
    "http://017700000001:{port}/",
    "http://0000177.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://127.0x0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.1.:{port}/",
    "http://0x7f.1.:{port}/",
    "http://4294967296:{port}/",
    "http://127.0.0.256:{port}/",
    "http://127.0.0.1.1:{port}/",
    // Percent-encoding, Unicode, odd separators
    "http://%31%32%37.0.0.1:{port}/",
    "http://127%2e0%2e0%2e1:{port}/",
    "http://%6c%6f%63%61%6chost:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://①②⑦。⓪。⓪。①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://127.0.0.1:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://loc\u{ad}alhost:{port}/",
    "http://ｌｏｃａｌｈｏｓｔ:{port}/",
    "http:\\\\127.0.0.1:{port}\\",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "\t http://127.0.0.1:{port}/ ",
    "ht\ntp://127.0.\n0.1:{port}/",
    // Credentials and confusing authorities
    "http://example.com@127.0.0.1:{port}/",
    "http://example.com:80@127.0.0.1:{port}/",
    "http://example.com%00@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@public.test/",
    "http://127.0.0.1:{port}\\@public.test/",
    "http://public.test:80\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@public.test/",
    "http://127.0.0.1:{port}?@public.test/",
    "http://127.0.0.1%00.public.test:{port}/",
    "http://127.0.0.1 .public.test:{port}/",
    // IPv4 inside IPv6
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::FFFF:127.0.0.1]:{port}/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/",
    "http://[::ffff:0:127.0.0.1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2002:7f00:0001:1::1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b:1::127.0.0.1]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]:{port}/",
    "http://[fe80::5efe:127.0.0.1]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[fe80::1%25eth0]:{port}/",
    "http://[::ffff:169.254.169.254]/latest/meta-data/",
    // Metadata services and other private places
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.GOOGLE.INTERNAL./",
    "http://metadata/",
    "http://instance-data/latest/meta-data/",
    "http://100.100.100.200/latest/meta-data/",
    "http://192.0.0.192/latest/",
    "http://168.63.129.16/metadata/instance",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[fc00::1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://host.docker.internal:{port}/",
    "http://printer.local:{port}/",
    // Names that lead there
    "http://loopback.test:{port}/",
    "http://loopback6.test:{port}/",
    "http://mapped.test:{port}/",
    "http://nat64.test:{port}/",
    "http://private.test:{port}/",
    "http://metadata.test/",
    "http://unspecified.test:{port}/",
    // Not the web
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_GET",
    "dict://127.0.0.1:{port}/",
    "data:text/html,hello",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "javascript:fetch('http://127.0.0.1:{port}/')",
    "jar:http://127.0.0.1:{port}!/",
    "view-source:http://127.0.0.1:{port}/",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "http://127.0.0.1:22/",
    "http://127.0.0.1:99999/",
];

/// The URLs that reach the sentinel through a client without a guard.
const REACHES: &[&str] = &[
    "http://127.0.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://example.com@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@public.test/",
    "http:127.0.0.1:{port}/",
];

fn deceptive_names() -> Names {
    Names::new(&[
        ("loopback.test", &["127.0.0.1"]),
        ("loopback6.test", &["::1"]),
        ("mapped.test", &["::ffff:127.0.0.1"]),
        ("nat64.test", &["64:ff9b::7f00:1"]),
        ("private.test", &["10.0.0.1"]),
        ("metadata.test", &["169.254.169.254"]),
        ("unspecified.test", &["0.0.0.0"]),
        ("public.test", &["127.0.0.1"]),
    ])
}

async fn sentinel() -> Server {
    Server::start(&[("*", ok("text/plain", "secret"))]).await
}

fn at(url: &str, port: u16) -> String {
    url.replace("{port}", &port.to_string())
}

#[tokio::test]
async fn nothing_reaches_the_sentinel() {
    assert!(CORPUS.len() >= 60, "{}", CORPUS.len());
    let sentinel = sentinel().await;
    let guard = guard(sentinel.port, "", deceptive_names());
    assert!(guard.admit(&at("http://8.8.8.8:{port}/", sentinel.port)).is_ok(), "the port is allowed");
    let tool = tool(&guard, Settings::default());
    let wrong = stream::iter(CORPUS)
        .map(|url| {
            let tool = &tool;
            let url = at(url, sentinel.port);
            async move { (get(tool, &url).await, url) }
        })
        .buffer_unordered(8)
        .filter(|(result, _)| std::future::ready(!matches!(result, Err(Error::Refused(_)))))
        .collect::<Vec<_>>()
        .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(sentinel.connections(), 0);
}

/// The control: the sentinel counts connections, the URLs are valid, and only the guard stops them.
#[tokio::test]
async fn an_unguarded_client_reaches_the_sentinel() {
    let _ = rustls::crypto::ring::default_provider().install_default(); // another test of the process was first
    let sentinel = sentinel().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for url in REACHES {
        assert!(CORPUS.contains(url), "{url}");
        let url = at(url, sentinel.port);
        let body = client.get(&url).send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(body.text().await.unwrap(), "secret", "{url}");
    }
    assert_eq!(sentinel.connections(), REACHES.len());

    let allowed =
        tool(&guard(sentinel.port, &local(sentinel.port).to_string(), Names::default()), Settings::default());
    let page = get(&allowed, &at("http://127.0.0.1:{port}/", sentinel.port)).await.unwrap();
    assert!(page.content.ends_with("secret"), "{page:?}");
    assert_eq!(sentinel.connections(), REACHES.len() + 1);
}

#[tokio::test]
async fn no_redirect_reaches_the_sentinel() {
    let sentinel = sentinel().await;
    let mut answers =
        vec![("/chain/1", moved("/chain/2")), ("/chain/2", moved("http://front.test:{port}/chain/3"))];
    let last =
        moved(&at("http://127.0.0.1:{sentinel}/", 0).replace("{sentinel}", &sentinel.port.to_string()));
    answers.push(("/chain/3", last));
    let targets: Vec<String> = CORPUS.iter().map(|url| at(url, sentinel.port)).collect();
    // A header cannot hold a line break.
    let targets: Vec<_> = targets.into_iter().filter(|url| !url.contains(['\n', '\t'])).collect();
    let paths: Vec<String> = (0..targets.len()).map(|i| format!("/{i}")).collect();
    answers.extend(paths.iter().zip(&targets).map(|(path, target)| (path.as_str(), moved(target))));
    let front = Server::start(&answers).await;

    let names = Names::new(&[
        ("front.test", &["127.0.0.1"]),
        ("loopback.test", &["127.0.0.1"]),
        ("metadata.test", &["169.254.169.254"]),
    ]);
    let mut ports = Guard::PORTS.to_vec();
    ports.push(sentinel.port);
    let allow = guard::Allow::parse_list(&format!("front.test:{}", front.port)).unwrap();
    let tool = tool(&Guard::with_ports(ports, allow, names), Settings::default());
    for path in paths.iter().map(String::as_str).chain(["/chain/1"]) {
        let result = get(&tool, &format!("http://front.test:{}{path}", front.port)).await;
        assert!(result.is_err(), "{path}: {result:?}");
    }
    assert_eq!(sentinel.connections(), 0);
    assert!(front.connections() >= targets.len() + 3, "every redirect was served: {}", front.connections());
}

/// A name server that changes its answer is queried once for each call.
#[tokio::test]
async fn a_connection_goes_to_the_address_that_was_checked() {
    let server = Server::start(&[("*", ok("text/plain", "first"))]).await;
    let names = Names::new(&[("rebind.test", &["127.0.0.1", "169.254.169.254"])]);
    let tool = tool(
        &guard(server.port, &format!("rebind.test:{}", server.port), names.clone()),
        Settings { total: Duration::from_secs(5), ..Settings::default() },
    );
    let url = format!("http://rebind.test:{}/", server.port);
    assert!(get(&tool, &url).await.unwrap().content.ends_with("first"));
    assert_eq!((names.queries("rebind.test"), server.connections()), (1, 1));
    // The next call resolves the name again, and checks the address again.
    let second = get(&tool, &url).await.unwrap_err();
    assert!(
        matches!(&second, Error::Refused(why) if why.contains("not on the public internet")),
        "{second:?}"
    );
    assert_eq!((names.queries("rebind.test"), server.connections()), (2, 1));
}

/// A name that is public at first and then loopback: the attack on a client that resolves a second time to
/// connect.
#[tokio::test]
async fn rebinding_from_public_to_loopback_reaches_nothing() {
    let sentinel = sentinel().await;
    // Global unicast that no registry has assigned: public, but no server has it.
    let names = Names::new(&[("rebind.test", &["2e00::1", "127.0.0.1"])]);
    let tool = tool(
        &guard(sentinel.port, "", names.clone()),
        Settings { total: Duration::from_millis(500), ..Settings::default() },
    );
    let url = format!("http://rebind.test:{}/", sentinel.port);
    let first = get(&tool, &url).await.unwrap_err();
    assert!(matches!(first, Error::Unavailable(_)), "{first:?}");
    assert_eq!(names.queries("rebind.test"), 1, "one answer is used for the check and the connection");
    let second = get(&tool, &url).await.unwrap_err();
    assert!(matches!(second, Error::Refused(_)), "{second:?}");
    assert_eq!((names.queries("rebind.test"), sentinel.connections()), (2, 0));
}
