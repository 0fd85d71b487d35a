//! Forged tokens that must be refused.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::forge::{Forge, encode, malleated, part, unsigned};

/// A token and its fault.
pub(super) type Forgery = (String, String);

/// Other secrets in the forger's hands.
pub(super) struct Loot<'a> {
    /// A valid access token of another user.
    pub(super) others_token: &'a str,
    /// Credentials for other purposes.
    pub(super) other_credentials: &'a [(&'static str, String)],
    /// An address at which the forger would see a request for a key.
    pub(super) address: &'a str,
}

/// Returns all forgeries of a token.
pub(super) fn forgeries(forge: &Forge, loot: &Loot<'_>) -> Vec<Forgery> {
    let mut all = Vec::new();
    algorithms(forge, &mut all);
    keys(forge, loot, &mut all);
    kids(forge, &mut all);
    headers(forge, &mut all);
    claims(forge, &mut all);
    signatures(forge, loot, &mut all);
    texts(forge, loot, &mut all);
    all
}

fn algorithms(forge: &Forge, all: &mut Vec<Forgery>) {
    for alg in ["none", "None", "NONE", "nOnE", "", " none"] {
        let header = with(&forge.header, "alg", json!(alg));
        let message = unsigned(&header, &forge.claims);
        all.push((format!("alg {alg:?} and no signature"), format!("{message}.")));
        all.push((format!("alg {alg:?} and the old signature"), format!("{message}.{}", forge.signature())));
    }
    for alg in ["eddsa", "ES256", "RS256", "PS512", "HS256"] {
        let header = with(&forge.header, "alg", json!(alg));
        all.push((format!("EdDSA called {alg}"), forge.sign(&header, &forge.claims)));
    }
    all.push(("no alg".into(), forge.sign(&without(&forge.header, "alg"), &forge.claims)));
    all.push((
        "a list of algs".into(),
        forge.sign(&with(&forge.header, "alg", json!(["EdDSA"])), &forge.claims),
    ));
    for (at, (name, secret)) in forge.public_secrets().into_iter().enumerate() {
        // One algorithm suffices to test each form of the key, and one form to test each algorithm.
        for alg in &["HS256", "HS384", "HS512", "EdDSA"][..if at == 0 { 4 } else { 1 }] {
            let header = with(&forge.header, "alg", json!(alg));
            all.push((format!("{alg} under the public key as {name}"), forge.mac(&header, &secret)));
        }
    }
}

/// Adds tokens that carry a key or name its location.
fn keys(forge: &Forge, loot: &Loot<'_>, all: &mut Vec<Forgery>) {
    for kid in [&forge.header["kid"], &json!("attacker")] {
        for (field, value) in [
            ("jwk", forge.attackers_jwk(kid)),
            ("jku", json!(format!("{}/jwks.json", loot.address))),
            ("x5u", json!(format!("{}/chain.pem", loot.address))),
            ("x5c", json!(["MIIB"])),
            ("x5t#S256", json!("AAAA")),
        ] {
            let header = with(&with(&forge.header, "kid", kid.clone()), field, value);
            all.push((format!("{field} with kid {kid}"), forge.attacker_sign(&header, &forge.claims)));
            if kid == &forge.header["kid"] {
                all.push((format!("{field} signed by us"), forge.sign(&header, &forge.claims)));
            }
        }
    }
    all.push(("another key under our kid".into(), forge.attacker_sign(&forge.header, &forge.claims)));
}

