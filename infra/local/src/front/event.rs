//! Builds events in payload format 2.0, which HTTP APIs and function URLs share.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

/// Fields of the event that are not part of the request.
#[derive(Debug)]
pub(super) struct Origin<'a> {
    pub(super) request_id: &'a str,
    pub(super) source_ip: IpAddr,
    /// `METHOD /path` of the route, or `$default`.
    pub(super) route_key: &'a str,
    /// `None` for a function URL.
    pub(super) path_parameters: Option<&'a BTreeMap<String, String>>,
    /// The path as the edge has changed it.
    pub(super) path: &'a str,
}

/// The label in the domain name of an HTTP API, which functions can tell from a function URL.
const HTTP_API: &str = "local.execute-api";

impl Origin<'_> {
    /// The path as the function gets it. A function URL passes it on as the client has encoded it. An HTTP API decodes it,
    /// and cuts it at a decoded question mark.
    fn raw_path(&self) -> Cow<'_, str> {
        if self.path_parameters.is_none() {
            return Cow::Borrowed(self.path);
        }
        let decoded = decoded(self.path);
        Cow::Owned(decoded.split('?').next().unwrap_or_default().to_owned())
    }
}

/// Replaces the escapes of a path by the bytes that they stand for.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| escape(tail)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the byte of the two hexadecimal digits that follow a percent sign.
fn escape(digits: &[u8]) -> Option<u8> {
    let digits = digits.first_chunk::<2>().filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

pub(super) fn build(parts: &Parts, body: &Bytes, origin: &Origin<'_>) -> Bytes {
    let now = OffsetDateTime::now_utc();
    // Fails only for an invalid format description, and this constant is valid.
    let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    let time = now.format(&format).unwrap_or_default();
    let host = text(&parts.headers, "host").unwrap_or("localhost");
    let host_name = host.split(':').next().unwrap_or_default();
    let domain = match origin.path_parameters {
        Some(_) => format!("{HTTP_API}.{host_name}"),
        None => host_name.to_owned(),
    };
    let raw_path = origin.raw_path();
    let query = parts.uri.query().unwrap_or_default();

    let mut event = json!({
        "version": "2.0",
        "routeKey": origin.route_key,
        "rawPath": raw_path,
        "rawQueryString": query,
        "headers": headers(&parts.headers, origin.source_ip, host),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": domain,
            "domainPrefix": domain.split('.').next(),
            "http": {
                "method": parts.method.as_str(),
                "path": raw_path,
                "protocol": "HTTP/1.1",
                "sourceIp": origin.source_ip.to_string(),
                "userAgent": text(&parts.headers, "user-agent").unwrap_or_default(),
            },
            "requestId": origin.request_id,
            "routeKey": origin.route_key,
            "stage": "$default",
            "time": time,
            "timeEpoch": i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX),
        },
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !query.is_empty() {
        event["queryStringParameters"] = query_parameters(query);
    }
    if let Some(parameters) = origin.path_parameters.filter(|parameters| !parameters.is_empty()) {
        event["pathParameters"] = json!(parameters);
    }
    if !body.is_empty() {
        let text = std::str::from_utf8(body).ok().filter(|_| is_text(&parts.headers));
        event["isBase64Encoded"] = json!(text.is_none());
        event["body"] = text.map_or_else(|| json!(STANDARD.encode(body)), |text| json!(text));
    }
    Bytes::from(event.to_string())
}

/// Returns the headers without cookies: names in lower case, repeated values joined by commas, and the
/// headers that proxies add.
fn headers(headers: &HeaderMap, source_ip: IpAddr, host: &str) -> Map<String, Value> {
    let mut out = Map::new();
    for name in headers.keys() {
        if name == "cookie" || name == "connection" || name == "transfer-encoding" {
            continue;
        }
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        out.insert(name.as_str().to_owned(), json!(values.join(",")));
    }
    let forwarded = match out.get("x-forwarded-for").and_then(Value::as_str) {
        Some(before) => format!("{before}, {source_ip}"),
        None => source_ip.to_string(),
    };
    out.insert("x-forwarded-for".to_owned(), json!(forwarded));
    out.insert("x-forwarded-proto".to_owned(), json!("http"));
    out.insert("x-forwarded-port".to_owned(), json!(host.rsplit_once(':').map_or("80", |(_, port)| port)));
    out.insert("x-forwarded-host".to_owned(), json!(host));
    out
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values =
        headers.get_all("cookie").iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    values.flat_map(|value| value.split("; ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn query_parameters(query: &str) -> Value {
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        out.entry(name.into_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    json!(out)
}

/// Returns `true` for the media types that API Gateway passes as text.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = text(headers, "content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(
            kind,
            "application/json"
                | "application/javascript"
                | "application/xml"
                | "application/x-www-form-urlencoded"
        )
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(request: http::Request<Bytes>) -> Value {
        let (parts, body) = request.into_parts();
        let parameters = BTreeMap::from([("id".to_owned(), "7".to_owned())]);
        let origin = Origin {
            request_id: "r",
            source_ip: [127, 0, 0, 1].into(),
            route_key: "GET /x/{id}",
            path_parameters: Some(&parameters),
            path: parts.uri.path(),
        };
        serde_json::from_slice(&build(&parts, &body, &origin)).unwrap()
    }

    #[test]
    fn a_request_becomes_an_event() {
        let request = http::Request::get("/x/7?a=1&a=2&b=%20")
            .header("Host", "localhost:8080")
            .header("X-Twice", "one")
            .header("X-Twice", "two")
            .header("Cookie", "a=1; b=2")
            .body(Bytes::new())
            .unwrap();
        let event = event(request);
        assert_eq!(event["rawPath"], "/x/7");
        assert_eq!(event["rawQueryString"], "a=1&a=2&b=%20");
        assert_eq!(event["queryStringParameters"], json!({"a": "1,2", "b": " "}));
        assert_eq!(event["pathParameters"], json!({"id": "7"}));
        assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
        assert_eq!(event["headers"]["x-twice"], "one,two");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event["headers"]["x-forwarded-host"], "localhost:8080");
        assert_eq!(event["requestContext"]["http"]["method"], "GET");
        assert_eq!(event["requestContext"]["domainName"], "local.execute-api.localhost");
        assert_eq!(event.get("body"), None);
    }

    #[test]
    fn an_http_api_decodes_the_path_and_a_function_url_does_not() {
        let parameters = BTreeMap::new();
        for (path, of_api) in [
            ("/a%20b/%E6%BD%AE", "/a b/潮"),
            ("/team%2Fone", "/team/one"),
            ("/50%25", "/50%"),
            ("/a%2520b", "/a%20b"),
            ("/100%/%zz/%e", "/100%/%zz/%e"),
            ("/why%3Fnow", "/why"),
        ] {
            let raw = |path_parameters| {
                let source_ip = [127, 0, 0, 1].into();
                let origin = Origin { request_id: "r", source_ip, route_key: "", path_parameters, path };
                let (parts, body) = http::Request::get("/").body(Bytes::new()).unwrap().into_parts();
                let event: Value = serde_json::from_slice(&build(&parts, &body, &origin)).unwrap();
                event["rawPath"].as_str().unwrap().to_owned()
            };
            assert_eq!((raw(Some(&parameters)).as_str(), raw(None).as_str()), (of_api, path));
        }
    }

    #[test]
    fn only_text_travels_as_text() {
        let post = |kind: &str, body: &'static [u8]| {
            event(
                http::Request::post("/").header("content-type", kind).body(Bytes::from_static(body)).unwrap(),
            )
        };
        let json = post("application/json; charset=utf-8", b"{}");
        assert_eq!((json["body"].as_str(), &json["isBase64Encoded"]), (Some("{}"), &Value::Bool(false)));
        let image = post("image/png", b"ab");
        assert_eq!((image["body"].as_str(), &image["isBase64Encoded"]), (Some("YWI="), &Value::Bool(true)));
        let broken = post("text/plain", b"\xff");
        assert_eq!(broken["isBase64Encoded"], true);
    }
}
