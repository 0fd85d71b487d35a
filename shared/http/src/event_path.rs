//! The path of an event, in the encoded form that a URI requires.
//!
//! A function URL passes the path on as the client encoded it. An HTTP API decodes it: `rawPath` has spaces, letters
//! outside ASCII and percent signs as they are. `lambda_http` panics on the first two, and an encoded percent sign
//! would be decoded twice.

use lambda_http::{LambdaEvent, request::LambdaRequest};

/// The part of the domain name that tells an HTTP API from a function URL. A name of neither kind, such as that of a
/// local stack, has the path as the client encoded it.
const HTTP_API: &str = ".execute-api.";

/// Encodes the path of an event that API Gateway has decoded.
pub(crate) fn encode(event: LambdaEvent<LambdaRequest>) -> LambdaEvent<LambdaRequest> {
    let LambdaEvent { payload, context } = event;
    LambdaEvent { payload: encode_request(payload), context }
}

/// As [`encode`], for an event without its context.
pub(crate) fn encode_request(mut request: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV2(request) = &mut request
        && let Some(path) = &mut request.raw_path
    {
        let domain = request.request_context.domain_name.as_deref().unwrap_or_default();
        *path = encoded(path, domain.contains(HTTP_API));
    }
    request
}

/// Encodes what may not be in the path of a URI. If the path was decoded, every percent sign is a literal one.
fn encoded(path: &str, was_decoded: bool) -> String {
    let bytes = path.as_bytes();
    let mut encoded = String::with_capacity(path.len());
    for (at, byte) in bytes.iter().enumerate() {
        if is_literal(*byte) || !was_decoded && is_escape(&bytes[at..]) {
            encoded.push(char::from(*byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Returns `true` for a byte that stands for itself in a path: `pchar` of RFC 3986, and the slash.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

fn is_escape(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_path_stays_and_a_decoded_one_is_encoded() {
        for (path, kept, of_decoded) in [
            ("/api/runs/run_1/events", "/api/runs/run_1/events", "/api/runs/run_1/events"),
            ("/a%20b/%E2%82%ac", "/a%20b/%E2%82%ac", "/a%2520b/%25E2%2582%25ac"),
            ("/100% sure", "/100%25%20sure", "/100%25%20sure"),
            ("/50%", "/50%25", "/50%25"),
            ("/東京?#[x]", "/%E6%9D%B1%E4%BA%AC%3F%23%5Bx%5D", "/%E6%9D%B1%E4%BA%AC%3F%23%5Bx%5D"),
        ] {
            assert_eq!(encoded(path, false), kept);
            assert_eq!(encoded(path, true), of_decoded);
        }
    }
}