fn kids(forge: &Forge, all: &mut Vec<Forgery>) {
    let kid = forge.header["kid"].as_str().unwrap();
    for kid in [
        json!("unknown"),
        json!(""),
        json!("\0"),
        json!("k".repeat(900)),
        json!(format!("{kid} ")),
        json!(null),
        json!(0),
        json!([kid]),
    ] {
        let header = with(&forge.header, "kid", kid.clone());
        all.push((format!("kid {kid}"), forge.sign(&header, &forge.claims)));
    }
    all.push(("no kid".into(), forge.sign(&without(&forge.header, "kid"), &forge.claims)));
    // Key ids that name content known to the forger.
    for kid in [
        "../../../../../../dev/null",
        "/proc/self/environ",
        "' UNION SELECT 'attacker' -- ",
        "| echo attacker",
        "http://169.254.169.254/latest/meta-data",
    ] {
        let header = with(&forge.header, "kid", json!(kid));
        all.push((format!("kid {kid}"), forge.sign(&header, &forge.claims)));
        all.push((format!("kid {kid} of another key"), forge.attacker_sign(&header, &forge.claims)));
        let header = with(&header, "alg", json!("HS256"));
        all.push((format!("kid {kid} with no secret"), forge.mac(&header, b"")));
        all.push((format!("kid {kid} with a chosen secret"), forge.mac(&header, b"attacker")));
    }
}

/// Adds tokens with headers for other purposes, signed with our key.
fn headers(forge: &Forge, all: &mut Vec<Forgery>) {
    for typ in
        ["JWT", "jwt", "", "at+jwt ", "rt+jwt", "refresh+jwt", "id+jwt", "application/at+jwt", "dpop+jwt"]
    {
        let header = with(&forge.header, "typ", json!(typ));
        all.push((format!("typ {typ:?}"), forge.sign(&header, &forge.claims)));
    }
    all.push(("no typ".into(), forge.sign(&without(&forge.header, "typ"), &forge.claims)));
    for (field, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
    ] {
        let header = with(&forge.header, field, value.clone());
        all.push((format!("{field} {value}"), forge.sign(&header, &forge.claims)));
    }
}

/// Adds tokens for another subject, another place or another time, signed with our key.
fn claims(forge: &Forge, all: &mut Vec<Forgery>) {
    let iss = forge.claims["iss"].as_str().unwrap();
    let iat = forge.claims["iat"].as_i64().unwrap();
    let hour = 3600;
    for (field, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{iss}/"))),
        ("iss", json!(format!("{iss}.evil.example"))),
        ("iss", json!([iss])),
        ("iss", json!(null)),
        ("aud", json!("other-api")),
        ("aud", json!(iss)),
        ("aud", json!("")),
        ("aud", json!([])),
        ("aud", json!(["other-api", "another-api"])),
        ("aud", json!(null)),
        ("exp", json!(iat - 60)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!((iat + hour).to_string())),
        ("exp", json!(null)),
        ("exp", json!(1e300)),
        ("iat", json!(iat + hour)),
        ("iat", json!(null)),
        ("nbf", json!(iat + hour)),
        ("sub", json!("admin")),
        ("sub", json!("")),
        ("sub", forge.claims["tid"].clone()),
        ("tid", json!("*")),
        ("tid", forge.claims["sub"].clone()),
        ("sid", json!("")),
        ("scope", json!(["account"])),
    ] {
        let claims = with(&forge.claims, field, value.clone());
        all.push((format!("{field} {value}"), forge.sign(&forge.header, &claims)));
    }
    for field in ["iss", "aud", "exp", "iat", "sub", "tid", "sid", "scope"] {
        let claims = without(&forge.claims, field);
        all.push((format!("no {field}"), forge.sign(&forge.header, &claims)));
    }
    for claims in [json!([]), json!("admin"), json!(null), json!({})] {
        all.push((format!("claims {claims}"), forge.sign(&forge.header, &claims)));
    }
}

/// Adds tokens with a changed signature, or with a signature of other content.
fn signatures(forge: &Forge, loot: &Loot<'_>, all: &mut Vec<Forgery>) {
    let token = &forge.token;
    let signature = forge.signature();
    let [header, claims] = [&forge.header, &forge.claims];
    let others = part(loot.others_token, 1);
    let mut push = |name: &str, token: String| all.push((name.to_owned(), token));
    push("no signature", format!("{}.", forge.message()));
    push("two parts", forge.message().to_owned());
    push("a shorter signature", forge.resigned(|bytes| bytes.truncate(63)));
    push("half a signature", forge.resigned(|bytes| bytes.truncate(32)));
    push("a longer signature", forge.resigned(|bytes| bytes.push(0)));
    push("a doubled signature", format!("{token}{signature}"));
    push("a signature of zeros", forge.resigned(|bytes| bytes.fill(0)));
    push("a changed signature", forge.resigned(|bytes| bytes[0] ^= 1));
    push("a signature plus the group's order", forge.resigned(|bytes| malleated(bytes)));
    push("a cut token", token[..token.len() - 1].to_owned());
    push("a padded token", format!("{token}=="));
    push("unused bits of the last character", unused_bits(token));
    push("a header spelled otherwise", respelled(forge));
    push("a fourth part", format!("{token}.{signature}"));
    push("an empty first part", format!(".{token}"));
    push("an empty last part", format!("{token}."));
    push("five parts", format!("{}...{claims}.{signature}", encode(header), claims = encode(claims)));
    push("no claims", format!("{}..{signature}", encode(header)));

    let old = |claims: &Value| format!("{}.{signature}", unsigned(header, claims));
    push("another's claims under this signature", old(&others));
    for field in ["tid", "sub", "sid"] {
        push(
            &format!("another's {field} under this signature"),
            old(&with(claims, field, others[field].clone())),
        );
    }
    push("a later end under this signature", old(&with(claims, "exp", json!(4_000_000_000_i64))));
    let others_signature = loot.others_token.rsplit_once('.').unwrap().1;
    push("these claims under another's signature", format!("{}.{others_signature}", forge.message()));
}

fn texts(forge: &Forge, loot: &Loot<'_>, all: &mut Vec<Forgery>) {
    for (name, text) in loot.other_credentials {
        all.push(((*name).to_owned(), text.clone()));
        all.push((format!("{name} in three parts"), format!("{text}.{text}.{text}")));
    }
    let key = |length: usize| format!("sk_{}", "Ab1_".repeat(length));
    let flattened = json!({
        "protected": encode(&forge.header), "payload": encode(&forge.claims), "signature": forge.signature(),
    });
    for text in [
        "null".to_owned(),
        "undefined".to_owned(),
        "true".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "e30.e30.e30".to_owned(),
        "sk_".to_owned(),
        format!("{}x", key(10)),
        format!("{}xyz", key(10)),
        key(100),
        format!("sk_{}", forge.token),
        forge.claims["sub"].as_str().unwrap().to_owned(),
        STANDARD.encode("alice@example.com:correct horse battery staple"),
        flattened.to_string(),
        "A".repeat(2100),
        "A".repeat(5000),
        format!("{}{}", forge.token, ".".repeat(1000)),
    ] {
        let shown: String = text.chars().take(24).collect();
        all.push((format!("the text {shown}.. of {} bytes", text.len()), text));
    }
}

fn with(value: &Value, field: &str, other: Value) -> Value {
    let mut value = value.clone();
    value[field] = other;
    value
}

fn without(value: &Value, field: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().remove(field).expect("the field is in every token");
    value
}

/// Sets unused bits of the encoding. 64 bytes are 86 characters, and only two bits of the last one are used.
fn unused_bits(token: &str) -> String {
    let (rest, last) = token.split_at(token.len() - 1);
    let other = match last {
        "A" => "B",
        "Q" => "R",
        "g" => "h",
        "w" => "x",
        other => panic!("{other} is not the end of a signature"),
    };
    format!("{rest}{other}")
}

/// Adds a space to the header under the signature of the original header.
fn respelled(forge: &Forge) -> String {
    let header = forge.header.to_string().replacen(':', ": ", 1);
    let (_, rest) = forge.token.split_once('.').unwrap();
    format!("{}.{rest}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header))
}
